"""Importing training costs what torch costs: what is heavy is imported where it is used."""

import os
import subprocess
import sys


def test_training_is_imported_without_what_only_running_it_needs() -> None:
    program = (
        "import sys, elman.training; "
        "print([name for name in ('accelerate', 'rich', 'matplotlib', 'sklearn')"
        " if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
