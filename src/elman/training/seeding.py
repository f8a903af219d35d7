"""Every random choice in training follows from the seed and the position where it is made.

A position is, for example, (epoch 3, batch 17, process 0).  The generators of torch, Python and
NumPy are seeded at each position, so that dropout draws the same numbers there even if training
was killed and resumed in between.  No generator state has to be saved.
"""

import hashlib
import random

import numpy
import torch


def derived_seed(seed: int, *place: int | str) -> int:
    """A 63-bit seed for one position; different positions have unrelated seeds.

    >>> derived_seed(0, "epoch", 1) == derived_seed(0, "epoch", 1)
    True
    >>> derived_seed(0, "epoch", 1) == derived_seed(0, "epoch", 2)
    False
    """
    digest = hashlib.blake2b(repr((seed, *place)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def seed_everything(seed: int, *place: int | str) -> torch.Generator:
    """Seed torch, Python and NumPy for one position; return another torch generator.

    >>> generator = seed_everything(0, "epoch", 1, "batch", 1)
    >>> first = torch.rand(())
    >>> generator = seed_everything(0, "epoch", 1, "batch", 1)
    >>> bool(torch.rand(()) == first)
    True
    """
    number = derived_seed(seed, *place)
    torch.default_generator.manual_seed(number)  # torch.manual_seed takes a millisecond
    random.seed(number)
    numpy.random.seed(number % 2**32)
    return torch.Generator().manual_seed(number)
