"""Rows of indices of different lengths as one padded tensor, and their lengths.

Time is the first axis, as everywhere in Elman.  ``batching.py`` decides which rows form a batch.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor


def pad_sequences(
    rows: Sequence[Sequence[int]], *, fill: int = 0
) -> tuple[Int64[Tensor, "time batch"], Int64[Tensor, " batch"]]:
    """The rows as columns, padded with ``fill`` at the end, and the length of each.

    A row may be empty; so may ``rows``.

    >>> indices, lengths = pad_sequences([[5, 6, 7], [8]])
    >>> indices.tolist(), lengths.tolist()
    ([[5, 8], [6, 0], [7, 0]], [3, 1])
    """
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
    if not rows:
        return torch.empty(0, 0, dtype=torch.int64), lengths
    # one copy a row into NumPy's memory: a tensor a row takes many times as long
    padded = np.full((max([len(row) for row in rows]), len(rows)), fill, np.int64)
    for k, row in enumerate(rows):
        padded[: len(row), k] = row
    return torch.from_numpy(padded), lengths
