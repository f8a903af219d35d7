"""Sound files as one channel of numbers at one rate; what is wrong with them as one sentence.

Any format of libsndfile (wav, flac, ogg, mp3 ...), any rate and any number of channels.  The same
resampler takes whole files and sound that arrives in pieces, and gives the same numbers.  What is
made of the numbers is in ``features.py``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from elman.data.faults import Fault, Place
from elman.errors import DataError
from elman.extras import extra

Samples = Float32[np.ndarray, " time"]

#: what the names of sound files end in
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au")
#: a sound that never goes beyond this part of full scale is silent: three steps of 16 bits
SILENCE = 1e-4


@dataclass(frozen=True)
class Sound:
    """One channel at the rate that was asked for, and what the file itself has."""

    samples: Samples
    seconds: float
    file_rate: int
    file_channels: int
    #: the same for files with the same samples, whatever their names
    fingerprint: str

    @property
    def silent(self) -> bool:
        """Whether nothing can be heard."""
        return not np.abs(self.samples).max(initial=0.0) > SILENCE


def read_audio(path: Path, rate: int) -> Sound:
    """The sound in a file at ``rate``, its channels averaged.

    Raises ``DataError`` for a file that is missing, empty or not a sound.
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
        samples, file_rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        reason = getattr(error, "error_string", str(error)).strip().rstrip(".")
        return Fault(
            place,
            f"{what} cannot be read as sound ({reason}); it may be cut off or of another kind. "
            "Give wav, flac, ogg or mp3.",
        )
    if len(samples) == 0:
        return Fault(place, f"{what} holds no sound: it has no samples; leave it out.")
    if not np.isfinite(samples).all():
        return Fault(place, f"{what} holds samples that are not numbers; save it again.")
    digest = hashlib.sha256(np.ascontiguousarray(samples).tobytes()).hexdigest()[:32]
    return Sound(
        samples=resample(mono(samples), file_rate, rate),
        seconds=len(samples) / file_rate,
        file_rate=file_rate,
        file_channels=samples.shape[1],
        fingerprint=digest,
    )


def mono(samples: Float32[np.ndarray, "time channel"]) -> Samples:
    """The mean of all channels.

    >>> mono(np.array([[1, 0], [0.5, 0.5]], np.float32)).tolist()
    [0.5, 0.5]
    """
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
