"""Which examples form a batch: those of similar length.

Padding makes a batch cost as much as its longest row, so rows of similar length belong together;
training needs a random order.  To get both, the examples are shuffled, sorted by length within
large pools and cut into batches, and the batches are shuffled.  Only indices are chosen here;
``padding.py`` makes tensors.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from elman.errors import OptionError

# Number of batches sorted together: padding is within a few per cent of a full sort, and batches
# still mix different examples in each epoch.
_POOL = 64


def bucketed_batches(
    lengths: Sequence[int], batch_size: int, *, seed: int, epoch: int
) -> list[list[int]]:
    """The indices 0 to ``len(lengths) - 1`` in batches, each index exactly once.

    All batches have ``batch_size`` indices, except one with the remainder.  The same seed and epoch
    give the same batches; another epoch gives others.

    Raises ``OptionError`` for a ``batch_size`` below 1 or a negative seed or epoch.

    >>> bucketed_batches([3, 90, 4, 91, 2], 2, seed=0, epoch=0)
    [[4], [3, 1], [2, 0]]
    """
    if batch_size < 1:
        raise OptionError(f"bucketed_batches: batch_size is {batch_size}; give 1 or more.")
    if seed < 0 or epoch < 0:
        raise OptionError(
            f"bucketed_batches: seed is {seed} and epoch {epoch}; both must be at least 0."
        )
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(lengths))
    sizes = np.asarray(lengths, dtype=np.int64)[order]
    pool = _POOL * batch_size
    batches: list[list[int]] = []
    for start in range(0, len(order), pool):
        # longest first, so that the last, incomplete batch holds short rows
        by_length = np.argsort(-sizes[start : start + pool], kind="stable")
        indices = order[start : start + pool][by_length].tolist()
        batches += [indices[at : at + batch_size] for at in range(0, len(indices), batch_size)]
    return [batches[at] for at in random.permutation(len(batches))]


def dealt_batches(
    lengths: Sequence[int], count: int, *, seed: Sequence[int], share: int = 0
) -> list[list[int]]:
    """The indices 0 to ``len(lengths) - 1``, dealt into ``count`` batches of nearly equal size.

    For one share of a window of streamed examples: the number of batches is known before the
    examples are read.  Like in ``bucketed_batches``, examples of similar length are together.  With
    the same ``seed``, the batches of all shares with one number have similar lengths too.  If there
    are fewer examples than batches, some occur again.

    >>> dealt_batches([3, 90, 4, 91, 2], 2, seed=[0])
    [[3, 1, 2], [0, 4]]
    """
    order = np.random.default_rng([*seed, share]).permutation(len(lengths))
    if len(order) < count:
        order = np.resize(order, count)
    sizes = np.asarray(lengths, dtype=np.int64)[order]
    edges = [len(order) * k // count for k in range(0, count, _POOL)] + [len(order)]
    batches: list[list[int]] = []
    for k, (start, end) in enumerate(pairwise(edges)):
        by_length = order[start:end][np.argsort(-sizes[start:end], kind="stable")]
        parts = np.array_split(by_length, min(_POOL, count - k * _POOL))
        batches += [part.tolist() for part in parts]
    return [batches[at] for at in np.random.default_rng(seed).permutation(count)]
