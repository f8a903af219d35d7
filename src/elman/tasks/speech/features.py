"""Sound as the energies that an ear hears: log-mel features, of a whole file or as it arrives.

A frame covers 25 ms and there is one every 10 ms (kaldi-native-fbank, with Kaldi's window and
pre-emphasis).  Frames are then freed of what a microphone and a room add by taking away a running
mean of each band: that of the frames so far, which a listener has too, so that sound can be
transcribed while it arrives.  Both give the same numbers whole and in pieces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32

from elman.extras import extra
from elman.tasks.speech.audio import Samples

Frames = Float32[np.ndarray, "time mel"]

#: seconds from one frame to the next, and that a frame covers
STEP, WINDOW = 0.010, 0.025
#: log energies below this are silence, digital or not: a step of 16 bits is heard no more
FLOOR = -13.0
#: the mean of all training frames counts as so many frames of any sound
PRIOR = 100.0


def log_mel(samples: Samples, rate: int, num_mels: int) -> Frames:
    """The log energies in ``num_mels`` bands, a row for each frame that is whole.

    >>> log_mel(np.zeros(8_000, np.float32), 8_000, 40).shape
    (98, 40)
    """
    stream = LogMel(rate, num_mels)
    return np.concatenate([stream.accept(samples), stream.finish()])


class LogMel:
    """Log-mel frames of sound that arrives in pieces."""

    def __init__(self, rate: int, num_mels: int) -> None:
        with extra("speech", "config speech"):
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
        """The frames that are whole after these samples."""
        if len(samples):
            self._fbank.accept_waveform(self._rate, samples)
        return self._new_frames()

    def finish(self) -> Frames:
        """The frames of the end: call it once."""
        self._fbank.input_finished()
        return self._new_frames()

    def _new_frames(self) -> Frames:
        ready = self._fbank.num_frames_ready
        frames = np.empty((ready - self._given, self._num_mels), np.float32)
        for k in range(len(frames)):
            frames[k] = self._fbank.get_frame(self._given + k)  # a view, until pop
        self._fbank.pop(len(frames))
        self._given = ready
        return np.maximum(frames, np.float32(FLOOR), out=frames)


@dataclass(frozen=True)
class Cmvn:
    """What frames usually are: the mean and the std of each band over the training data."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, sounds: list[Frames]) -> Cmvn:
        """Mean and std over all frames; a band that never changes has the std 1."""
        count = sum(len(frames) for frames in sounds)
        total = sum(frames.sum(0, dtype=np.float64) for frames in sounds)
        mean = total / count
        squares = sum(np.square(frames - mean).sum(0, dtype=np.float64) for frames in sounds)
        std = np.sqrt(squares / count)
        std[std < 1e-3] = 1.0
        return cls(tuple(np.round(mean, 4).tolist()), tuple(np.round(std, 4).tolist()))


class RunningMean:
    """Takes from each frame the mean of the frames so far, and divides by the usual std.

    >>> normal = Cmvn((1.0,), (2.0,))
    >>> RunningMean(normal).accept(np.array([[1.0], [1.0]], np.float32)).tolist()
    [[0.0], [0.0]]
    """

    def __init__(self, normal: Cmvn) -> None:
        self._mean = np.array(normal.mean)
        self._spread = np.array(normal.std)
        self._sum, self._count = PRIOR * self._mean, PRIOR

    def accept(self, frames: Frames) -> Frames:
        """The same frames, normalised."""
        if not len(frames):
            return np.asarray(frames, np.float32)
        # the sum goes on from frame to frame, in this order, so that pieces give the same bits
        sums = np.cumsum(np.concatenate([self._sum[None], frames], dtype=np.float64), 0)[1:]
        counts = self._count + np.arange(1, len(frames) + 1)[:, None]
        self._sum, self._count = sums[-1], float(counts[-1, 0])
        normal: Frames = ((frames - sums / counts) / self._spread).astype(np.float32)
        return normal


def normalised(frames: Frames, normal: Cmvn) -> Frames:
    """A whole sound's frames through a ``RunningMean``."""
    return RunningMean(normal).accept(frames)
