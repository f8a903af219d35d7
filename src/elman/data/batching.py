"""Which examples go into a batch together: those of about the same length.

A batch costs as much as its longest row where padding is computed, so rows of one length belong
together; training wants them in random order.  Both: the examples are shuffled, sorted by length
within large pools, cut into batches, and the batches are shuffled.  This only chooses indices;
``padding.py`` makes tensors.
"""

from collections.abc import Sequence

import numpy as np

from elman.errors import OptionError

# So many batches are sorted together: padding is within a few per cent of a full sort's, and
# which examples meet in a batch still changes from epoch to epoch.
_POOL = 64


def bucketed_batches(
    lengths: Sequence[int], batch_size: int, *, seed: int, epoch: int
) -> list[list[int]]:
    """The indices 0 to ``len(lengths) - 1`` in batches, each index exactly once.

    All batches have ``batch_size`` indices but one, which has what is left over.  The same seed
    and epoch give the same batches; another epoch gives others.

    Raises ``OptionError`` for a ``batch_size`` below 1 or a negative seed or epoch.

    >>> bucketed_batches([3, 90, 4, 91, 2], 2, seed=0, epoch=0)
    [[4], [3, 1], [2, 0]]
    """
    if batch_size < 1:
        raise OptionError(f"bucketed_batches: batch_size is {batch_size}; give 1 or more.")
    if seed < 0 or epoch < 0:
        raise OptionError(
            f"bucketed_batches: seed is {seed} and epoch {epoch}; give numbers from 0 on."
        )
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(lengths))
    sizes = np.asarray(lengths, dtype=np.int64)[order]
    pool = _POOL * batch_size
    batches: list[list[int]] = []
    for start in range(0, len(order), pool):
        # longest first: the short batch, the last of all, is then one of short rows
        by_length = np.argsort(-sizes[start : start + pool], kind="stable")
        indices = order[start : start + pool][by_length].tolist()
        batches += [indices[at : at + batch_size] for at in range(0, len(indices), batch_size)]
    return [batches[at] for at in random.permutation(len(batches))]
