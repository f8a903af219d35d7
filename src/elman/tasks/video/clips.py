"""Videos with a label each: a folder of videos for each label, or a table with ``file,label``.

How a video becomes frames is ``decoding.py``'s; what is wrong with a whole collection is told by
``report.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from elman.data.faults import Fault, Place, Row
from elman.data.folders import entries, files_below
from elman.data.text import LabelledText, text_rows
from elman.errors import DataError
from elman.tasks.video.decoding import FrameShape, Video, read_video
from elman.tasks.video.reading import told

TABLES = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json")


@dataclass(frozen=True)
class Clip:
    """A video and its label; the label is None where a table was read without."""

    file: Path
    label: str | None
    video: Video

    def __len__(self) -> int:
        return len(self.video.frames)


def clip_rows(
    path: Path, shape: FrameShape, *, file_column: str = "file", label_column: str = "label"
) -> Iterator[Row[Clip] | Fault]:
    """The videos of a folder or table, decoded, in their order, and what is wrong.

    - a folder: a folder for each label, with its videos; sorted, hidden files left out.
    - ``.csv``, ``.tsv``, ``.jsonl``: a video's file, seen from the table's folder, and its label.
    """
    named = list(named_videos(path, file_column=file_column, label_column=label_column))
    for item in told(named, "videos are read"):
        if isinstance(item, Fault):
            yield item
            continue
        file, label = item.value
        try:
            yield Row(item.place, Clip(file, label, read_video(file, shape)))
        except DataError as error:
            said = str(error) if item.place.line is None else f"{file}: {error}"
            yield Fault(item.place, said)


def named_videos(
    path: Path, *, file_column: str = "file", label_column: str | None = "label"
) -> Iterator[Row[tuple[Path, str | None]] | Fault]:
    """The files and labels of a folder or table, before any video is opened.

    Without a ``label_column`` a table is read for its files alone.
    """
    if path.is_dir():
        yield from _folder(path)
    elif path.suffix.lower() in TABLES or not path.exists():
        rows = text_rows(
            path,
            text_column=file_column,
            label_column=label_column or "",
            labelled=label_column is not None,
            flags=("--file-column", "--label-column"),
        )
        for row in rows:
            if isinstance(row, Row):
                yield Row(row.place, _from(path.parent, row.value))
            elif isinstance(row, Fault):
                yield row
    else:
        yield Fault(
            Place(path),
            "this is neither a folder with a folder of videos for each label nor a table; give "
            'such a folder, or a .csv with the columns "file" and "label".',
        )


def video_files(path: Path, *, file_column: str = "file") -> list[Path]:
    """The videos that a path names: itself, those of a table, or all in a folder and below.

    Raises ``DataError`` for a folder without any, and for what is wrong with a table.
    """
    if path.is_dir():
        files = files_below(path)
        if not files:
            raise DataError(f"{path}: there is no video in this folder; name one with videos.")
        return files
    if path.suffix.lower() not in TABLES:
        return [path]
    found = []
    for row in named_videos(path, file_column=file_column, label_column=None):
        if isinstance(row, Fault):
            raise DataError(str(row))
        found.append(row.value[0])
    return found


def _folder(path: Path) -> Iterator[Row[tuple[Path, str | None]] | Fault]:
    folders = [entry for entry in entries(path) if entry.is_dir()]
    if not folders:
        yield Fault(
            Place(path), "there is no folder in it; give a folder of videos for each label."
        )
    for folder in folders:
        videos = entries(folder)
        if not videos:
            yield Fault(
                Place(folder), "the folder of this label holds no video; fill or remove it."
            )
        for file in videos:
            yield Row(Place(file), (file, folder.name))


def _from(folder: Path, row: LabelledText) -> tuple[Path, str | None]:
    return folder / row.text.strip(), row.label
