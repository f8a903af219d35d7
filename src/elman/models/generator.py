"""One to many: a sequence from nothing, or going on from a beginning.

At each step the model reads what came last and says what may come next.  What a step is, a token
of text, an event, a set of pitches, is left to the two parts around the recurrent layers: one that
makes features of it, and one that predicts it (``nn/predictions.py``).  Sampling is a loop around
``step`` and ``draw``: ``decode/sampling.py``.
"""

from __future__ import annotations

from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.errors import OptionError
from elman.nn import Recurrent
from elman.nn.dropout import VariationalDropout
from elman.nn.pooling import running
from elman.nn.predictions import Choose, IndependentPitches, NextToken, OrderedPitches
from elman.nn.stack import State

Lengths = Int64[Tensor, " batch"]
Prediction = NextToken | IndependentPitches | OrderedPitches


class Generator(nn.Module):
    """Features of what came last, recurrent layers, a distribution of what comes next.

    ``embedding`` makes features of a step (any module, ``nn.Identity()`` where a step is features
    already), ``recurrent`` runs over them in one direction, ``prediction`` gives probabilities.
    ``dropout`` falls on the recurrent layers' outputs, one mask for all steps.
    Raises ``OptionError`` for recurrent layers that look into the future.

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
    ) -> None:
        super().__init__()
        if recurrent.bidirectional:
            raise OptionError(
                "Generator: its recurrent layers are bidirectional, but what comes next cannot be "
                "read; give bidirectional=False."
            )
        self.embedding = embedding
        self.recurrent = recurrent
        self.prediction = prediction
        self.dropout = VariationalDropout(dropout)

    def forward(
        self, x: Tensor, lengths: Lengths | None = None, state: State | None = None
    ) -> tuple[Float[Tensor, "time batch features"], State]:
        """What is known after each step of ``x`` (time, batch, ...), and the state at its end."""
        y, state = self.recurrent(self.embedding(x), state, lengths=lengths)
        return self.dropout(y), state

    def log_prob(
        self, x: Tensor, y: Tensor, lengths: Lengths, state: State | None = None
    ) -> Float[Tensor, "time batch"]:
        """log p of each step ``y``, given ``x`` up to it; 0 after a row's end.

        Step by step, ``x`` is what came before ``y``: the same sequence, one step later.
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
        """One step: ``x`` (batch, ...) and the state before it; time and memory never grow."""
        y, state = self.recurrent.step(self.embedding(x), state)
        return y, state

    def draw(self, features: Float[Tensor, "batch features"], choose: Choose) -> Tensor:
        """What comes next, made up with ``choose``, which draws an index from logits."""
        drawn: Tensor = self.prediction.draw(features, choose)
        return drawn
