"""Words as vectors: one-hot inputs, at the cost of a look-up."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.errors import OptionError, ShapeError
from elman.nn.dropout import draw_mask

PADDING, UNKNOWN = 0, 1


class WordEmbedding(nn.Module):
    """A vector for each index: the product of a matrix with the one-hot x⟨t⟩, without the zeros.

    Index 0 is padding and has the zero vector; index 1 is the unknown word.  ``vectors`` (word,
    size) are first values, such as word2vec's; ``frozen`` keeps them.  ``word_dropout`` is the
    probability with which training takes a word for unknown, so that the unknown word's vector
    is learned and no single word is relied upon (Iyyer et al. 2015).  ``dropout`` is that of whole
    words: what it takes from the vocabulary is zero wherever it stands in the batch, and the rest
    is scaled by 1 / (1 - p) (Gal and Ghahramani 2016).

    Raises ``ShapeError`` for vectors of another shape and ``OptionError`` for a probability that
    is none.

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
    ) -> None:
        super().__init__()
        for name, p in (("word_dropout", word_dropout), ("dropout", dropout)):
            if not 0 <= p <= 1:
                raise OptionError(f"WordEmbedding: {name} is {p}; it is a probability from 0 to 1.")
        if vectors is not None and vectors.shape != (num_words, size):
            raise ShapeError(
                f"WordEmbedding: vectors have the shape {tuple(vectors.shape)}, but (words, size) "
                f"is {(num_words, size)}."
            )
        self.size = size
        self.word_dropout = word_dropout
        self.dropout = dropout
        first = torch.randn(num_words, size) / size**0.5 if vectors is None else vectors.clone()
        first[PADDING] = 0
        self.weight = nn.Parameter(first, requires_grad=not frozen)

    def forward(self, words: Int64[Tensor, ...]) -> Float[Tensor, "... size"]:
        """The vector of each index."""
        if self.training and self.word_dropout:
            dropped = torch.rand(words.shape, device=words.device) < self.word_dropout
            words = torch.where(dropped & (words != PADDING), UNKNOWN, words)
        vectors = nn.functional.embedding(words, self.weight, padding_idx=PADDING)
        if self.training and self.dropout:
            mask = draw_mask((self.weight.shape[0], 1), self.dropout, vectors)
            vectors = vectors * nn.functional.embedding(words, mask).to(vectors.dtype)
        return vectors
