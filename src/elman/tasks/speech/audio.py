"""Sound files as one channel of numbers at one rate; what is wrong with them as one sentence.

Any format of libsndfile (wav, flac, ogg, mp3 ...), any rate and any number of channels.  The same
resampler takes whole files and sound that arrives in pieces, and gives the same numbers.  What is
made of the numbers is in ``features.py``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from elman.data.faults import Fault, Place
from elman.errors import DataError
from elman.extras import extra
from elman.tasks.speech.sound_headers import counts_its_frames, missing_bytes, ogg_ends

Samples = Float32[np.ndarray, " time"]

#: what the names of sound files end in
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au")
#: a sound that never goes beyond this part of full scale is silent: three steps of 16 bits
SILENCE = 1e-4
#: samples a second of a file
LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000
#: seconds; a model is trained on utterances, and memory has an end
LONGEST = 3600.0
#: the mean of channels with less than this part of the energy of the loudest has cancelled
_CANCELLED = 0.01
_BLOCK = 2**20  # numbers that are read at once
_UNKNOWN = 2**60  # frames of a file that does not say how many it has


@dataclass(frozen=True)
class Sound:
    """One channel at the rate that was asked for, and what the file itself has."""

    samples: Samples
    seconds: float
    file_rate: int
    file_channels: int
    #: the same for files with the same samples, whatever their names
    fingerprint: str
    #: what ``elman check`` says of it, without the name of the file
    notes: tuple[str, ...] = ()

    @property
    def silent(self) -> bool:
        """Whether nothing can be heard."""
        return not np.abs(self.samples).max(initial=0.0) > SILENCE


def read_audio(path: Path, rate: int) -> Sound:
    """The sound in a file at ``rate``, its channels averaged (see ``mono``).

    Raises ``DataError`` for a file that is missing, empty, cut off, longer than an hour or not a
    sound.
    """
    found = sound_or_fault(path, rate, Place(path))
    if isinstance(found, Fault):
        raise DataError(str(found))
    return found


def sound_or_fault(path: Path, rate: int, place: Place) -> Sound | Fault:
    """The sound in a file, or why there is none; ``place`` is where the file is named."""
    with extra("speech", "reading sound"):
        import soundfile

    what = "this file" if place.path == path else str(path)
    if not path.exists():
        return Fault(place, f"there is no sound file {path}; check its name and folder.")
    if path.is_dir():
        return Fault(place, f"{what} is a folder, and a sound file was expected.")
    try:
        missing = missing_bytes(path)
        if missing:
            return Fault(
                place,
                f"{what} is cut off: its header promises {missing:,} bytes more than are there; "
                "copy it again.",
            )
        with soundfile.SoundFile(str(path)) as file:
            complaint = _unusable(file)
            found = complaint or _read(file, path, rate)
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        reason = getattr(error, "error_string", str(error)).strip().rstrip(".")
        return Fault(
            place,
            f"{what} cannot be read as sound ({reason}); it may be cut off or of another kind. "
            "Give wav, flac, ogg or mp3.",
        )
    return Fault(place, f"{what} {found}") if isinstance(found, str) else found


def _unusable(file: Any) -> str:
    """What is wrong with what an open file says of itself, or nothing."""
    if not LOWEST_RATE <= file.samplerate <= HIGHEST_RATE:
        return (
            f"has {file.samplerate} samples a second, and from {LOWEST_RATE} to {HIGHEST_RATE} "
            "are read; save it again at 16000."
        )
    seconds = file.frames / file.samplerate
    if file.frames < _UNKNOWN and seconds > LONGEST:
        return (
            f"lasts {seconds / 3600:,.1f} hours, and a recording may last one; cut it into "
            "utterances, or copy it again if its header is wrong."
        )
    return ""


def _read(file: Any, path: Path, rate: int) -> Sound | str:
    """The sound in an open file, block by block; what is wrong with it after "this file"."""
    digest, count = hashlib.sha256(), 0
    energy, energy_of_mean = np.zeros(file.channels), 0.0
    resampler, pieces = Resampler(file.samplerate, rate), []
    for block in _blocks(file):
        if not np.isfinite(block).all():
            return "holds samples that are not numbers; save it again."
        digest.update(np.ascontiguousarray(block).tobytes())
        count += len(block)
        if count > LONGEST * file.samplerate:
            return "lasts more than an hour; cut it into utterances."
        mean = _mean(block)
        energy += np.square(block, dtype=np.float64).sum(0)
        energy_of_mean += float(np.square(mean, dtype=np.float64).sum())
        pieces.append(resampler.accept(mean))
    if count == 0:
        return "holds no sound: it has no samples; leave it out."
    if count < file.frames < _UNKNOWN and (file.format != "MP3" or counts_its_frames(path)):
        return (
            f"is cut off: its header promises {file.frames / file.samplerate:.2f} s and "
            f"{count / file.samplerate:.2f} s are there; copy it again."
        )
    notes = []
    if file.format == "OGG" and not ogg_ends(path):
        notes.append("its last page is missing; it may be cut off.")
    if energy_of_mean < _CANCELLED * energy.max():
        loudest = int(energy.argmax())
        notes.append(
            f"its channels cancel when they are averaged (opposite phase), so channel "
            f"{loudest + 1} is used alone."
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
    """The mean of all channels; the loudest alone where the mean has not 1 % of its energy.

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
    """The same sound at another rate (soxr, high quality).

    >>> len(resample(np.zeros(44_100, np.float32), 44_100, 8_000))
    8000
    """
    resampler = Resampler(rate, new_rate)
    return np.concatenate([resampler.accept(samples), resampler.finish()])


class Resampler:
    """Resamples sound that arrives in pieces; however it is cut, the same numbers come out."""

    def __init__(self, rate: int, new_rate: int) -> None:
        with extra("speech", "resampling sound"):
            import soxr

        self._stream: Any = None
        if rate != new_rate:
            self._stream = soxr.ResampleStream(rate, new_rate, 1, dtype="float32")

    def accept(self, samples: Samples) -> Samples:
        """What can be given out after these samples; some wait for those that follow."""
        if self._stream is None:
            return samples
        out: Samples = self._stream.resample_chunk(samples)
        return out

    def finish(self) -> Samples:
        """What has waited: call it once, at the end."""
        if self._stream is None:
            return np.zeros(0, np.float32)
        out: Samples = self._stream.resample_chunk(np.zeros(0, np.float32), last=True)
        return out
