"""Run a driver in two processes of torchrun."""

import os
import subprocess
import sys
from pathlib import Path

LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def launch(driver: Path, place: Path) -> None:
    """Run ``driver`` in two processes, which get the folder ``place``, until both have ended."""
    done = subprocess.run(
        [sys.executable, *LAUNCHER, str(driver), str(place)],
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "GLOO_SOCKET_IFNAME": "lo",
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
