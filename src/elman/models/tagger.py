"""Many to many, aligned: a tag for each word.

Words become features (``WordFeatures``), a recurrent encoder reads them in both directions, and
each output gives scores of tags.  The baseline with a fixed window is in ``feed_forward.py``.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.errors import ShapeError
from elman.nn import Recurrent
from elman.nn.characters import CharacterConvolution, CharacterRecurrence
from elman.nn.crf import LinearChainCRF
from elman.nn.dropout import VariationalDropout
from elman.nn.embedding import WordEmbedding
from elman.nn.pooling import running

Words = Int64[Tensor, "time batch"]
Lengths = Int64[Tensor, " batch"]
CharacterReader = CharacterConvolution | CharacterRecurrence


class WordFeatures(nn.Module):
    """A word's vector, with what its characters and its shape say put beside it.

    ``characters`` reads the distinct words of a batch once; ``word_index`` says which of them
    stands where (Lample et al. 2016).  A shape is an index below ``num_shapes``, such as
    ``tasks/ner/shapes.py`` gives (Collobert et al. 2011); its vector has ``shape_size`` numbers.
    Raises ``ShapeError`` when a tensor that it reads is missing.

    >>> import torch
    >>> features = WordFeatures(WordEmbedding(50, 8), num_shapes=10, shape_size=2)
    >>> words, shapes = torch.tensor([[3], [4]]), torch.tensor([[5], [1]])
    >>> features(words, shapes).shape, features.output_size
    (torch.Size([2, 1, 10]), 10)
    """

    def __init__(
        self,
        embedding: WordEmbedding,
        characters: CharacterReader | None = None,
        num_shapes: int = 0,
        shape_size: int = 0,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.characters = characters
        self.shapes = WordEmbedding(num_shapes, shape_size) if num_shapes else None
        self.output_size = embedding.size + (shape_size if num_shapes else 0)
        self.output_size += 0 if characters is None else characters.output_size

    def forward(
        self,
        words: Words,
        shapes: Words | None = None,
        characters: Int64[Tensor, "length word"] | None = None,
        character_lengths: Int64[Tensor, " word"] | None = None,
        word_index: Words | None = None,
    ) -> Float[Tensor, "time batch features"]:
        """The features of each word."""
        found = [self.embedding(words)]
        if self.characters is not None:
            if characters is None or character_lengths is None or word_index is None:
                raise ShapeError(
                    "WordFeatures: it reads the characters of words, but characters, "
                    "character_lengths or word_index is missing; pass all three."
                )
            vectors = self.characters(characters, character_lengths)
            if vectors.shape[0] == 0:  # a batch without any word
                vectors = vectors.new_zeros(1, self.characters.output_size)
            found.append(nn.functional.embedding(word_index, vectors))
        if self.shapes is not None:
            if shapes is None:
                raise ShapeError(
                    "WordFeatures: it reads the shapes of words, but shapes is missing; "
                    "pass an index for each word."
                )
            found.append(self.shapes(shapes))
        return torch.cat(found, -1)


class WordTagger(nn.Module):
    """A model that gives each word a tag: what all of them share.

    A subclass has ``features``, a ``crf`` or none, and says what the ``score`` of each tag is.
    """

    features: WordFeatures
    crf: LinearChainCRF | None
    label_smoothing = 0.0

    def score(
        self, x: Float[Tensor, "time batch features"], lengths: Lengths
    ) -> Float[Tensor, "time batch tag"]:
        """The score of each tag for each word, from the words' features."""
        raise NotImplementedError

    def forward(
        self,
        words: Words,
        lengths: Lengths,
        shapes: Words | None = None,
        characters: Int64[Tensor, "length word"] | None = None,
        character_lengths: Int64[Tensor, " word"] | None = None,
        word_index: Words | None = None,
    ) -> Float[Tensor, "time batch tag"]:
        """The score of each tag for each word."""
        x = self.features(words, shapes, characters, character_lengths, word_index)
        return self.score(x, lengths)

    def loss(
        self,
        words: Words,
        lengths: Lengths,
        shapes: Words | None = None,
        characters: Int64[Tensor, "length word"] | None = None,
        character_lengths: Int64[Tensor, " word"] | None = None,
        word_index: Words | None = None,
        *,
        tags: Words,
    ) -> Float[Tensor, ""]:
        """The mean over sentences of -log p(tags), summed over a sentence's words."""
        scores = self(words, lengths, shapes, characters, character_lengths, word_index)
        return sentence_loss(scores, tags, lengths, self.crf, self.label_smoothing)


class Tagger(WordTagger):
    """Features of words, a recurrent encoder, scores of tags; a CRF or a softmax over them.

    With a CRF this is the model of Huang, Xu and Yu (2015) and Lample et al. (2016).  ``encoder``
    reads what ``features`` gives.  ``dropout`` falls on the features and on the encoder's
    outputs, one mask for all steps.  Without a CRF, training's targets are softened by
    ``label_smoothing`` (Szegedy et al. 2016).

    >>> import elman, torch
    >>> from elman.nn.embedding import WordEmbedding
    >>> encoder = elman.Recurrent(elman.cells.lstm, 8, 16, bidirectional=True)
    >>> model = Tagger(WordFeatures(WordEmbedding(50, 8)), encoder, 3)
    >>> words, lengths = torch.ones(5, 2, dtype=torch.int64), torch.tensor([5, 2])
    >>> model(words, lengths).shape, model.loss(words, lengths, tags=words).shape
    (torch.Size([5, 2, 3]), torch.Size([]))
    """

    def __init__(
        self,
        features: WordFeatures,
        encoder: Recurrent,
        num_tags: int,
        *,
        crf: bool = True,
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.features = features
        self.encoder = encoder
        self.label_smoothing = label_smoothing
        self.dropout = VariationalDropout(dropout)
        self.output = nn.Linear(encoder.output_size, num_tags)
        self.crf = LinearChainCRF(num_tags) if crf else None

    def score(
        self, x: Float[Tensor, "time batch features"], lengths: Lengths
    ) -> Float[Tensor, "time batch tag"]:
        """The score of each tag for each word, from the words' features."""
        y, _ = self.encoder(self.dropout(x), lengths=lengths)
        scores: Tensor = self.output(self.dropout(y))
        return scores


def sentence_loss(
    scores: Float[Tensor, "time batch tag"],
    tags: Words,
    lengths: Lengths,
    crf: LinearChainCRF | None,
    label_smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """The mean over sentences of -log p(tags): by the CRF, or by a softmax at each word.

    Only a softmax's targets are smoothed.
    """
    if crf is not None:
        return -crf.log_likelihood(scores, tags, lengths).mean()
    # what stands after a row's end is no tag that cross_entropy may look at
    inside = running(scores, lengths).squeeze(-1)
    tags = torch.where(inside, tags, 0)
    each = nn.functional.cross_entropy(
        scores.permute(0, 2, 1), tags, reduction="none", label_smoothing=label_smoothing
    )
    return torch.where(inside, each, 0.0).sum(0).mean()
