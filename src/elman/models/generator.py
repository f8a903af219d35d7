"""One to many: generates a sequence, from nothing or from a primer.

At each step the model reads the last item and predicts the next.  An item may be a token, an event
or a set of pitches; it is defined by the embedding before the recurrent layers and the prediction
after them (``nn/predictions.py``).  ``decode/sampling.py`` samples with ``step`` and ``draw``.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.errors import OptionError
from elman.nn import Recurrent
from elman.nn.dropout import VariationalDropout
from elman.nn.pooling import running
from elman.nn.predictions import (
    AdaptiveToken,
    Choose,
    IndependentPitches,
    NextToken,
    OrderedPitches,
)
from elman.nn.stack import State
from elman.nn.voices import VoicedPitches

Lengths = Int64[Tensor, " batch"]
Prediction = NextToken | AdaptiveToken | IndependentPitches | OrderedPitches | VoicedPitches


class Generator(nn.Module):
    """An autoregressive model: embedding, recurrent layers, distribution of the next item.

    ``embedding`` is any module that maps items to features (``nn.Identity()`` if items are
    features).  ``recurrent`` must be unidirectional.  ``prediction`` returns the probabilities of
    the next item.  ``dropout`` applies to the outputs of the recurrent layers, with one mask for
    all steps.  With ``passes_input``, the features are the outputs of the recurrent layers followed
    by x, for a prediction that reads the last item itself (``VoicedPitches``).

    Raises ``OptionError`` if ``recurrent`` is bidirectional.

    >>> import elman, torch
    >>> from elman.nn.embedding import WordEmbedding
    >>> recurrent = elman.Recurrent(elman.cells.gru, 8, 16)
    >>> model = Generator(WordEmbedding(50, 8), recurrent, NextToken(16, 50))
    >>> text = torch.tensor([[7], [8], [9]])  # time batch
    >>> model.loss(text[:-1], text[1:], torch.tensor([2])).shape
    torch.Size([])
    """

    def __init__(
        self,
        embedding: nn.Module,
        recurrent: Recurrent,
        prediction: Prediction,
        *,
        dropout: float = 0.0,
        passes_input: bool = False,
    ) -> None:
        super().__init__()
        if recurrent.bidirectional:
            raise OptionError(
                "Generator: the recurrent layers are bidirectional, but generation needs "
                "unidirectional layers; pass bidirectional=False."
            )
        self.embedding = embedding
        self.recurrent = recurrent
        self.prediction = prediction
        self.dropout = VariationalDropout(dropout)
        self.passes_input = passes_input

    def forward(
        self, x: Tensor, lengths: Lengths | None = None, state: State | None = None
    ) -> tuple[Float[Tensor, "time batch features"], State]:
        """Computes the features after each step of ``x`` (time, batch, ...), and the last state."""
        y, state = self.recurrent(self.embedding(x), state, lengths=lengths)
        return self._features(self.dropout(y), x), state

    def log_prob(
        self, x: Tensor, y: Tensor, lengths: Lengths, state: State | None = None
    ) -> Float[Tensor, "time batch"]:
        """log p of each step of ``y``, given ``x`` up to that step; 0 in padding.

        ``x`` is ``y`` shifted by one step: each step of ``x`` precedes that of ``y``.
        """
        features, _ = self(x, lengths, state)
        inside = running(features, lengths).squeeze(-1)
        found: Tensor = features.new_zeros(inside.shape)
        found[inside] = self.prediction.log_prob(features[inside], y[inside])
        return found

    def loss(self, x: Tensor, y: Tensor, lengths: Lengths) -> Float[Tensor, ""]:
        """The mean of -log p over all steps of the batch."""
        return -self.log_prob(x, y, lengths).sum() / lengths.sum().clamp_min(1)

    def step(
        self, x: Tensor, state: State | None = None
    ) -> tuple[Float[Tensor, "batch features"], State]:
        """Runs one step on ``x`` (batch, ...) and the previous state; memory is constant."""
        y, state = self.recurrent.step(self.embedding(x), state)
        return self._features(y, x), state

    def _features(self, y: Tensor, x: Tensor) -> Tensor:
        return torch.cat([y, x], -1) if self.passes_input else y

    def draw(self, features: Float[Tensor, "batch features"], choose: Choose) -> Tensor:
        """Draws the next item; ``choose`` draws an index from logits."""
        drawn: Tensor = self.prediction.draw(features, choose)
        return drawn
