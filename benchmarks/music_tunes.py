"""How like chorales are the tunes that the shipped model makes up?

    python benchmarks/music_tunes.py [--model music] [--tunes 30] [--seconds 30] ...

Likelihood does not say it, so tunes are counted: what sounds together, how long notes are, how
far voices range, how a tune ends, and how much of it was in the training pieces.  Beside them the
validation chorales, of which every number is a property, and a model's tunes at other settings.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import elman
from elman.files import write_whole
from elman.tasks.music.notes import Frame, frames_of, key_of, notes_of
from recipes.real_data import chorales

GRID = 1  # the shipped model's
_SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 9, 10, 11)}
_NAMES = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")
#: steps that a stretch has which is looked for in the training pieces: two bars
_STRETCH = 8


def statistics_of(tunes: Sequence[Sequence[Frame]], known: set[object]) -> dict[str, float]:
    """What is counted, each over all tunes; parts are in per cent."""
    frames = [frame for tune in tunes for frame in tune]
    sounding = [frame for frame in frames if frame]
    notes = [note for tune in tunes for note in notes_of(tune, GRID)]
    lengths = [note.end - note.start for note in notes]
    changes = [b != a for tune in tunes for a, b in pairwise(tune)]
    stretches = [
        _shape(tune[k : k + _STRETCH])
        for tune in tunes
        for k in range(0, len(tune) - _STRETCH + 1, GRID)
    ]
    return {
        "pitches at once": statistics.mean([len(frame) for frame in sounding]),
        "silent steps": _percent([not frame for frame in frames]),
        "highest voice, mean": statistics.mean([frame[-1] for frame in sounding]),
        "lowest voice, mean": statistics.mean([frame[0] for frame in sounding]),
        "highest pitch": max([frame[-1] for frame in sounding]),
        "lowest pitch": min([frame[0] for frame in sounding]),
        "steps with a second or a tritone": _percent([_rough(frame) for frame in sounding]),
        "steps with a half tone": _percent([_clash(frame) for frame in sounding]),
        "steps that differ from the last": _percent(changes),
        "notes of a quarter": _percent([length <= 1 for length in lengths]),
        "notes of more than two quarters": _percent([length > 2 for length in lengths]),
        "sounding pitches of the tune's key": statistics.mean([_in_key(tune) for tune in tunes]),
        "tunes that end on their tonic": _percent([_closes(tune) for tune in tunes]),
        "moves of outer voices in parallel fifths or octaves": _percent(
            [move for tune in tunes for move in _parallels(tune)]
        ),
        "two bars that a training piece has": _percent([s in known for s in stretches]),
    }


def _percent(values: Sequence[bool]) -> float:
    return 100 * statistics.mean([float(value) for value in values]) if values else 0.0


def _rough(frame: Frame) -> bool:
    return any((b - a) % 12 in (1, 2, 6, 10, 11) for a, b in combinations(frame, 2))


def _clash(frame: Frame) -> bool:
    return any((b - a) % 12 in (1, 11) for a, b in combinations(frame, 2))


def _key(tune: Sequence[Frame]) -> tuple[int, str]:
    tonic, mode = key_of(notes_of(tune, GRID)).split()
    return _NAMES.index(tonic), mode


def _in_key(tune: Sequence[Frame]) -> float:
    tonic, mode = _key(tune)
    return _percent([(p - tonic) % 12 in _SCALES[mode] for frame in tune for p in frame])


def _closes(tune: Sequence[Frame]) -> bool:
    """The last chord is the tonic's: its bass, and nothing but the triad, major or minor."""
    tonic, _ = _key(tune)
    last = next((frame for frame in reversed(tune) if frame), ())
    return (
        bool(last)
        and (last[0] - tonic) % 12 == 0
        and {(p - tonic) % 12 for p in last} <= {0, 3, 4, 7}
    )


def _parallels(tune: Sequence[Frame]) -> list[bool]:
    """For each move of both outer voices whether a fifth or an octave goes to the same."""
    found = []
    for a, b in pairwise(tune):
        if len(a) > 1 and len(b) > 1 and a[0] != b[0] and a[-1] != b[-1]:
            before, after = (a[-1] - a[0]) % 12, (b[-1] - b[0]) % 12
            found.append(before == after and after in (0, 7))
    return found


def _shape(stretch: Sequence[Frame]) -> object:
    """A stretch whatever its key."""
    first = next((frame[0] for frame in stretch if frame), 0)
    return tuple([tuple([pitch - first for pitch in frame]) for frame in stretch])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="music")
    parser.add_argument("--tunes", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--temperatures", type=float, nargs="+", default=[1.0, 0.9, 0.8])
    parser.add_argument("--top-ps", type=float, nargs="+", default=[1.0])
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "music_tunes.json"
    )
    asked = parser.parse_args()
    pieces = {
        part: json.loads(path.read_text())[part]
        for part, path in chorales(Path("runs") / "data").items()
    }
    known: set[object] = set()
    for piece in pieces["train"]:
        frames = [tuple(frame) for frame in piece]
        known |= {_shape(frames[k : k + _STRETCH]) for k in range(len(frames) - _STRETCH + 1)}
    real = [[tuple(frame) for frame in piece] for piece in pieces["valid"]]
    columns = {"validation chorales": statistics_of(real, known)}
    model = elman.load(asked.model)
    for temperature in asked.temperatures:
        for top_p in asked.top_ps:
            tunes = []
            for seed in range(asked.tunes):
                [made] = model(
                    seed=seed, seconds=asked.seconds, temperature=temperature, top_p=top_p
                )
                tunes.append(frames_of(made.piece, GRID))
            name = f"temperature {temperature:g}" + (f", top p {top_p:g}" if top_p < 1 else "")
            columns[name] = statistics_of(tunes, known)
    _print(columns)
    record: dict[str, Any] = {
        "command": "python benchmarks/music_tunes.py",
        "tunes": asked.tunes,
        "seconds": asked.seconds,
        "columns": columns,
    }
    write_whole(asked.out, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def _print(columns: dict[str, dict[str, float]]) -> None:
    table = Table(box=None)
    table.add_column("")
    for name in columns:
        table.add_column(name, justify="right")
    for row in next(iter(columns.values())):
        table.add_row(row, *[f"{column[row]:.1f}" for column in columns.values()])
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
