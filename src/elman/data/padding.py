"""Rows of indices of different lengths as one tensor and their lengths.

Time comes first, as everywhere in Elman.  Which rows go together: ``batching.py``.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Int64
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


def pad_sequences(
    rows: Sequence[Sequence[int]], *, fill: int = 0
) -> tuple[Int64[Tensor, "time batch"], Int64[Tensor, " batch"]]:
    """The rows side by side, ``fill`` after the end of each, and the length of each.

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
