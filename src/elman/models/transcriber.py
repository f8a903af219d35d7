"""Many to many, unaligned: transcribes audio frames with connectionist temporal classification.

Each step of a recurrent encoder reads several frames.  Its output gives the probabilities of the
symbols and of a blank.  The loss sums over all alignments of symbols and steps (Graves et al.
2006).  ``decode/ctc.py`` searches for the best symbols.
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
    """The log probability of each symbol at each step, and the number of steps of each row."""

    log_probs: Float[Tensor, "step batch symbol"]
    lengths: Lengths


class Transcriber(nn.Module):
    """A recurrent encoder and a linear layer that output log probabilities for CTC.

    ``encoder`` reads ``frames_per_step`` concatenated frames per step; an incomplete last step is
    dropped.  Symbol 0 is the blank.  ``dropout`` applies to the encoder's outputs, with one mask
    for all steps.

    ``impossible`` counts the training rows with more symbols than fit into their steps; they do
    not contribute to the loss.

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
        check_frames_per_step("Transcriber", encoder, frames_per_step)
        self.encoder = encoder
        self.frames_per_step = frames_per_step
        self.dropout = VariationalDropout(dropout)
        self.output = nn.Linear(encoder.output_size, num_symbols)
        self.impossible = 0

    def forward(self, frames: Float[Tensor, "time batch mel"], lengths: Lengths) -> Scores:
        """Computes the log probabilities of all steps."""
        steps = lengths // self.frames_per_step
        y, _ = self.encoder(stack_frames(frames, self.frames_per_step), lengths=steps)
        return Scores(self.output(self.dropout(y)).log_softmax(-1), steps)

    def advance(
        self, frames: Float[Tensor, "time batch mel"], state: State | None
    ) -> tuple[Float[Tensor, "step batch symbol"], State]:
        """Computes the log probabilities of the next frames and the new state, for streaming.

        The number of frames must be a multiple of ``frames_per_step``.  Raises ``OptionError`` for
        a bidirectional encoder, which needs the whole input.
        """
        if self.encoder.bidirectional:
            raise OptionError(
                "Transcriber: this model is bidirectional and needs the whole recording; "
                "train one with bidirectional = false to transcribe live."
            )
        y, state = self.encoder(stack_frames(frames, self.frames_per_step), state)
        return self.output(self.dropout(y)).log_softmax(-1), state

    def loss(
        self,
        frames: Float[Tensor, "time batch mel"],
        lengths: Lengths,
        symbols: Int64[Tensor, "symbols batch"],
        symbol_counts: Lengths,
    ) -> Float[Tensor, ""]:
        """The mean over rows of -log p(symbols) per symbol."""
        each = self.losses(self(frames, lengths), symbols, symbol_counts)
        impossible = int((each == 0).sum())
        self.impossible += impossible
        return each.sum() / max(1, len(each) - impossible)

    def losses(
        self, scores: Scores, symbols: Int64[Tensor, "symbols batch"], symbol_counts: Lengths
    ) -> Float[Tensor, " batch"]:
        """-log p(symbols) per symbol for each row; 0 if the symbols do not fit into the steps."""
        return ctc_losses(scores, symbols, symbol_counts)


def ctc_losses(
    scores: Scores, symbols: Int64[Tensor, "symbols batch"], symbol_counts: Lengths
) -> Float[Tensor, " batch"]:
    """-log p(symbols) per symbol for each row; 0 if the symbols do not fit into the steps."""
    each = nn.functional.ctc_loss(
        scores.log_probs,
        symbols.T,
        scores.lengths,
        symbol_counts,
        reduction="none",
        zero_infinity=True,
    )
    return each / symbol_counts.clamp_min(1)


def check_frames_per_step(title: str, encoder: Recurrent, frames_per_step: int) -> None:
    """Raises ``OptionError`` if the encoder cannot read this number of frames per step."""
    if frames_per_step < 1 or encoder.input_size % frames_per_step:
        raise OptionError(
            f"{title}: frames_per_step is {frames_per_step}, but the encoder reads "
            f"{encoder.input_size} features; it must be positive and divide them."
        )


def stack_frames(
    frames: Float[Tensor, "time batch mel"], size: int
) -> Float[Tensor, "step batch features"]:
    """Concatenates ``size`` frames for each step; frames that do not fill a step are dropped."""
    steps = frames.shape[0] // size
    # time batch mel -> step batch frame * mel
    parts = frames[: steps * size].reshape(steps, size, *frames.shape[1:])
    return parts.transpose(1, 2).reshape(steps, frames.shape[1], size * frames.shape[2])
