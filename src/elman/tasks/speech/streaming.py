"""Transcribes audio while it arrives: resampling, features, network steps, CTC search."""

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
    """An incremental search for symbols."""

    def advance(self, log_probs: np.ndarray) -> None:
        """Processes more steps: log probabilities (time, symbols)."""

    def best(self, *, ended: bool = True) -> list[int]:
        """The best symbols so far."""

    def stable(self) -> list[int]:
        """The symbols that will not change any more."""


class GreedySearch:
    """Greedy decoding, step by step; found symbols never change."""

    def __init__(self) -> None:
        self._found: list[int] = []
        self._last = BLANK

    def advance(self, log_probs: np.ndarray) -> None:
        """Processes more steps: log probabilities (time, symbols)."""
        path = log_probs.argmax(1).tolist()
        self._found += merge(path, self._last)
        self._last = path[-1] if path else self._last

    def best(self, *, ended: bool = True) -> list[int]:
        """The symbols so far."""
        return self._found

    def stable(self) -> list[int]:
        """The symbols so far."""
        return self._found


class StreamingTranscriber:
    """Feeds samples at ``rate`` hertz, in pieces of any size, through the model to a search.

    The result does not depend on how the audio is cut into pieces.
    """

    def __init__(
        self,
        model: Transcriber,
        cmvn: Cmvn,
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
        self._normal = RunningMean(cmvn)
        self._waiting = np.zeros((0, num_mels), np.float32)
        self._state: State | None = None

    def accept(self, samples: Samples) -> None:
        """Processes more samples."""
        self.seconds += len(samples) / self._rate
        self._process(self._mel.accept(self._resampler.accept(samples)))

    def finish(self) -> None:
        """Processes the end of the audio."""
        self._process(self._mel.accept(self._resampler.finish()))
        self._process(self._mel.finish())

    def _process(self, frames: Frames) -> None:
        # rounded like the stored frames of whole recordings, so that results are the same
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
    """Seconds per step of a model."""
    return model.frames_per_step * STEP


def pcm_pieces(source: BinaryIO, at_once: int = 3200) -> Iterator[Samples]:
    """Yields raw samples (16 bits, little-endian, one channel) as they arrive, until the end.

    Ignores an odd last byte.
    """
    read = getattr(source, "read1", source.read)  # read1 returns available bytes, without waiting
    left = b""
    while piece := read(at_once):
        piece = left + piece
        whole = len(piece) - len(piece) % 2
        left = piece[whole:]
        if whole:
            yield np.frombuffer(piece[:whole], "<i2").astype(np.float32) / 32768
