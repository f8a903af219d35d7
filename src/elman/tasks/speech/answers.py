"""Transcripts: their fields, and how they are shown and saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape

from elman.errors import OptionError
from elman.files import write_whole
from elman.tasks.speech.features import Frames
from elman.tasks.speech.options import TranscribeOptions
from elman.tasks.speech.spectrogram import draw_spectrogram
from elman.tasks.speech.subtitles import SUBTITLE_SUFFIXES, subtitles


@dataclass(frozen=True)
class Word:
    """A word with its start and end in seconds, and its probability from 0 to 1.

    ``confidence`` is the geometric mean of the probabilities that the network gives its symbols.
    """

    text: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True)
class Sentence:
    """The words between two pauses."""

    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        """The words as one text."""
        return " ".join([word.text for word in self.words])

    @property
    def start(self) -> float:
        """The start of the first word, in seconds."""
        return self.words[0].start

    @property
    def end(self) -> float:
        """The end of the last word, in seconds."""
        return self.words[-1].end


@dataclass(frozen=True, eq=False)
class Transcript:
    """The transcript of a recording."""

    name: str
    sentences: tuple[Sentence, ...]
    seconds: float
    frames: Frames
    timed: bool = False

    @property
    def text(self) -> str:
        """All words as one text."""
        return " ".join([sentence.text for sentence in self.sentences])

    @property
    def words(self) -> tuple[Word, ...]:
        """All words."""
        return tuple([word for sentence in self.sentences for word in sentence.words])


def save(predictions: Sequence[Transcript], wanted: TranscribeOptions) -> list[Path]:
    """Writes the spectrogram and the subtitles, if requested.

    With several recordings, each has its own file, numbered.
    """
    if wanted.subtitles and Path(wanted.subtitles).suffix.lower() not in SUBTITLE_SUFFIXES:
        raise OptionError(
            f"subtitles is {wanted.subtitles}; use a file name that ends in "
            f"{' or '.join(SUBTITLE_SUFFIXES)}."
        )
    paths = []
    for number, each in enumerate(predictions, 1):
        place = number if len(predictions) > 1 else None
        if wanted.png:
            path = _numbered(Path(wanted.png), place)
            write_whole(path, draw_spectrogram(each.frames, each.words, Path(each.name).name))
            paths.append(path)
        if wanted.subtitles:
            path = _numbered(Path(wanted.subtitles), place)
            write_whole(path, subtitles(each.sentences, path.suffix.lower()))
            paths.append(path)
    return paths


def _numbered(path: Path, number: int | None) -> Path:
    return path if number is None else path.with_stem(f"{path.stem}-{number}")


def show(prediction: Transcript) -> str:
    """The text; with ``times``, also a line per word: start, end, confidence."""
    text = f"[bold]{escape(prediction.text)}[/]" if prediction.text else "[dim](nothing)[/]"
    if not prediction.timed:
        return text
    lines = [
        f"{word.start:7.2f} {word.end:7.2f} {100 * word.confidence:4.0f} %  {escape(word.text)}"
        for word in prediction.words
    ]
    return "\n".join([text, *lines])


def record(prediction: Transcript) -> dict[str, Any]:
    """The text, its sentences and its words as a JSON object."""
    return {
        "audio": prediction.name,
        "text": prediction.text,
        "seconds": round(prediction.seconds, 3),
        "sentences": [
            {"text": each.text, "start": each.start, "end": each.end}
            for each in prediction.sentences
        ],
        "words": [asdict(word) for word in prediction.words],
    }
