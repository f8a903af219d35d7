"""Many to many, aligned: predicts a tag for each word.

``WordFeatures`` computes features of words; a recurrent encoder reads them, and a linear layer
scores the tags.  ``feed_forward.py`` has a baseline with a fixed window.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.errors import ShapeError
from elman.models.direct_scores import DirectScores
from elman.models.string_features import StringFeatures
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
    """Concatenates a word's embedding with features of its characters and its shape.

    ``characters`` reads each distinct word of a batch once (Lample et al. 2016); ``word_index``
    maps the words of the batch to the distinct ones.  A shape is an index below ``num_shapes``, as
    from ``tasks/ner/shapes.py`` (Collobert et al. 2011), with an embedding of ``shape_size``.
    Raises ``ShapeError`` if a required tensor is missing.

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
        strings: StringFeatures | None = None,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.characters = characters
        self.shapes = WordEmbedding(num_shapes, shape_size) if num_shapes else None
        self.output_size = embedding.size + (shape_size if num_shapes else 0)
        self.output_size += 0 if characters is None else characters.output_size
        self.strings = strings
        self.output_size += 0 if strings is None else strings.output_size

    def forward(
        self,
        words: Words,
        shapes: Words | None = None,
        characters: Int64[Tensor, "length word"] | None = None,
        character_lengths: Int64[Tensor, " word"] | None = None,
        word_index: Words | None = None,
        strings: Int64[Tensor, "encoder time batch"] | None = None,
        string_places: Int64[Tensor, "encoder word batch"] | None = None,
    ) -> Float[Tensor, "time batch features"]:
        """Computes the features of each word."""
        found = [self.embedding(words)]
        if self.characters is not None:
            if characters is None or character_lengths is None or word_index is None:
                raise ShapeError(
                    "WordFeatures: this module reads characters, but characters, "
                    "character_lengths or word_index is missing; pass all three."
                )
            vectors = self.characters(characters, character_lengths)
            if vectors.shape[0] == 0:  # a batch without words
                vectors = vectors.new_zeros(1, self.characters.output_size)
            found.append(nn.functional.embedding(word_index, vectors))
        if self.shapes is not None:
            if shapes is None:
                raise ShapeError(
                    "WordFeatures: this module reads word shapes, but shapes is missing; "
                    "pass an index for each word."
                )
            found.append(self.shapes(shapes))
        if self.strings is not None:
            found.append(self.strings(strings, string_places))
        return torch.cat(found, -1)


class WordTagger(nn.Module):
    """Base class of models that tag each word.

    A subclass sets ``features``, ``crf`` (or None) and ``direct`` (or None), whose scores are added
    to its own, and implements ``score``.
    """

    features: WordFeatures
    crf: LinearChainCRF | None
    direct: DirectScores | None
    label_smoothing = 0.0

    def score(
        self, x: Float[Tensor, "time batch features"], lengths: Lengths
    ) -> Float[Tensor, "time batch tag"]:
        """Computes the score of each tag for each word, from the features."""
        raise NotImplementedError

    def forward(
        self,
        words: Words,
        lengths: Lengths,
        shapes: Words | None = None,
        characters: Int64[Tensor, "length word"] | None = None,
        character_lengths: Int64[Tensor, " word"] | None = None,
        word_index: Words | None = None,
        strings: Int64[Tensor, "encoder time batch"] | None = None,
        string_places: Int64[Tensor, "encoder word batch"] | None = None,
        affixes: Int64[Tensor, "time batch feature"] | None = None,
    ) -> Float[Tensor, "time batch tag"]:
        """Computes the score of each tag for each word."""
        x = self.features(
            words, shapes, characters, character_lengths, word_index, strings, string_places
        )
        scores = self.score(x, lengths)
        if self.direct is not None:
            if affixes is None:
                raise ShapeError(
                    "WordTagger: this model scores affixes, but affixes is missing; pass the "
                    "features of each word."
                )
            scores = scores + self.direct(affixes)
        return scores

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
        **strings: Tensor,
    ) -> Float[Tensor, ""]:
        """The mean over sentences of -log p(tags), summed over the words of a sentence."""
        scores = self(words, lengths, shapes, characters, character_lengths, word_index, **strings)
        return sentence_loss(scores, tags, lengths, self.crf, self.label_smoothing)


class Tagger(WordTagger):
    """A tagger with a recurrent encoder, and a CRF or a softmax over the tags.

    With a CRF this is the model of Huang, Xu and Yu (2015) and Lample et al. (2016).  ``encoder``
    reads the output of ``features``.  ``dropout`` applies to the features and to the encoder's
    outputs, with one mask for all steps.  ``label_smoothing`` (Szegedy et al. 2016) applies only
    without a CRF.  ``direct`` adds scores of its own (Huang et al. 2015, section 3.2).

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
        direct: DirectScores | None = None,
    ) -> None:
        super().__init__()
        self.features = features
        self.direct = direct
        self.encoder = encoder
        self.label_smoothing = label_smoothing
        self.dropout = VariationalDropout(dropout)
        self.output = nn.Linear(encoder.output_size, num_tags)
        self.crf = LinearChainCRF(num_tags) if crf else None

    def score(
        self, x: Float[Tensor, "time batch features"], lengths: Lengths
    ) -> Float[Tensor, "time batch tag"]:
        """Computes the score of each tag for each word, from the features."""
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
    """The mean over sentences of -log p(tags), from the CRF or a softmax per word.

    ``label_smoothing`` applies only to the softmax.
    """
    if crf is not None:
        return -crf.log_likelihood(scores, tags, lengths).mean()
    # padding is not a valid target of cross_entropy
    inside = running(scores, lengths).squeeze(-1)
    tags = torch.where(inside, tags, 0)
    each = nn.functional.cross_entropy(
        scores.permute(0, 2, 1), tags, reduction="none", label_smoothing=label_smoothing
    )
    return torch.where(inside, each, 0.0).sum(0).mean()
