"""Reads audio files as one channel of samples at one rate, and describes faulty ones.

Any format of libsndfile (wav, flac, ogg, mp3 ...), the sound of m4a and video files
(``sound_tracks.py``), any rate and any number of channels.  The
resampler returns the same samples for a whole file and for audio that arrives in pieces.
Features are computed in ``features.py``.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from elman.data.faults import Fault, Place
from elman.data.sources import kind_of
from elman.errors import DataError
from elman.extras import extra
from elman.tasks.speech.mp3_frames import Mp3Frames, mp3_frames
from elman.tasks.speech.sound_headers import missing_bytes, ogg_ends
from elman.tasks.speech.sound_tracks import TRACK_SUFFIXES, NoSoundError, SoundTrack

Samples = Float32[np.ndarray, " time"]

#: suffixes of audio files
AUDIO_SUFFIXES = (
    ".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au", *TRACK_SUFFIXES,
)  # fmt: skip
#: peak amplitude, as a fraction of full scale, up to which a recording is silent: 3 16-bit steps
SILENCE = 1e-4
#: accepted sample rates of files, in hertz
LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000
#: maximum duration in seconds: models train on utterances, and memory is finite
LONGEST = 3600.0
#: channels cancel if their mean has less than this fraction of the energy of the loudest
_CANCELLED = 0.01
_BLOCK = 2**20  # samples per read
_UNKNOWN = 2**60  # frame count from which on the length is unknown


@dataclass(frozen=True)
class Sound:
    """One channel at the requested rate, and properties of the file."""

    samples: Samples
    seconds: float
    file_rate: int
    file_channels: int
    #: hash of the samples
    fingerprint: str
    #: notes for ``elman check``, without the file name
    notes: tuple[str, ...] = ()

    @property
    def silent(self) -> bool:
        """Whether the recording is silent."""
        return not np.abs(self.samples).max(initial=0.0) > SILENCE


def read_audio(path: Path, rate: int) -> Sound:
    """Reads a file, averages its channels (see ``mono``) and resamples it to ``rate`` hertz.

    Raises ``DataError`` if the file is missing, empty, truncated, longer than an hour or not audio.
    """
    found = sound_or_fault(path, rate, Place(path))
    if isinstance(found, Fault):
        raise DataError(str(found))
    return found


def sound_or_fault(path: Path, rate: int, place: Place) -> Sound | Fault:
    """Like ``read_audio``, but returns faults; ``place`` is where the file is named."""
    with extra("speech", "reading audio"):
        import soundfile

    what = "this file" if place.path == path else str(path)
    kind = kind_of(path)
    if kind == "missing":
        name = "" if place.path == path else f": {path}"
        return Fault(place, f"there is no such audio file{name}; check its name and folder.")
    if kind != "file":
        found_there = "a folder" if kind == "folder" else "a pipe or a device"
        return Fault(place, f"{what} is {found_there}; an audio file was expected.")
    try:
        missing = missing_bytes(path)
        if missing:
            return Fault(
                place,
                f"{what} is truncated: its header announces {missing:,} more bytes than the file "
                "has; copy it again.",
            )
        if path.suffix.lower() in TRACK_SUFFIXES:
            return _track_or_fault(path, rate, place, what)
        with soundfile.SoundFile(str(path)) as file:
            frames = mp3_frames(path) if file.format == "MP3" else None
            if frames is None:
                found = _header_fault(file.samplerate, _seconds(file)) or _read(file, path, rate)
        if frames is not None:
            found = _read_mp3(frames, path, rate)
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        reason = getattr(error, "error_string", str(error)).strip().rstrip(".")
        return Fault(
            place,
            f"{what} cannot be read as audio ({reason}); it may be truncated or in another format. "
            "Use wav, flac, ogg or mp3.",
        )
    return Fault(place, f"{what} {found}") if isinstance(found, str) else found


def _track_or_fault(path: Path, rate: int, place: Place, what: str) -> Sound | Fault:
    """Like ``sound_or_fault``, for the sound track of an m4a or video file."""
    try:
        with SoundTrack(path) as file:
            found = _header_fault(file.samplerate, _seconds(file)) or _read(file, path, rate)
    except NoSoundError as error:
        return Fault(
            place,
            f"the sound of {what} cannot be read ({error}); the file may be truncated. Save it "
            "again, or its sound as wav.",
        )
    return Fault(place, f"{what} {found}") if isinstance(found, str) else found


def _seconds(file: Any) -> float:
    """The length that an open file announces; 0 if unknown."""
    return float(file.frames / file.samplerate) if file.frames < _UNKNOWN else 0.0


def _header_fault(rate: int, seconds: float) -> str:
    """Returns the fault in the rate and length that a file announces, or ""."""
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        return (
            f"has a sample rate of {rate} Hz, but only {LOWEST_RATE} to {HIGHEST_RATE} "
            "Hz are supported; save it at 16000 Hz."
        )
    if seconds > LONGEST:
        return (
            f"lasts {seconds / 3600:,.1f} hours, but the limit is one hour; split it into "
            "utterances, or copy it again if its header is wrong."
        )
    return ""


def _read_mp3(frames: Mp3Frames, path: Path, rate: int) -> Sound | str:
    """Reads all frames of an mp3 file, however many its header announces."""
    with extra("speech", "reading audio"):
        import soundfile

    if frames.cut:
        return "is truncated: its last frame is incomplete; copy it again."
    fault = _header_fault(frames.rate, frames.seconds)
    if fault:
        return fault
    announced = frames.announced
    # some encoders count the frame that announces the others
    if announced is not None and announced > frames.count + 1:
        there = frames.samples / frames.rate
        return (
            f"is truncated: its header announces {announced * there:.2f} s, but only "
            f"{frames.count * there:.2f} s are there; copy it again."
        )
    source: Any = str(path)
    notes: tuple[str, ...] = ()
    if frames.header and (announced is None or announced < frames.count - 1):
        source = io.BytesIO(frames.header + path.read_bytes()[frames.start :])
        if announced:
            notes = (
                f"its header announces {announced:,} frames, but it has {frames.count:,} "
                "(several files joined?); all are read.",
            )
    with soundfile.SoundFile(source) as file:
        found = _read(file, path, rate)
    return found if isinstance(found, str) else replace(found, notes=(*notes, *found.notes))


def _read(file: Any, path: Path, rate: int) -> Sound | str:
    """Reads an open file block by block; returns a fault without its subject ("this file")."""
    digest, count = hashlib.sha256(), 0
    energy, energy_of_mean = np.zeros(file.channels), 0.0
    resampler, pieces = Resampler(file.samplerate, rate), []
    for block in _blocks(file):
        if not np.isfinite(block).all():
            return "has samples that are NaN or infinite; save it again."
        digest.update(np.ascontiguousarray(block).tobytes())
        count += len(block)
        if count > LONGEST * file.samplerate:
            return "lasts more than an hour; split it into utterances."
        mean = _mean(block)
        energy += np.square(block, dtype=np.float64).sum(0)
        energy_of_mean += float(np.square(mean, dtype=np.float64).sum())
        pieces.append(resampler.accept(mean))
    if count == 0:
        return "has no samples; remove it from the data."
    if count < file.frames < _UNKNOWN and file.format != "MP3":
        return (
            f"is truncated: its header announces {file.frames / file.samplerate:.2f} s, but only "
            f"{count / file.samplerate:.2f} s are there; copy it again."
        )
    notes = []
    if file.format == "OGG" and not ogg_ends(path):
        notes.append("its last page is missing; it may be truncated.")
    if energy_of_mean < _CANCELLED * energy.max():
        loudest = int(energy.argmax())
        notes.append(
            f"its channels cancel when averaged (opposite phase), so only channel "
            f"{loudest + 1} is used."
        )
        file.seek(0)
        resampler = Resampler(file.samplerate, rate)
        pieces = [resampler.accept(block[:, loudest].copy()) for block in _blocks(file)]
    return Sound(
        samples=np.concatenate([*pieces, resampler.finish()]),
        seconds=count / file.samplerate,
        file_rate=file.samplerate,
        file_channels=file.channels,
        fingerprint=digest.hexdigest()[:32],
        notes=tuple(notes),
    )


def _blocks(file: Any) -> Iterator[Float32[np.ndarray, "time channel"]]:
    while len(block := file.read(_BLOCK // file.channels, dtype="float32", always_2d=True)):
        yield block


def mono(samples: Float32[np.ndarray, "time channel"]) -> Samples:
    """The mean of all channels, or the loudest channel if the mean has under 1 % of its energy.

    >>> mono(np.array([[1, 0], [0.5, 0.5]], np.float32)).tolist()
    [0.5, 0.5]
    >>> mono(np.array([[1, -1], [0.5, -0.5]], np.float32)).tolist()
    [1.0, 0.5]
    """
    mean = _mean(samples)
    energy = np.square(samples, dtype=np.float64).sum(0)
    if float(np.square(mean, dtype=np.float64).sum()) < _CANCELLED * energy.max():
        return samples[:, int(energy.argmax())].copy()
    return mean


def _mean(samples: Float32[np.ndarray, "time channel"]) -> Samples:
    mean: Samples = samples.mean(1, dtype=np.float32)
    return mean


def resample(samples: Samples, rate: int, new_rate: int) -> Samples:
    """Resamples to another rate (soxr, high quality).

    >>> len(resample(np.zeros(44_100, np.float32), 44_100, 8_000))
    8000
    """
    resampler = Resampler(rate, new_rate)
    return np.concatenate([resampler.accept(samples), resampler.finish()])


class Resampler:
    """Resamples audio that arrives in pieces; the result does not depend on how it is cut."""

    def __init__(self, rate: int, new_rate: int) -> None:
        with extra("speech", "resampling audio"):
            import soxr

        self._stream: Any = None
        if rate != new_rate:
            self._stream = soxr.ResampleStream(rate, new_rate, 1, dtype="float32")

    def accept(self, samples: Samples) -> Samples:
        """Takes samples and returns those that are ready; some wait for the next call."""
        if self._stream is None:
            return samples
        out: Samples = self._stream.resample_chunk(samples)
        return out

    def finish(self) -> Samples:
        """Returns the remaining samples; call it once, at the end."""
        if self._stream is None:
            return np.zeros(0, np.float32)
        out: Samples = self._stream.resample_chunk(np.zeros(0, np.float32), last=True)
        return out
