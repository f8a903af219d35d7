"""Inference on many examples: in batches, without gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import nn

Example = TypeVar("Example")
Answer = TypeVar("Answer")

#: maximum number of padded steps in a batch
STEPS_AT_ONCE = 20_000


def in_batches(
    model: nn.Module,
    examples: Sequence[Example],
    length: Callable[[Example], int],
    answer: Callable[[Sequence[Example]], Sequence[Answer]],
) -> list[Answer]:
    """``answer`` for all examples, in batches of similar lengths; results in the given order.

    During the call the model is in evaluation mode, and no gradients are recorded.
    """
    answers: dict[int, Answer] = {}
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for batch in _batches([length(example) for example in examples]):
                found = answer([examples[k] for k in batch])
                answers.update(zip(batch, found, strict=True))
    finally:
        model.train(was_training)
    return [answers[k] for k in range(len(examples))]


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices by length, at most ``STEPS_AT_ONCE`` padded steps and 256 examples per batch."""
    batch: list[int] = []
    for k in sorted(range(len(lengths)), key=lambda k: lengths[k]):
        if batch and (len(batch) == 256 or lengths[k] * (len(batch) + 1) > STEPS_AT_ONCE):
            yield batch
            batch = []
        batch.append(k)
    if batch:
        yield batch
