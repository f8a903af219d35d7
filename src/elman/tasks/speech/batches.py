"""Makes batches of recordings and drops those that are too long."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn.utils.rnn import pad_sequence

from elman.data import pad_sequences
from elman.errors import DataError
from elman.tasks.speech.augmentation import Augmentation, augment, mask_spans
from elman.tasks.speech.data import (
    Utterance,
    steps_of,
)
from elman.tasks.speech.features import normalised
from elman.tasks.speech.options import SpeechOptions
from elman.tasks.speech.symbols import SpeechSymbols
from elman.tasks.speech.transcripts import steps_needed


def collate(
    examples: Sequence[Utterance],
    symbols: SpeechSymbols,
    options: SpeechOptions,
    generator: Generator | None = None,
) -> dict[str, Tensor]:
    """Normalised frames (time, batch, mel) and the symbols of the transcripts, with lengths.

    Augments the frames if a ``generator`` is given.
    """
    frames = [example.frames.astype(np.float32) for example in examples]
    targets = [symbols.pieces.encode(example.text or "") for example in examples]
    if generator is None:
        heard = [normalised(each, symbols.cmvn) for each in frames]
    else:
        seed = int(torch.randint(2**62, (1,), generator=generator))
        random = np.random.default_rng(seed)
        augmentation = Augmentation(
            options.speed, options.size, options.noise, options.colour, options.masks
        )
        heard = []
        for each, target in zip(frames, targets, strict=True):
            other = augment(each, augmentation, random)
            # a faster recording may be too short for its transcript
            if steps_of(len(other), options.frames_per_step) < steps_needed(target):
                other = each
            heard.append(mask_spans(normalised(other, symbols.cmvn), options.masks, random))
    batch = {
        "frames": pad_sequence([torch.from_numpy(each) for each in heard]),
        "lengths": torch.tensor([len(each) for each in heard]),
    }
    if all([example.text is not None for example in examples]):
        batch["symbols"], batch["symbol_counts"] = pad_sequences(targets)
    return batch


def cut(examples: Sequence[Utterance], longest: int) -> list[Utterance]:
    """Drops longer recordings: without alignments, their transcripts cannot be split."""
    kept = [example for example in examples if len(example.frames) <= longest]
    _tell_left_out(examples, kept, f"they are longer than {longest} frames of 10 ms (--longest)")
    if not kept:
        raise DataError(
            f"every recording is longer than {longest} frames of 10 ms; split them at pauses or "
            "raise longest."
        )
    return kept


def _tell_left_out(before: Sequence[Utterance], kept: Sequence[Utterance], why: str) -> None:
    there = {id(example) for example in kept}
    lost = [example.place or example.name for example in before if id(example) not in there]
    if lost:
        shown = "; ".join(lost[:3]) + ("; ..." if lost[3:] else "")
        print(f"Skipping {len(lost)} recordings ({shown}): {why}.", file=sys.stderr)
