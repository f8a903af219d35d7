"""Many to many, unaligned: transcribes audio frames with a recurrent transducer (Graves 2012).

Like CTC (``transcriber.py``), a transducer learns symbols without aligned data.  Unlike CTC, the
probability of a symbol depends on the symbols before it, by a second recurrent network, and one
step may emit several symbols.  ``transducer_loss.py`` sums over all alignments;
``decode/transducer.py`` searches for the best symbols.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.errors import OptionError, ShapeError
from elman.models.transcriber import Scores, check_frames_per_step, ctc_losses, stack_frames
from elman.models.transducer_loss import joint_columns, transducer_loss
from elman.nn import Recurrent
from elman.nn.dropout import VariationalDropout
from elman.nn.stack import State

Lengths = Int64[Tensor, " batch"]
#: the symbol for "no further symbol at this step", and the one before the first symbol
BLANK = 0


class Encoded(NamedTuple):
    """The encoder's side of the joint network, and the number of steps of each row."""

    outputs: Float[Tensor, "step batch joint"]
    lengths: Lengths


class Transducer(nn.Module):
    """An encoder of the frames, a prediction network of the symbols, and a joint network.

    ``encoder`` reads ``frames_per_step`` concatenated frames per step; an incomplete last step is
    dropped.  ``prediction``, a ``Recurrent`` of any cell, reads vectors of the symbols so far, and
    a vector of zeros before the first.  The joint network adds linear projections of both to
    ``joint_size`` values and computes log probabilities from their tanh.  Symbol 0 is the blank.
    ``dropout`` applies to the outputs of both networks, with one mask for all steps.

    With ``ctc_weight``, ``loss`` adds that times the loss of CTC on the encoder's outputs, by a
    linear layer of its own that nothing else uses.  A transducer first learns the symbols that
    usually follow, without the sound; CTC makes the encoder listen from the start.

    ``impossible`` counts the training rows without a single step; they do not contribute to the
    loss.

    >>> import elman, torch
    >>> lstm = elman.cells.lstm
    >>> encoder, prediction = elman.Recurrent(lstm, 3 * 40, 16), elman.Recurrent(lstm, 8, 12)
    >>> model = Transducer(encoder, prediction, 28, joint_size=10, frames_per_step=3)
    >>> frames, lengths = torch.randn(100, 2, 40), torch.tensor([100, 50])
    >>> symbols, counts = torch.randint(1, 28, (9, 2)), torch.tensor([9, 4])
    >>> model.loss(frames, lengths, symbols, counts).shape
    torch.Size([])
    >>> encoded = model(frames, lengths)
    >>> encoded.outputs.shape, encoded.lengths.tolist()
    (torch.Size([33, 2, 10]), [33, 16])
    >>> predicted, state = model.predict(torch.tensor([0, 0]))
    >>> model.joint(encoded.outputs[0], predicted).shape
    torch.Size([2, 28])
    """

    def __init__(
        self,
        encoder: Recurrent,
        prediction: Recurrent,
        num_symbols: int,
        *,
        joint_size: int = 128,
        frames_per_step: int = 3,
        dropout: float = 0.0,
        ctc_weight: float = 0.0,
    ) -> None:
        super().__init__()
        check_frames_per_step("Transducer", encoder, frames_per_step)
        if prediction.bidirectional:
            raise OptionError(
                "Transducer: the prediction network is bidirectional, but it must read forwards "
                "only, because later symbols are not known; use bidirectional=False."
            )
        self.encoder = encoder
        self.frames_per_step = frames_per_step
        self.embedding = nn.Embedding(num_symbols, prediction.input_size, padding_idx=BLANK)
        self.prediction = prediction
        self.dropout = VariationalDropout(dropout)
        self.from_encoder = nn.Linear(encoder.output_size, joint_size)
        self.from_prediction = nn.Linear(prediction.output_size, joint_size, bias=False)
        self.output = nn.Linear(joint_size, num_symbols)
        self.ctc_weight = ctc_weight
        self.ctc = nn.Linear(encoder.output_size, num_symbols) if ctc_weight else None
        self.impossible = 0

    def forward(self, frames: Float[Tensor, "time batch mel"], lengths: Lengths) -> Encoded:
        """Encodes all steps."""
        y, steps = self._heard(frames, lengths)
        return Encoded(self.from_encoder(y), steps)

    def _heard(self, frames: Tensor, lengths: Lengths) -> tuple[Tensor, Lengths]:
        """The outputs of the encoder, and the number of steps of each row."""
        steps = lengths // self.frames_per_step
        y, _ = self.encoder(stack_frames(frames, self.frames_per_step), lengths=steps)
        return self.dropout(y), steps

    def advance(
        self, frames: Float[Tensor, "time batch mel"], state: State | None
    ) -> tuple[Float[Tensor, "step batch joint"], State]:
        """Encodes the next frames; returns also the new state of the encoder, for streaming.

        The number of frames must be a multiple of ``frames_per_step``.  Raises ``OptionError`` for
        a bidirectional encoder, which needs the whole input.
        """
        if self.encoder.bidirectional:
            raise OptionError(
                "Transducer: this model is bidirectional and needs the whole recording; "
                "train one with bidirectional = false to transcribe live."
            )
        y, state = self.encoder(stack_frames(frames, self.frames_per_step), state)
        return self.from_encoder(self.dropout(y)), state

    def predict(
        self, symbols: Int64[Tensor, " batch"], state: State | None = None
    ) -> tuple[Float[Tensor, "batch joint"], State]:
        """The prediction network's side of the joint network after one more symbol; its state.

        Symbol 0 with no state is the start.
        """
        y, state = self.prediction(self.embedding(symbols)[None], state)
        return self.from_prediction(self.dropout(y[0])), state

    def joint(
        self, encoded: Float[Tensor, "*batch joint"], predicted: Float[Tensor, "*batch joint"]
    ) -> Float[Tensor, "*batch symbol"]:
        """The log probability of each symbol at a step, after the symbols so far."""
        logits: Tensor = self.output(torch.tanh(encoded + predicted))
        return logits.log_softmax(-1)

    def loss(
        self,
        frames: Float[Tensor, "time batch mel"],
        lengths: Lengths,
        symbols: Int64[Tensor, "symbols batch"],
        symbol_counts: Lengths,
    ) -> Float[Tensor, ""]:
        """The mean over rows of -log p(symbols) per symbol, and CTC's with its weight."""
        y, steps = self._heard(frames, lengths)
        each = self.losses(Encoded(self.from_encoder(y), steps), symbols, symbol_counts)
        if self.ctc is not None:
            log_probs = self.ctc(y).log_softmax(-1)
            by_ctc = ctc_losses(Scores(log_probs, steps), symbols, symbol_counts)
            each = each + self.ctc_weight * by_ctc
        impossible = int((steps == 0).sum())
        self.impossible += impossible
        return each.sum() / max(1, len(each) - impossible)

    def losses(
        self, encoded: Encoded, symbols: Int64[Tensor, "symbols batch"], symbol_counts: Lengths
    ) -> Float[Tensor, " batch"]:
        """-log p(symbols) per symbol for each row; 0 for a row without steps.

        Its memory is bounded: see ``joint_columns``.
        """
        if symbols.shape[1:] != encoded.lengths.shape:
            raise ShapeError(
                f"Transducer: symbols have the shape {tuple(symbols.shape)}, but they must be "
                f"(symbols, {len(encoded.lengths)}), a column for each row of the frames."
            )
        before = nn.functional.pad(symbols, (0, 0, 1, 0))  # a blank, then the symbols
        y, _ = self.prediction(self.embedding(before), lengths=symbol_counts + 1)
        predicted = self.from_prediction(self.dropout(y))
        blank, label = joint_columns(
            encoded.outputs, predicted, self.output.weight, self.output.bias, symbols
        )
        each = transducer_loss(blank, label, encoded.lengths, symbol_counts)
        each = torch.where(encoded.lengths == 0, 0.0, each)
        return each / symbol_counts.clamp_min(1)
