"""Which launch of torchrun a process belongs to.

``torchrun --max-restarts`` starts all processes again when one has died.  They then resume the run
that the same launch began, which ``run.toml`` records; a run of another launch is left alone.  How
often torchrun has restarted a process is no help: each machine counts for itself.
"""

import os
import socket
from collections.abc import Mapping

from elman.training.run_lock import start_time

#: what torchrun calls a launch that was given no name
_UNNAMED = ("", "none", "0")


def this_launch() -> dict[str, str]:
    """What identifies the launch: its name, and the process that starts the workers.

    Empty without torchrun.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return {}
    parent = os.getppid()
    return {
        "name": os.environ["TORCHELASTIC_RUN_ID"],
        "agent": f"{socket.gethostname()} {parent} {start_time(parent)}",
    }


def is_of_this_launch(saved: object) -> bool:
    """Whether ``saved`` is what ``this_launch`` returned in the same launch.

    >>> is_of_this_launch({"name": "job-17", "agent": "host 1 2"})
    False
    """
    here = this_launch()
    if not here or not isinstance(saved, Mapping):
        return False
    named = here["name"] not in _UNNAMED and saved.get("name") == here["name"]
    return named or saved.get("agent") == here["agent"]
