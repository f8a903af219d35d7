"""A sound's way to text: frames, steps, search; whole, or piece by piece while it arrives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Protocol

import numpy as np
import torch

from elman.decode.ctc import BLANK, PrefixBeam, merge
from elman.models import Transcriber
from elman.nn.stack import State
from elman.tasks.speech.audio import Resampler, Samples
from elman.tasks.speech.features import STEP, Cmvn, Frames, LogMel, RunningMean


class Search(Protocol):
    """Finds symbols in steps as they come."""

    def advance(self, log_probs: np.ndarray) -> None:
        """Take in more steps."""

    def best(self, *, ended: bool = True) -> list[int]:
        """The best symbols so far."""

    def stable(self) -> list[int]:
        """Those that will not change any more."""


class GreedySearch:
    """The best path, step by step; what it has found never changes."""

    def __init__(self) -> None:
        self._found: list[int] = []
        self._last = BLANK

    def advance(self, log_probs: np.ndarray) -> None:
        """Take in more steps."""
        path = log_probs.argmax(1).tolist()
        self._found += merge(path, self._last)
        self._last = path[-1] if path else self._last

    def best(self, *, ended: bool = True) -> list[int]:
        """The symbols so far."""
        return self._found

    def stable(self) -> list[int]:
        """The symbols so far."""
        return self._found


class Listener:
    """Hears samples at ``rate`` in pieces of any size and tells a search what they may be.

    What has been found does not depend on how the sound was cut into pieces.
    """

    def __init__(
        self,
        model: Transcriber,
        normal: Cmvn,
        search: Search | PrefixBeam,
        *,
        rate: int,
        sample_rate: int,
        num_mels: int,
    ) -> None:
        self.search = search
        self.seconds = 0.0
        self._model = model
        self._rate = rate
        self._resampler = Resampler(rate, sample_rate)
        self._mel = LogMel(sample_rate, num_mels)
        self._normal = RunningMean(normal)
        self._waiting = np.zeros((0, num_mels), np.float32)
        self._state: State | None = None

    def accept(self, samples: Samples) -> None:
        """Hear more."""
        self.seconds += len(samples) / self._rate
        self._hear(self._mel.accept(self._resampler.accept(samples)))

    def finish(self) -> None:
        """The sound has ended."""
        self._hear(self._mel.accept(self._resampler.finish()))
        self._hear(self._mel.finish())

    def _hear(self, frames: Frames) -> None:
        # as whole sounds are kept, so that the numbers are the same
        frames = frames.astype(np.float16).astype(np.float32)
        frames = np.concatenate([self._waiting, self._normal.accept(frames)])
        whole = len(frames) - len(frames) % self._model.frames_per_step
        self._waiting = frames[whole:]
        if whole:
            with torch.no_grad():
                steps = torch.from_numpy(frames[:whole])[:, None]
                log_probs, self._state = self._model.advance(steps, self._state)
            self.search.advance(log_probs[:, 0].numpy())


def step_seconds(model: Transcriber) -> float:
    """Seconds from one step of a model to the next."""
    return model.frames_per_step * STEP


def pcm_pieces(source: BinaryIO, at_once: int = 3200) -> Iterator[Samples]:
    """Raw samples, 16 bits each, little-endian, one channel, as they come; to the end of source.

    A byte too many at the end is left out.
    """
    read = getattr(source, "read1", source.read)  # what is there, not all that was asked for
    left = b""
    while piece := read(at_once):
        piece = left + piece
        whole = len(piece) - len(piece) % 2
        left = piece[whole:]
        if whole:
            yield np.frombuffer(piece[:whole], "<i2").astype(np.float32) / 32768
