"""Log-mel features of whole recordings and of audio that arrives in pieces.

A frame covers 25 ms and there is one every 10 ms (kaldi-native-fbank, with Kaldi's window and
pre-emphasis).  Subtracting a running level makes loud and quiet recordings alike, and subtracting
a running mean of each band removes the effect of microphone and room.  Both cover only past frames,
so audio can be transcribed live.  Audio in pieces gives the same features as a whole recording.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32

from elman.extras import extra
from elman.tasks.speech.audio import Samples

Frames = Float32[np.ndarray, "time mel"]

#: seconds between frames, and the duration of a frame
STEP, WINDOW = 0.010, 0.025
#: log energies are clipped here, below one quantisation step of 16 bits
FLOOR = -13.0
#: weight of the training mean in the running mean, in frames
PRIOR = 100.0


def log_mel(samples: Samples, rate: int, num_mels: int) -> Frames:
    """Log energies in ``num_mels`` bands, one row per complete frame.

    >>> log_mel(np.zeros(8_000, np.float32), 8_000, 40).shape
    (98, 40)
    """
    stream = LogMel(rate, num_mels)
    return np.concatenate([stream.accept(samples), stream.finish()])


class LogMel:
    """Computes log-mel frames of audio that arrives in pieces."""

    def __init__(self, rate: int, num_mels: int) -> None:
        with extra("speech", "computing log-mel features"):
            import kaldi_native_fbank

        options = kaldi_native_fbank.FbankOptions()
        options.frame_opts.samp_freq = rate
        options.frame_opts.dither = 0.0
        options.frame_opts.snip_edges = True
        options.mel_opts.num_bins = num_mels
        options.mel_opts.low_freq = 60.0
        options.mel_opts.high_freq = rate * 0.475
        self._fbank: Any = kaldi_native_fbank.OnlineFbank(options)
        self._rate, self._num_mels, self._given = rate, num_mels, 0

    def accept(self, samples: Samples) -> Frames:
        """The frames that these samples complete."""
        if len(samples):
            self._fbank.accept_waveform(self._rate, samples)
        return self._new_frames()

    def finish(self) -> Frames:
        """The last frames; call it once, at the end."""
        self._fbank.input_finished()
        return self._new_frames()

    def _new_frames(self) -> Frames:
        ready = self._fbank.num_frames_ready
        frames = np.empty((ready - self._given, self._num_mels), np.float32)
        for k in range(len(frames)):
            frames[k] = self._fbank.get_frame(self._given + k)  # a view, valid until pop
        self._fbank.pop(len(frames))
        self._given = ready
        return np.maximum(frames, np.float32(FLOOR), out=frames)


class RunningLevel:
    """Subtracts the level of the audio so far: the log of the mean energy of its frames.

    The energy of a frame is the geometric mean of its bands.  A gain changes nothing, but for
    bands below the floor of the log energies.

    >>> loud = np.array([[1.0, 3.0], [4.0, 4.0]], np.float32)
    >>> np.allclose(RunningLevel().accept(loud), RunningLevel().accept(loud - 2))
    True
    """

    def __init__(self) -> None:
        self._sum, self._count = np.zeros(1), 0

    def accept(self, frames: Frames) -> Frames:
        """Subtracts the level from the next frames."""
        if not len(frames):
            return np.asarray(frames, np.float32)
        energies = np.exp(frames.mean(1, dtype=np.float64))
        # one running sum in frame order, so that pieces give the same bits
        sums = np.cumsum(np.concatenate([self._sum, energies]))[1:]
        counts = self._count + np.arange(1, len(frames) + 1)
        self._sum, self._count = sums[-1:], int(counts[-1])
        levelled: Frames = (frames - np.log(sums / counts)[:, None]).astype(np.float32)
        return levelled


@dataclass(frozen=True)
class Cmvn:
    """Mean and standard deviation of each band over the training data.

    ``level``: whether they are those of frames whose running level was subtracted.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    level: bool = False

    @classmethod
    def of(cls, sounds: Iterable[Frames], *, level: bool = False) -> Cmvn:
        """Computes them over all frames; a constant band gets the standard deviation 1."""
        count, total, squares = 0, np.zeros(()), np.zeros(())
        for frames in sounds:
            if level:
                frames = RunningLevel().accept(frames)
            count += len(frames)
            total = total + frames.sum(0, dtype=np.float64)
            squares = squares + np.square(frames, dtype=np.float64).sum(0)
        mean = total / count
        std = np.sqrt(np.maximum(squares / count - np.square(mean), 0))
        std[std < 1e-3] = 1.0
        return cls(tuple(np.round(mean, 4).tolist()), tuple(np.round(std, 4).tolist()), level)


class RunningMean:
    """Subtracts the mean of the frames so far and divides by the training standard deviation.

    >>> cmvn = Cmvn((1.0,), (2.0,))
    >>> RunningMean(cmvn).accept(np.array([[1.0], [1.0]], np.float32)).tolist()
    [[0.0], [0.0]]
    """

    def __init__(self, cmvn: Cmvn) -> None:
        self._mean = np.array(cmvn.mean)
        self._std = np.array(cmvn.std)
        self._level = RunningLevel() if cmvn.level else None
        self._sum, self._count = PRIOR * self._mean, PRIOR

    def accept(self, frames: Frames) -> Frames:
        """Normalises the next frames."""
        if not len(frames):
            return np.asarray(frames, np.float32)
        if self._level is not None:
            frames = self._level.accept(frames)
        # one running sum in frame order, so that pieces give the same bits
        sums = np.cumsum(np.concatenate([self._sum[None], frames], dtype=np.float64), 0)[1:]
        counts = self._count + np.arange(1, len(frames) + 1)[:, None]
        self._sum, self._count = sums[-1], float(counts[-1, 0])
        normal: Frames = ((frames - sums / counts) / self._std).astype(np.float32)
        return normal


def normalised(frames: Frames, cmvn: Cmvn) -> Frames:
    """Normalises the frames of a whole recording with a ``RunningMean``."""
    return RunningMean(cmvn).accept(frames)
