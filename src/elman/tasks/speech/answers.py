"""Transcripts: their fields, and how they are shown and saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape

from elman.files import write_whole
from elman.tasks.speech.features import Frames
from elman.tasks.speech.options import TranscribeOptions
from elman.tasks.speech.spectrogram import draw_spectrogram


@dataclass(frozen=True)
class Word:
    """A word with its start and end in seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, eq=False)
class Transcript:
    """The transcript of a recording."""

    name: str
    text: str
    words: tuple[Word, ...]
    seconds: float
    frames: Frames
    timed: bool = False


def save(predictions: Sequence[Transcript], wanted: TranscribeOptions) -> list[Path]:
    """Writes the spectrogram, if requested; with several recordings, one each, numbered."""
    if not wanted.png:
        return []
    path = Path(wanted.png)
    paths = []
    for number, each in enumerate(predictions, 1):
        name = path if len(predictions) == 1 else path.with_stem(f"{path.stem}-{number}")
        write_whole(name, draw_spectrogram(each.frames, each.words, Path(each.name).name))
        paths.append(name)
    return paths


def show(prediction: Transcript) -> str:
    """The text; with ``times``, also a line per word."""
    text = f"[bold]{escape(prediction.text)}[/]" if prediction.text else "[dim](nothing)[/]"
    if not prediction.timed:
        return text
    lines = [f"{word.start:7.2f} {word.end:7.2f}  {escape(word.text)}" for word in prediction.words]
    return "\n".join([text, *lines])


def record(prediction: Transcript) -> dict[str, Any]:
    """The text and its words as a JSON object."""
    return {
        "audio": prediction.name,
        "text": prediction.text,
        "seconds": round(prediction.seconds, 3),
        "words": [asdict(word) for word in prediction.words],
    }
