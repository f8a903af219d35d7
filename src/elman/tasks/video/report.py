"""Checks collections of videos: ``elman check video``.

Applies the rules of the reader (``clips.py``) to all videos, and warns about unusual ones.  A
folder of splits, such as ``train`` and ``test`` with a folder per label in each, is checked as a
whole, to find videos in several splits.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from elman.data.faults import Fault, Row
from elman.data.folders import entries
from elman.data.report import DataReport, listed, many, once, repeated_rows
from elman.data.sources import is_folder
from elman.tasks.video.clips import Clip, clip_rows
from elman.tasks.video.decoding import FrameShape

#: factor from the median from which on a value is reported
FAR = 4.0


def check_clips(
    path: Path, shape: FrameShape, *, file_column: str = "file", label_column: str = "label"
) -> DataReport:
    """Checks a folder or table for ``clip_rows``, or a folder of such folders (splits).

    Facts: ``examples``, ``problems``, ``labels`` (count of each), ``frames_per_example``
    (``shortest``, ``median``, ``longest``), ``sizes`` and ``rates`` (the most common, with counts),
    ``duplicates``, and ``splits`` if there are several.
    """
    items: list[Row[Clip] | Fault] = []
    split_of: dict[Path, str] = {}
    splits = _splits(path)
    for split in splits or [path]:
        found = list(clip_rows(split, shape, file_column=file_column, label_column=label_column))
        items += found
        split_of |= {each.value.file: split.name for each in found if isinstance(each, Row)}
    rows = [item for item in items if isinstance(item, Row)]
    labels = Counter(str(row.value.label) for row in rows)
    lengths = sorted(len(row.value.video.frames) for row in rows)
    quantiles = {"shortest": 0.0, "median": 0.5, "longest": 1.0}
    repeats, repeated = repeated_rows(
        rows, lambda clip: (clip.video.digest, clip.label), "video", "label"
    )
    facts: dict[str, object] = {
        "examples": len(rows),
        "problems": sum(isinstance(item, Fault) for item in items),
        "labels": dict(labels.most_common()),
        "frames_per_example": {
            name: lengths[round(part * (len(lengths) - 1))] if lengths else 0
            for name, part in quantiles.items()
        },
        "sizes": _common([f"{r.value.video.width}x{r.value.video.height}" for r in rows]),
        "rates": _common([f"{r.value.video.rate:.4g}" for r in rows]),
        "duplicates": repeats,
    }
    warnings = [f'the label "{label}" has only one example.' for label in once(labels)]
    if splits:
        facts["splits"] = dict(Counter(split_of[row.value.file] for row in rows))
        warnings += _leaks(rows, split_of)
    if len(labels) == 1:
        warnings.append("all examples have the same label; training needs at least two labels.")
    warnings += _still(rows) + repeated + _far(rows)
    return DataReport(path, listed(items), tuple(warnings), facts)


def _splits(path: Path) -> list[Path]:
    """The subfolders, if each has subfolders itself."""
    folders = _folders(path) if is_folder(path) else []
    return folders if folders and all([_folders(each) for each in folders]) else []


def _folders(path: Path) -> list[Path]:
    return [entry for entry in entries(path) if entry.is_dir()]


def _common(values: Sequence[str]) -> dict[str, int]:
    return dict(Counter(values).most_common(5))


def _leaks(rows: Sequence[Row[Clip]], split_of: dict[Path, str]) -> list[str]:
    """Videos that are in more than one split."""
    places: dict[bytes, dict[str, Row[Clip]]] = defaultdict(dict)
    for row in rows:
        places[row.value.video.digest].setdefault(split_of[row.value.file], row)
    pairs = [list(found.values())[:2] for found in places.values() if len(found) > 1]
    if not pairs:
        return []
    return [
        f"{many([f'{a.place} and {b.place}' for a, b in pairs], 'video')} in more than one split; "
        "remove them from the test data, or its scores are too good."
    ]


def _still(rows: Sequence[Row[Clip]]) -> list[str]:
    """Warnings about videos with one frame, and videos without movement."""
    single = [row.place for row in rows if len(row.value.video.frames) == 1]
    still = [
        row.place
        for row in rows
        if len(f := row.value.video.frames) > 1 and bool((f == f[:1]).all())
    ]
    found = [f"{many(single, 'video')} with only one frame."] if single else []
    return found + ([f"{many(still, 'video')} without movement."] if still else [])


def _far(rows: Sequence[Row[Clip]]) -> list[str]:
    """Warnings about videos whose size, rate or length is far from the median."""
    measures = {
        "size": [float(max(row.value.video.width, row.value.video.height)) for row in rows],
        "rate": [row.value.video.rate for row in rows],
        "length": [row.value.video.seconds for row in rows],
    }
    units = {"size": "{:.0f} pixels", "rate": "{:.4g} frames per second", "length": "{:.3g} s"}
    warnings = []
    for name, values in measures.items():
        if not values:
            continue
        median = sorted(values)[len(values) // 2]
        far = [
            f"{row.place}: {units[name].format(value)}"
            for row, value in zip(rows, values, strict=True)
            if not median / FAR <= value <= median * FAR
        ]
        if far:
            usual = units[name].format(median)
            warnings.append(f"{many(far, 'video')} with a {name} far from the median, {usual}.")
    return warnings
