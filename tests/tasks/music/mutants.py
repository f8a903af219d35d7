"""The files of music that ``test_mutants.py`` damages."""

import json
from pathlib import Path

from elman.data.faults import Fault
from elman.tasks import TASKS
from elman.tasks.music.report import check_music, music_rows

PITCH_SETS = json.dumps({"train": [[[60, 64], [], [67]], [[62]]], "valid": [[[64], [65]]]})


def read_music(path: Path) -> str:
    faults = [item for item in music_rows(path, 1, 120) if isinstance(item, Fault)]
    problems = check_music(path, grid=1, tempo=120).problems
    assert bool(faults) == bool(problems)
    return "".join(problems[:1])


READERS = {
    "midi": ("a.mid", TASKS["music"].samples()["primer.mid"], read_music),
    "pitch sets": ("a.json", PITCH_SETS, read_music),
}
