"""Subtitles of a transcript: SubRip (.srt) and WebVTT (.vtt).

A subtitle is a sentence or a part of one: at most two lines of 42 characters, as broadcasters
recommend, and at most seven seconds.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol


class TimedWord(Protocol):
    """A word with its start and end in seconds."""

    @property
    def text(self) -> str: ...
    @property
    def start(self) -> float: ...
    @property
    def end(self) -> float: ...


class TimedSentence(Protocol):
    """A sentence as its words."""

    @property
    def words(self) -> Sequence[TimedWord]: ...


#: suffixes of subtitle files
SUBTITLE_SUFFIXES = (".srt", ".vtt")
#: characters per line, lines per subtitle, and seconds per subtitle
LINE, LINES, LONGEST = 42, 2, 7.0


def subtitles(sentences: Iterable[TimedSentence], kind: str) -> str:
    """The text of a file; ``kind`` is ".srt" or ".vtt".

    >>> from elman.tasks.speech.answers import Sentence, Word
    >>> words = (Word("good", 0.5, 0.8, 0.9), Word("morning", 0.9, 1.4, 0.8))
    >>> print(subtitles([Sentence(words)], ".srt").strip())
    1
    00:00:00,500 --> 00:00:01,400
    good morning
    """
    comma = "," if kind == ".srt" else "."
    blocks = ["WEBVTT"] if kind == ".vtt" else []
    parts = [part for sentence in sentences for part in _parts(sentence.words)]
    for number, words in enumerate(parts, 1):
        times = f"{_time(words[0].start, comma)} --> {_time(words[-1].end, comma)}"
        text = "\n".join(textwrap.wrap(" ".join([word.text for word in words]), LINE))
        if kind == ".vtt":
            text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        blocks.append(f"{number}\n{times}\n{text}" if kind == ".srt" else f"{times}\n{text}")
    return "\n\n".join(blocks) + "\n" if blocks else ""


def _parts(words: Sequence[TimedWord]) -> Iterator[list[TimedWord]]:
    """Divides the words of a sentence among subtitles."""
    part: list[TimedWord] = []
    for word in words:
        text = " ".join([each.text for each in (*part, word)])
        lines = textwrap.wrap(text, LINE)
        if part and (len(lines) > LINES or word.end - part[0].start > LONGEST):
            yield part
            part = []
        part.append(word)
    if part:
        yield part


def _time(seconds: float, comma: str) -> str:
    thousandths = round(seconds * 1000)
    minutes, thousandths = divmod(thousandths, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds_, thousandths = divmod(thousandths, 1000)
    return f"{hours:02}:{minutes:02}:{seconds_:02}{comma}{thousandths:03}"
