"""Models that read whole series: one answer for each, or one for each step."""

from __future__ import annotations

from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.models.classifier import Classifier
from elman.nn import Recurrent
from elman.nn.dropout import VariationalDropout

#: the label of a step that has none
UNLABELLED = -1

Features = Float[Tensor, "time batch feature"]
Lengths = Int64[Tensor, " batch"]


class SeriesClassifier(Classifier):
    """Many to one: a ``Classifier`` of numbers instead of words.

    >>> import elman, torch
    >>> model = SeriesClassifier(nn.Identity(), elman.Recurrent(elman.cells.gru, 3, 8), 4)
    >>> model(torch.zeros(5, 2, 3), torch.tensor([5, 2])).shape
    torch.Size([2, 4])
    """

    def forward(self, x: Features, lengths: Lengths) -> Float[Tensor, "batch class"]:
        """The logits of each series."""
        return self.classify(x, lengths)

    def loss(
        self, x: Features, lengths: Lengths, labels: Int64[Tensor, " batch"]
    ) -> Float[Tensor, ""]:
        """The mean cross-entropy."""
        return nn.functional.cross_entropy(self(x, lengths), labels)


class SeriesRegressor(SeriesClassifier):
    """Many to one: a number for each series, in units of the training data."""

    def loss(
        self, x: Features, lengths: Lengths, numbers: Float[Tensor, " batch"]
    ) -> Float[Tensor, ""]:
        """The mean squared error."""
        return nn.functional.mse_loss(self(x, lengths)[:, 0], numbers)


class SeriesTagger(nn.Module):
    """Many to many, aligned: a class for each step.

    >>> import elman, torch
    >>> model = SeriesTagger(elman.Recurrent(elman.cells.gru, 3, 8), 4)
    >>> model(torch.zeros(5, 2, 3), torch.tensor([5, 2])).shape
    torch.Size([5, 2, 4])
    """

    def __init__(self, encoder: Recurrent, num_classes: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.encoder = encoder
        self.input_dropout = VariationalDropout(dropout)
        self.dropout = VariationalDropout(dropout)
        self.output = nn.Linear(encoder.output_size, num_classes)

    def forward(self, x: Features, lengths: Lengths) -> Float[Tensor, "time batch class"]:
        """The logits of each step."""
        y, _ = self.encoder(self.input_dropout(x), lengths=lengths)
        logits: Tensor = self.output(self.dropout(y))
        return logits

    def loss(
        self, x: Features, lengths: Lengths, labels: Int64[Tensor, "time batch"]
    ) -> Float[Tensor, ""]:
        """The mean cross-entropy of the steps that have a label."""
        logits = self(x, lengths)
        each = nn.functional.cross_entropy(
            logits.flatten(0, 1), labels.flatten(), ignore_index=UNLABELLED, reduction="sum"
        )
        return each / (labels != UNLABELLED).sum().clamp_min(1)


def steps_of(logits: Tensor, lengths: Tensor) -> list[Tensor]:
    """(time, class) probabilities of each series, without padding."""
    rows = logits.softmax(-1).unbind(1)
    return [row[:length] for row, length in zip(rows, lengths.tolist(), strict=True)]
