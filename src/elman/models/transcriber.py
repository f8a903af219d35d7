"""Many to many, unaligned and without alignments: sound becomes symbols by CTC.

Some frames at a time are one step of a recurrent encoder, whose outputs give the probabilities of
symbols and of a blank; the loss sums over all ways to put the symbols into the steps (Graves et
al. 2006).  Searching for the best symbols is in ``decode/ctc.py``.
"""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.errors import OptionError
from elman.nn import Recurrent
from elman.nn.dropout import VariationalDropout
from elman.nn.stack import State

Lengths = Int64[Tensor, " batch"]


class Scores(NamedTuple):
    """The log probability of each symbol at each step, and how many steps each row has."""

    log_probs: Float[Tensor, "step batch symbol"]
    lengths: Lengths


class Transcriber(nn.Module):
    """Frames, ``frames_per_step`` of them a step, a recurrent encoder, log probabilities.

    ``encoder`` reads ``frames_per_step`` frames side by side.  Symbol 0 is the blank.  Frames that
    do not fill a step at the end are left out.  ``dropout`` falls on the encoder's outputs, one
    mask for all steps.

    ``impossible`` counts the rows of training that had more symbols than their steps can hold:
    they have no loss and teach nothing.

    >>> import elman, torch
    >>> model = Transcriber(elman.Recurrent(elman.cells.lstm, 3 * 40, 16), 28, frames_per_step=3)
    >>> frames, lengths = torch.randn(100, 2, 40), torch.tensor([100, 50])
    >>> model(frames, lengths).log_probs.shape, model(frames, lengths).lengths.tolist()
    (torch.Size([33, 2, 28]), [33, 16])
    """

    def __init__(
        self,
        encoder: Recurrent,
        num_symbols: int,
        *,
        frames_per_step: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if frames_per_step < 1 or encoder.input_size % frames_per_step:
            raise OptionError(
                f"Transcriber: frames_per_step is {frames_per_step}, but the encoder reads "
                f"{encoder.input_size} features; give 1 or more that divides them."
            )
        self.encoder = encoder
        self.frames_per_step = frames_per_step
        self.dropout = VariationalDropout(dropout)
        self.output = nn.Linear(encoder.output_size, num_symbols)
        self.impossible = 0

    def forward(self, frames: Float[Tensor, "time batch mel"], lengths: Lengths) -> Scores:
        """The log probabilities of all steps."""
        steps = lengths // self.frames_per_step
        y, _ = self.encoder(self._stacked(frames), lengths=steps)
        return Scores(self.output(self.dropout(y)).log_softmax(-1), steps)

    def advance(
        self, frames: Float[Tensor, "time batch mel"], state: State | None
    ) -> tuple[Float[Tensor, "step batch symbol"], State]:
        """The log probabilities of more frames of a sound, whole steps of them, and the state.

        Raises ``OptionError`` for an encoder of both directions, which has to know the end.
        """
        if self.encoder.bidirectional:
            raise OptionError(
                "Transcriber: this model reads in both directions and needs the whole sound; "
                "train one with bidirectional = false to transcribe while sound arrives."
            )
        y, state = self.encoder(self._stacked(frames), state)
        return self.output(self.dropout(y)).log_softmax(-1), state

    def loss(
        self,
        frames: Float[Tensor, "time batch mel"],
        lengths: Lengths,
        symbols: Int64[Tensor, "symbols batch"],
        symbol_counts: Lengths,
    ) -> Float[Tensor, ""]:
        """The mean over rows of -log p(symbols), each divided by how many symbols there are."""
        each = self.losses(self(frames, lengths), symbols, symbol_counts)
        impossible = int((each == 0).sum())
        self.impossible += impossible
        return each.sum() / max(1, len(each) - impossible)

    def losses(
        self, scores: Scores, symbols: Int64[Tensor, "symbols batch"], symbol_counts: Lengths
    ) -> Float[Tensor, " batch"]:
        """-log p(symbols) of each row, for each of its symbols; 0 where they do not fit."""
        each = nn.functional.ctc_loss(
            scores.log_probs,
            symbols.T,
            scores.lengths,
            symbol_counts,
            reduction="none",
            zero_infinity=True,
        )
        return each / symbol_counts.clamp_min(1)

    def _stacked(self, frames: Tensor) -> Tensor:
        """Frames of a step side by side."""
        size = self.frames_per_step
        steps = frames.shape[0] // size
        # time batch mel -> step batch frame * mel
        parts = frames[: steps * size].reshape(steps, size, *frames.shape[1:])
        return parts.transpose(1, 2).reshape(steps, frames.shape[1], size * frames.shape[2])
