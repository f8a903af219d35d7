"""Rows of indices of different lengths as one padded tensor, and their lengths.

Time is the first axis, as everywhere in Elman.  ``batching.py`` decides which rows form a batch.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Int64
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


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
    columns = [torch.tensor(row, dtype=torch.int64) for row in rows]
    return pad_sequence(columns, padding_value=fill), lengths
