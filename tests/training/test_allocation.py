"""Memory that is freed stays with the process on Linux, unless the user says otherwise."""

import os
import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
import torch
if sys.argv[1] == "kept":
    from elman.training.allocation import keep_freed_memory
    assert keep_freed_memory() == (len(sys.argv) < 3)
held = torch.zeros(1)  # something after the blocks would keep them anyway
def use():
    blocks = [torch.zeros(2_000_000) for _ in range(8)]  # 8 MB each
    del blocks
use(); use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*arguments, **environment):
    """Page faults of five rounds of allocations after two."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        env=clean | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(run.stdout)


@pytest.mark.thorough
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_blocks_are_used_again_without_page_faults():
    assert faults("kept") < 0.2 * faults("usual")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_the_limits_of_the_user_stay():
    assert faults("kept", "own", MALLOC_TRIM_THRESHOLD_="131072") > 0
