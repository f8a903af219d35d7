"""Many to one over frames: classifies videos, as a whole or while they arrive."""

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
class StreamState:
    """The state of a streamed video: last frame, recurrent states, pooled outputs, frame count."""

    frame: UInt8[Tensor, "batch channel size size"]
    state: tuple[Tensor, ...]
    pooled: Float[Tensor, "batch features"]
    count: int


class VideoClassifier(Classifier):
    """A ``Classifier`` of video frames, with a ``FrameEncoder`` as its embedding.

    The frames of all videos of a batch are concatenated, without padding.  ``class_weights`` are
    the weights of the classes in the loss.

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
        """Computes the logits of each video; those of an empty video come from zero features."""
        return self.classify(self.embedding(frames, lengths), lengths)

    def loss(
        self, frames: Frames, lengths: Lengths, labels: Int64[Tensor, " batch"]
    ) -> Float[Tensor, ""]:
        """The mean cross-entropy of the videos, weighted by class."""
        losses = nn.functional.cross_entropy(
            self(frames, lengths), labels, label_smoothing=self.label_smoothing, reduction="none"
        )
        return (losses * self.class_weights[labels]).mean()

    def after_each_frame(self, frames: Frames) -> Float[Tensor, "time class"]:
        """The logits after 1, 2, ... frames of one video, with any pooling."""
        count = len(frames)
        x = self.embedding(frames, torch.tensor([count]))
        return self.classify(x.expand(-1, count, -1).contiguous(), torch.arange(1, count + 1))

    def step(
        self, frame: UInt8[Tensor, "batch channel size size"], so_far: StreamState | None = None
    ) -> tuple[Float[Tensor, "batch class"], StreamState]:
        """Computes the logits after one more frame of each video, and the next ``so_far``.

        For inference: applies no dropout.  After the last frame, the logits equal those of the
        whole video.  Raises ``OptionError`` for a bidirectional encoder or attention pooling.
        """
        if self.pooling == "attention":
            raise OptionError(
                "VideoClassifier: attention pooling needs all frames and cannot stream; train with "
                'the pooling "last", "mean" or "max".'
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
        return self.output(pooled), StreamState(frame, state, pooled, count)


def build(options: VideoOptions, cell: Cell, vocab: Vocab[LabelCounts]) -> nn.Module:
    """Builds a ``VideoClassifier`` of the cell."""
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
