"""Reads labelled videos: a folder per label, or a table ``file,label``.

``decoding.py`` decodes videos; ``report.py`` checks collections.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from elman.data.faults import Fault, Place, Row
from elman.data.folders import entries, files_below
from elman.data.sources import exists, is_folder
from elman.data.text import LabelledText, text_rows
from elman.errors import DataError
from elman.stages import counted
from elman.tasks.video.decoding import FrameShape, Video, read_video

TABLES = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json")


@dataclass(frozen=True)
class Clip:
    """A video and its label, if known."""

    file: Path
    label: str | None
    video: Video

    def __len__(self) -> int:
        return len(self.video.frames)


def clip_rows(
    path: Path, shape: FrameShape, *, file_column: str = "file", label_column: str = "label"
) -> Iterator[Row[Clip] | Fault]:
    """Yields the decoded videos and the faults of a folder or table, in order.

    - A folder has a subfolder of videos per label; entries are sorted, hidden files ignored.
    - ``.csv``, ``.tsv``, ``.jsonl``: the path of a video, relative to the table, and its label.
    """
    named = list(named_videos(path, file_column=file_column, label_column=label_column))
    for item in counted(named, f"reading the videos of {path.name}"):
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
    """Yields the files and labels of a folder or table, without opening videos.

    With ``label_column=None``, only the files of a table are read.
    """
    if is_folder(path):
        yield from _folder(path)
    elif path.suffix.lower() in TABLES or not exists(path):
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
            "this is not a folder or a table; give a folder with a subfolder of videos per label, "
            'or a .csv with the columns "file" and "label".',
        )


def video_files(path: Path, *, file_column: str = "file") -> list[Path]:
    """The video files of a path: the file itself, those of a table, or all below a folder.

    Raises ``DataError`` for an empty folder and for a faulty table.
    """
    if is_folder(path):
        files = files_below(path)
        if not files:
            raise DataError(f"{path}: there are no videos in this folder.")
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
            Place(path), "the folder has no subfolders; add a subfolder of videos per label."
        )
    for folder in folders:
        videos = entries(folder)
        if not videos:
            yield Fault(
                Place(folder), "the folder of this label has no videos; add some or remove it."
            )
        for file in videos:
            yield Row(Place(file), (file, folder.name))


def _from(folder: Path, row: LabelledText) -> tuple[Path, str | None]:
    return folder / row.text.strip(), row.label
