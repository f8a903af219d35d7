"""Word vectors from characters, by a recurrent layer or a convolution.

Both take the distinct words of a batch as (length, words) indices with 0 as padding, and return
one vector per word; the model looks them up for each occurrence.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.graph import Cell
from elman.nn.embedding import WordEmbedding
from elman.nn.pooling import pool_last, pool_max, running
from elman.nn.recurrent import Recurrent

Characters = Int64[Tensor, "length words"]
Lengths = Int64[Tensor, " words"]


class CharacterRecurrence(nn.Module):
    """The last outputs of a bidirectional layer over the characters (Lample et al. 2016).

    >>> import elman, torch
    >>> read = CharacterRecurrence(elman.cells.lstm, 20, 5, 8)
    >>> read(torch.ones(6, 3, dtype=torch.int64), torch.tensor([6, 2, 0])).shape
    torch.Size([3, 16])
    """

    def __init__(
        self,
        cell: Cell,
        num_characters: int,
        size: int,
        units: int,
        *,
        dropout: float = 0.0,
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        self.embedding = WordEmbedding(num_characters, size, word_dropout=dropout)
        self.recurrent = Recurrent(cell, size, units, bidirectional=True, sizes=sizes)
        self.output_size = self.recurrent.output_size

    def forward(self, characters: Characters, lengths: Lengths) -> Float[Tensor, "words size"]:
        """A vector for each word; zeros for a word without characters."""
        y, _ = self.recurrent(self.embedding(characters), lengths=lengths)
        return pool_last(y, lengths, bidirectional=True)


class CharacterConvolution(nn.Module):
    """Max-pooled convolution of width 3 (Ma and Hovy 2016; Kim et al. 2016).

    >>> import torch
    >>> read = CharacterConvolution(20, 5, 16)
    >>> read(torch.ones(6, 3, dtype=torch.int64), torch.tensor([6, 2, 0])).shape
    torch.Size([3, 16])
    """

    def __init__(self, num_characters: int, size: int, units: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = WordEmbedding(num_characters, size, word_dropout=dropout)
        self.filters = nn.Conv1d(size, units, kernel_size=3, padding=1)
        self.output_size = units

    def forward(self, characters: Characters, lengths: Lengths) -> Float[Tensor, "words size"]:
        """A vector for each word; zeros for a word without characters."""
        x: Tensor = self.embedding(characters)
        if x.shape[0] == 0 or x.shape[1] == 0:
            return x.new_zeros(x.shape[1], self.output_size)
        # the filter at a word's last character must not read padding
        x = torch.where(running(x, lengths), x, 0.0)
        y: Tensor = self.filters(x.permute(1, 2, 0)).permute(2, 0, 1)  # length words units
        return pool_max(y, lengths)
