"""Every random choice of training follows from the seed and the place where it is made.

A place is, say, (epoch 3, batch 17, process 0).  The generators of torch, Python and NumPy are
set anew at each place, so that dropout there draws the same numbers whether training came by in
one go or was killed and resumed on the way, and no generator's state has to be saved.
"""

import hashlib
import random

import numpy
import torch


def derived_seed(seed: int, *place: int | str) -> int:
    """A 63-bit seed for one place; places that differ have seeds that are not related.

    >>> derived_seed(0, "epoch", 1) == derived_seed(0, "epoch", 1)
    True
    >>> derived_seed(0, "epoch", 1) == derived_seed(0, "epoch", 2)
    False
    """
    digest = hashlib.blake2b(repr((seed, *place)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def seed_everything(seed: int, *place: int | str) -> torch.Generator:
    """Set the generators of torch, Python and NumPy for one place; return one more of torch's.

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
