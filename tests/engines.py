"""The engines that tests run with any cell."""

from elman.backends import ENGINES

#: torch's kernels know a few cells only; ``backends/test_torch_kernels.py`` tests them
ANY_CELL = tuple([name for name in ENGINES if name != "torch"])
