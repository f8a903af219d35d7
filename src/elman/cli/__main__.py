"""``python -m elman.cli``, where no ``elman`` is on the path."""

from elman.cli import main

main()
