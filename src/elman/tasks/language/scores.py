"""Evaluates language models: bits per character and perplexity.

Every token counts once.  ``score`` reads each text from its start with the state carried on;
``validate`` reads parts of it side by side, each after some tokens of context, which is faster and
nearly the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elman.data.units import BOUNDARY, UNKNOWN, Units
from elman.models import LanguageModel
from elman.nn.stack import State
from elman.tasks.inference import in_batches
from elman.tasks.language.data import token_ids
from elman.tasks.language.dynamic import DynamicModel
from elman.tasks.language.options import LanguageOptions, WritingOptions
from elman.tasks.language.sections import Section
from elman.tasks.task import Fitted

#: steps that run at once; the state is carried on
_STEPS = 512
#: validation reads so many parts of a text side by side, each of at least this many tokens
_PARTS, _SHORTEST = 32, 500


@dataclass(frozen=True)
class Part:
    """Tokens to read; the first ``skipped`` predictions are context and do not count."""

    tokens: NDArray[np.int64]
    skipped: int = 0

    def __len__(self) -> int:
        return len(self.tokens) - 1


def score(
    fitted: Fitted[Units, LanguageOptions], examples: Sequence[Section], wanted: WritingOptions
) -> dict[str, Any]:
    """The metrics, with the state carried through each text."""
    texts = token_ids(examples, fitted.symbols, backward=fitted.options.backward)
    if wanted.dynamic_rate:
        return _metrics(examples, texts, _dynamic_nats(fitted, texts, wanted.dynamic_rate))
    return _scores(fitted, examples, texts, [Part(tokens) for tokens in texts])


def validate(fitted: Fitted[Units, LanguageOptions], examples: Sequence[Section]) -> dict[str, Any]:
    """The metrics, with each text read in parts."""
    texts = token_ids(examples, fitted.symbols, backward=fitted.options.backward)
    parts = [part for tokens in texts for part in _parts(tokens, fitted.options.longest)]
    return _scores(fitted, examples, texts, parts)


def _parts(tokens: NDArray[np.int64], context: int) -> list[Part]:
    count = len(tokens) - 1
    size = max(_SHORTEST, -(-count // _PARTS))
    found = []
    for start in range(0, count, size):
        before = min(start, context)
        found.append(Part(tokens[start - before : start + size + 1], before))
    return found


def _scores(
    fitted: Fitted[Units, LanguageOptions],
    examples: Sequence[Section],
    texts: Sequence[NDArray[np.int64]],
    parts: Sequence[Part],
) -> dict[str, Any]:
    model = fitted.model
    assert isinstance(model, LanguageModel)
    nats = -sum(in_batches(model, parts, len, lambda batch: log_probabilities(model, batch)))
    return _metrics(examples, texts, nats)


def _dynamic_nats(
    fitted: Fitted[Units, LanguageOptions], texts: Sequence[NDArray[np.int64]], rate: float
) -> float:
    model, window = fitted.model, fitted.options.longest
    assert isinstance(model, LanguageModel)
    nats = 0.0
    for text in texts:
        tokens, learning = torch.from_numpy(text), DynamicModel(model, rate)
        for start in range(0, len(tokens) - 1, window):
            nats -= float(learning.read(tokens[start : start + window + 1]).double().sum())
    return nats


def _metrics(
    examples: Sequence[Section], texts: Sequence[NDArray[np.int64]], nats: float
) -> dict[str, Any]:
    tokens = sum([len(text) - 1 for text in texts])
    characters = sum([len(section) for section in examples])
    unknown = sum([int((text == UNKNOWN).sum()) for text in texts])
    loss = nats / max(tokens, 1)
    return {
        "bits_per_character": nats / math.log(2) / max(characters, 1),
        "perplexity": math.exp(min(loss, 700.0)),
        "loss": loss,
        "unknown": unknown / max(tokens, 1),
        "tokens": tokens,
        "characters": characters,
        "examples": len(examples),
    }


def log_probabilities(model: LanguageModel, parts: Sequence[Part]) -> list[float]:
    """The log probability of each part, as a sum over its tokens."""
    tokens = torch.nn.utils.rnn.pad_sequence(
        [torch.from_numpy(part.tokens) for part in parts], padding_value=BOUNDARY
    )
    lengths = torch.tensor([len(part) for part in parts])
    skipped = torch.tensor([part.skipped for part in parts])
    total = torch.zeros(len(parts), dtype=torch.float64)
    state: State | None = None
    for start in range(0, len(tokens) - 1, _STEPS):
        x, y = tokens[start : start + _STEPS], tokens[start + 1 : start + _STEPS + 1]
        x = x[: len(y)]
        features, state = model(x, (lengths - start).clamp(0, len(x)), state)
        time = torch.arange(start, start + len(x))[:, None]
        counted = (time < lengths) & (time >= skipped)
        each: Tensor = model.prediction.log_prob(features, y)
        total += torch.where(counted, each.double(), 0.0).sum(0)
    return [float(value) for value in total]
