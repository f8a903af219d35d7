"""Reads recordings as examples and checks that training can use them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from elman.data import DataReport
from elman.data.faults import Fault, Place, Row
from elman.stages import counted
from elman.tasks.speech.audio import Sound, sound_or_fault
from elman.tasks.speech.features import STEP, Frames, log_mel
from elman.tasks.speech.manifests import Recording, manifest_rows
from elman.tasks.speech.transcripts import Pieces, plain, steps_needed

#: plausible speaking rates, in characters per second
FASTEST, SLOWEST = 35.0, 1.0


@dataclass(frozen=True, eq=False)
class Utterance:
    """A recording as float16 frames (time, mel), with its transcript if known."""

    name: str
    frames: Frames
    seconds: float
    fingerprint: str
    text: str | None = None
    #: its place in the manifest, for error messages
    place: str = ""

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(frozen=True)
class FeatureConfig:
    """How audio is converted to frames and how transcripts are normalised."""

    sample_rate: int
    num_mels: int
    lowercase: bool
    punctuation: bool
    audio_column: str
    text_column: str

    def utterance(self, name: str, sound: Sound, text: str | None, place: str = "") -> Utterance:
        """Makes an example of a recording."""
        frames = log_mel(sound.samples, self.sample_rate, self.num_mels).astype(np.float16)
        return Utterance(name, frames, sound.seconds, sound.fingerprint, text, place)

    def plain(self, text: str) -> str:
        """Normalises a transcript."""
        return plain(text, lowercase=self.lowercase, punctuation=self.punctuation)

    def rows(self, path: Path) -> Iterator[Row[Recording] | Fault]:
        """The recordings of a manifest."""
        return manifest_rows(path, audio_column=self.audio_column, text_column=self.text_column)


def read_utterances(path: Path, config: FeatureConfig) -> Iterator[Row[Utterance] | Fault]:
    """Reads the recordings of a manifest or folder."""
    rows = list(config.rows(path))
    for row in counted(rows, f"reading the recordings of {path.name}"):
        if isinstance(row, Fault):
            yield row
            continue
        found = _read_recording(row, config)
        if isinstance(found, Fault):
            yield found
        else:
            sound, text = found
            name = str(row.value.audio)
            yield Row(row.place, config.utterance(name, sound, text, str(row.place)))


def _read_recording(row: Row[Recording], config: FeatureConfig) -> tuple[Sound, str] | Fault:
    """Reads a recording and normalises its transcript; an empty transcript is a fault."""
    text = config.plain(row.value.text)
    if not text:
        return Fault(
            row.place, f'the text "{row.value.text}" has no words; write the transcript in words.'
        )
    sound = sound_or_fault(row.value.audio, config.sample_rate, row.place)
    return sound if isinstance(sound, Fault) else (sound, text)


def check_recordings(
    path: Path, config: FeatureConfig, frames_per_step: int, *, ctc: bool = True
) -> DataReport:
    """Reports all faults of recordings and transcripts, each with file and line.

    With ``ctc``, a transcript must not have more symbols than its recording has steps; without,
    one step is enough.
    """
    rows = list(config.rows(path))
    problems = [str(row) for row in rows if isinstance(row, Fault)]
    named = [row for row in rows if isinstance(row, Row)]
    heard: list[tuple[Place, Sound, str]] = []
    notes: list[str] = []
    for row in counted(rows, f"checking the recordings of {path.name}"):
        if isinstance(row, Fault):
            continue
        found = _read_recording(row, config)
        if isinstance(found, Fault):
            problems.append(str(found))
            continue
        sound, text = found
        heard.append((row.place, sound, text))
        notes += [f"{row.place}: {row.value.audio}: {note}" for note in sound.notes]
        if sound.silent:
            problems.append(f"{row.place}: {row.value.audio} is silent; record it again.")
    pieces = Pieces.characters([text for _, _, text in heard])
    for place, sound, text in heard:
        needed = steps_needed(pieces.encode(text)) if ctc else 1
        complaint = _too_long(sound, needed, frames_per_step)
        if complaint:
            problems.append(f"{place}: {complaint}")
    warnings = [
        *_first_few(notes, "more notes on recordings"),
        *_rates(heard),
        *_ratios(heard),
        *_repeats(heard),
    ]
    facts: dict[str, object] = {
        "examples": len(heard),
        "problems": len(problems),
        "minutes": round(sum([sound.seconds for _, sound, _ in heard]) / 60, 2),
        "words": sum([len(text.split()) for _, _, text in heard]),
        "different_words": len({word for _, _, text in heard for word in text.split()}),
        "characters": "".join(pieces.pieces).strip(),
        "rates": {str(k): v for k, v in Counter([s.file_rate for _, s, _ in heard]).items()},
        "channels": {str(k): v for k, v in Counter([s.file_channels for _, s, _ in heard]).items()},
    }
    if not named and not problems:
        problems.append(f"{path}: there are no recordings; list at least one.")
    listed = problems if len(problems) <= 20 else [
        *problems[:20], f"and {len(problems) - 20} more problems."
    ]  # fmt: skip
    return DataReport(path, tuple(listed), tuple(warnings), facts)


def steps_of(num_frames: int, frames_per_step: int) -> int:
    """The number of network steps of a recording."""
    return num_frames // frames_per_step


def _too_long(sound: Sound, needed: int, frames_per_step: int) -> str:
    """Why an example that needs this number of steps cannot be learned, or ""."""
    num_frames = max(0, int((sound.seconds - 0.025) / STEP) + 1)
    steps = steps_of(num_frames, frames_per_step)
    if needed <= steps:
        return ""
    return (
        f"the transcript needs {needed} steps, but {sound.seconds:.2f} s of audio have only "
        f"{steps}; check that the text belongs to this recording, or lower frames_per_step."
    )


def _rates(heard: Sequence[tuple[Place, Sound, str]]) -> list[str]:
    rates = Counter([sound.file_rate for _, sound, _ in heard])
    if len(rates) < 2:
        return []
    usual, _ = rates.most_common(1)[0]
    others = [(place, sound) for place, sound, _ in heard if sound.file_rate != usual]
    shown = "; ".join([f"{place}: {sound.file_rate} Hz" for place, sound in others[:3]])
    return [
        f"{len(others)} of {len(heard)} recordings are not at {usual} Hz ({shown}"
        f"{'; ...' if others[3:] else ''}); they are resampled, but a low rate loses high "
        "frequencies."
    ]


def _ratios(heard: Sequence[tuple[Place, Sound, str]]) -> list[str]:
    found = []
    for place, sound, text in heard:
        each = len(text) / sound.seconds
        if not SLOWEST <= each <= FASTEST:
            what = "too many for speech" if each > FASTEST else "unusually few"
            found.append(
                f"{place}: {len(text)} characters in {sound.seconds:.1f} s are {what}; "
                "check that the text belongs to this recording."
            )
    return _first_few(found, "more such recordings")


def _repeats(heard: Sequence[tuple[Place, Sound, str]]) -> list[str]:
    first: dict[str, tuple[Place, str]] = {}
    found = []
    for place, sound, text in heard:
        before, text_before = first.setdefault(sound.fingerprint, (place, text))
        if before is not place:
            which = "the same" if text == text_before else "a different"
            found.append(f"{place}: duplicate of the recording at {before}, with {which} text.")
    return _first_few(found, "more duplicate recordings")


def _first_few(sentences: list[str], what: str) -> list[str]:
    return sentences[:5] + ([f"and {len(sentences) - 5} {what}."] if sentences[5:] else [])
