"""Many to one over frames: a video becomes a class, as a whole or while it arrives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from elman.errors import OptionError
from elman.graph import Cell
from elman.models.classifier import Classifier
from elman.nn import Recurrent
from elman.tasks.recurrent_options import recurrent_layer
from elman.tasks.task import Vocab
from elman.tasks.video.frames import FrameEncoder
from elman.tasks.video.label_counts import LabelCounts
from elman.tasks.video.options import VideoOptions

Frames = UInt8[Tensor, "frames channel size size"]
Lengths = Int64[Tensor, " batch"]


@dataclass(frozen=True)
class SoFar:
    """Where a video that arrives stands: its last frame, the states, and the outputs pooled."""

    frame: UInt8[Tensor, "batch channel size size"]
    state: tuple[Tensor, ...]
    pooled: Float[Tensor, "batch features"]
    count: int


class VideoClassifier(Classifier):
    """A ``Classifier`` whose embedding is a ``FrameEncoder``: it takes frames in place of words.

    The frames of all videos of a batch stand after one another, so that none is made up to fill a
    batch.  ``class_weights`` are what an example of each class counts in training.

    >>> import elman, torch
    >>> layer = elman.Recurrent(elman.cells.gru, 8, 16)
    >>> model = VideoClassifier(FrameEncoder(1, 32, 8), layer, 2, pooling="mean")
    >>> frames = torch.zeros(5, 1, 32, 32, dtype=torch.uint8)
    >>> model(frames, torch.tensor([3, 2])).shape
    torch.Size([2, 2])
    """

    embedding: FrameEncoder
    class_weights: Tensor

    def __init__(
        self,
        embedding: FrameEncoder,
        encoder: Recurrent,
        num_classes: int,
        *,
        pooling: Literal["last", "mean", "max", "attention"] = "mean",
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(
            embedding,
            encoder,
            num_classes,
            pooling=pooling,
            dropout=dropout,
            label_smoothing=label_smoothing,
        )
        weights = torch.tensor(class_weights or [1.0] * num_classes)
        self.register_buffer("class_weights", weights, persistent=False)

    def forward(self, frames: Frames, lengths: Lengths) -> Float[Tensor, "batch class"]:
        """The logits of each video; one without frames has those of no evidence."""
        return self.classify(self.embedding(frames, lengths), lengths)

    def loss(
        self, frames: Frames, lengths: Lengths, labels: Int64[Tensor, " batch"]
    ) -> Float[Tensor, ""]:
        """The mean cross entropy of the videos, each weighted as its class."""
        losses = nn.functional.cross_entropy(
            self(frames, lengths), labels, label_smoothing=self.label_smoothing, reduction="none"
        )
        return (losses * self.class_weights[labels]).mean()

    def after_each_frame(self, frames: Frames) -> Float[Tensor, "time class"]:
        """The logits of one video's first frame, first two frames, ..., whatever the pooling."""
        count = len(frames)
        x = self.embedding(frames, torch.tensor([count]))
        return self.classify(x.expand(-1, count, -1).contiguous(), torch.arange(1, count + 1))

    def step(
        self, frame: UInt8[Tensor, "batch channel size size"], so_far: SoFar | None = None
    ) -> tuple[Float[Tensor, "batch class"], SoFar]:
        """The logits after one more frame of each video, and what to pass with the next one.

        For a trained model: there is no dropout.  After a video's last frame they are those of the
        whole video.  Raises ``OptionError`` for a model that has to know the future, or whose
        pooling does.
        """
        if self.pooling == "attention":
            raise OptionError(
                "VideoClassifier: attention weighs the frames when all are there; for videos that "
                'arrive, train with the pooling "last", "mean" or "max".'
            )
        before = frame if so_far is None else so_far.frame
        x = self.embedding.encode(frame, before)
        y, state = self.encoder.step(x, None if so_far is None else so_far.state)
        count = 1 if so_far is None else so_far.count + 1
        pooled = y
        if so_far is not None and self.pooling == "mean":
            pooled = so_far.pooled + (y - so_far.pooled) / count
        elif so_far is not None and self.pooling == "max":
            pooled = torch.maximum(so_far.pooled, y)
        return self.output(pooled), SoFar(frame, state, pooled, count)


def build(options: VideoOptions, cell: Cell, vocab: Vocab[LabelCounts]) -> nn.Module:
    """A ``VideoClassifier`` of the cell."""
    symbols: LabelCounts = vocab.symbols
    encoder = recurrent_layer(
        options,
        cell,
        options.features,
        options.hidden_size,
        options.num_layers,
        bidirectional=options.bidirectional,
        dropout=options.dropout,
    )
    widths = [options.width * 2**k for k in range(3)]
    return VideoClassifier(
        FrameEncoder(options.shape.channels, options.size, options.features, widths=widths),
        encoder,
        len(symbols.labels),
        pooling=options.pooling,
        dropout=options.dropout,
        label_smoothing=options.label_smoothing,
        class_weights=symbols.weights(options.balance),
    )
