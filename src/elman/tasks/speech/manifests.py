"""Recordings and their transcripts: JSONL and CSV manifests, folders with a ``metadata.csv``.

    {"audio": "a/1.wav", "text": "three seven one"}

Paths are relative to the manifest's folder.  ``data/text.py`` reads the formats, ``audio.py`` the
audio files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from elman.data.faults import Fault, Place, Row
from elman.data.folders import files_below
from elman.data.sources import exists, is_folder
from elman.data.text import text_rows
from elman.errors import DataError
from elman.tasks.speech.audio import AUDIO_SUFFIXES

#: the file that describes a folder, and its column of file names (the AudioFolder convention)
METADATA, METADATA_COLUMN = "metadata.csv", "file_name"


@dataclass(frozen=True)
class Recording:
    """An audio file and its transcript."""

    audio: Path
    text: str


def manifest_rows(
    path: Path, *, audio_column: str = "audio", text_column: str = "text"
) -> Iterator[Row[Recording] | Fault]:
    """Yields the recordings of a manifest, or of a folder with a metadata.csv, and its faults.

    Does not check that the audio files exist.
    """
    folder = path.parent
    if is_folder(path):
        folder, path = path, path / METADATA
        if not exists(path):
            yield Fault(
                Place(folder),
                f"there is no {METADATA} in this folder; write one with the columns "
                f'"{METADATA_COLUMN}" and "{text_column}", or name a manifest.',
            )
            return
    if path.name == METADATA:
        audio_column = METADATA_COLUMN if audio_column == "audio" else audio_column
    rows = text_rows(path, text_column=text_column, label_column=audio_column, labelled=True)
    for row in rows:
        if isinstance(row, Fault):
            message = row.message.replace("--label-column", "--audio-column")
            yield Fault(row.place, message.replace("the label (", "the audio file ("))
        elif isinstance(row, Row):
            yield Row(row.place, Recording(folder / str(row.value.label), row.value.text))


def audio_files(folder: Path) -> list[Path]:
    """All audio files in a folder and its subfolders; ``DataError`` if there are none."""
    found = [file for file in files_below(folder) if file.suffix.lower() in AUDIO_SUFFIXES]
    if not found:
        raise DataError(
            f"{folder}: there are no audio files in this folder; supported suffixes are "
            f"{', '.join(AUDIO_SUFFIXES)}."
        )
    return found
