"""Transcribes audio while it arrives: resampling, features, network steps, search."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch

from elman.models import Transcriber, Transducer
from elman.nn.stack import State
from elman.tasks.speech.audio import Resampler, Samples
from elman.tasks.speech.features import STEP, Cmvn, Frames, LogMel, RunningMean


class Consumer(Protocol):
    """What processes the outputs of a model for a stream, such as ``SentenceSearch``."""

    def advance(self, rows: np.ndarray, /) -> None:
        """Processes more steps: log probabilities for CTC, or a transducer's encoder outputs."""


class StreamingTranscriber:
    """Feeds samples at ``rate`` hertz, in pieces of any size, through the model to a search.

    The result does not depend on how the audio is cut into pieces.
    """

    def __init__(
        self,
        model: Transcriber | Transducer,
        cmvn: Cmvn,
        search: Consumer,
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
                rows, self._state = self._model.advance(steps, self._state)
            self.search.advance(rows[:, 0].numpy())


def step_seconds(model: Transcriber | Transducer) -> float:
    """Seconds per step of a model."""
    return model.frames_per_step * STEP
