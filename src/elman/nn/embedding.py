"""Word embeddings with word dropout."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.errors import OptionError, ShapeError
from elman.nn.dropout import draw_mask

PADDING, UNKNOWN = 0, 1


class WordEmbedding(nn.Module):
    """A learned vector for each index.

    Index 0 is padding and has the zero vector; index 1 is the unknown word.  ``vectors`` (word,
    size) are initial values, such as word2vec's; ``frozen`` does not train them.  In training,
    ``word_dropout`` is the probability that a word becomes the unknown word, which trains the
    unknown word's vector and regularises (Iyyer et al. 2015); those with an index in ``kept`` never
    do.  ``dropout`` is the fraction of the vocabulary whose vectors are zero throughout a batch;
    the rest is scaled by 1 / (1 - p) (Gal and Ghahramani 2016).

    Raises ``ShapeError`` if the shape of ``vectors`` is wrong, and ``OptionError`` for an invalid
    probability.

    >>> import torch
    >>> embedding = WordEmbedding(5, 3)
    >>> embedding(torch.tensor([[4, 0]])).shape, embedding(torch.tensor([0])).tolist()
    (torch.Size([1, 2, 3]), [[0.0, 0.0, 0.0]])
    """

    def __init__(
        self,
        num_words: int,
        size: int,
        *,
        vectors: Tensor | None = None,
        frozen: bool = False,
        word_dropout: float = 0.0,
        dropout: float = 0.0,
        kept: Sequence[int] = (),
    ) -> None:
        super().__init__()
        for name, p in (("word_dropout", word_dropout), ("dropout", dropout)):
            if not 0 <= p <= 1:
                raise OptionError(f"WordEmbedding: {name} is {p}; it must be from 0 to 1.")
        if vectors is not None and vectors.shape != (num_words, size):
            raise ShapeError(
                f"WordEmbedding: vectors have the shape {tuple(vectors.shape)}, but (words, size) "
                f"is {(num_words, size)}."
            )
        self.size = size
        self.word_dropout = word_dropout
        self.dropout = dropout
        self.kept = tuple(kept)
        first = torch.randn(num_words, size) / size**0.5 if vectors is None else vectors.clone()
        first[PADDING] = 0
        self.weight = nn.Parameter(first, requires_grad=not frozen)

    def forward(self, words: Int64[Tensor, ...]) -> Float[Tensor, "... size"]:
        """The vector of each index."""
        if self.training and self.word_dropout:
            dropped = torch.rand(words.shape, device=words.device) < self.word_dropout
            if self.kept:
                dropped &= ~torch.isin(words, torch.tensor(self.kept, device=words.device))
            words = torch.where(dropped & (words != PADDING), UNKNOWN, words)
        vectors = nn.functional.embedding(words, self.weight, padding_idx=PADDING)
        if self.training and self.dropout:
            mask = draw_mask((self.weight.shape[0], 1), self.dropout, vectors)
            vectors = vectors * nn.functional.embedding(words, mask).to(vectors.dtype)
        return vectors
