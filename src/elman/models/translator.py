"""Many to many, unaligned: an encoder-decoder model with attention.

A bidirectional encoder reads the source; a decoder writes the target and attends to the outputs of
the encoder.  The searches of ``decode/`` use ``start`` and ``step`` of ``Translator``.
``decoders.py`` has two decoders.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.errors import OptionError
from elman.graph import Cell
from elman.models.decoders import Decoder, FeedingDecoder, Memory, ParallelDecoder, Recall
from elman.nn import Recurrent
from elman.nn.attention import AdditiveAttention, MultiplicativeAttention
from elman.nn.between import Merge
from elman.nn.dropout import VariationalDropout
from elman.nn.embedding import WordEmbedding
from elman.nn.pooling import running
from elman.nn.smoothing import smoothed_nll

Tokens = Int64[Tensor, "time batch"]
Lengths = Int64[Tensor, " batch"]


@dataclass(frozen=True)
class Writing:
    """The state of a search: the encoded source and the decoder state of each row."""

    memory: Memory
    recall: Recall

    def select(self, rows: Int64[Tensor, " row"]) -> Writing:
        """Selects rows, which may be repeated."""
        return Writing(self.memory.select(rows), self.recall.select(rows))


class Translator(nn.Module):
    """An encoder and a decoder with attention (Sutskever et al. 2014; Bahdanau et al. 2015).

    ``attention`` is "multiplicative" (Luong et al. 2015) or "additive" (Bahdanau et al. 2015).
    With ``input_feeding``, each step reads the last attention output (Luong et al. 2015), and
    training runs step by step.  Without it, the lowest decoder layer computes attention queries (as
    in Wu et al. 2016), the upper layers read the context and attend again, and training runs all
    steps at once; ``decoder_layers`` must then be at least 2.  ``tied`` uses the target embeddings
    as output weights (Press and Wolf 2017).  ``shared`` uses one embedding for source and target,
    which must have the same tokens.  ``dropout`` applies to embeddings and outputs, with one mask
    for all steps.  ``label_smoothing`` follows Szegedy et al. (2016).  Index 0 is padding.

    ``layer`` creates recurrent layers and has the parameters of ``Recurrent``; use it to add
    regularisation.  Raises ``OptionError`` for invalid combinations of options.

    >>> import elman, torch
    >>> model = Translator(elman.cells.gru, 50, 40, embedding_size=8, hidden_size=16)
    >>> source, lengths = torch.ones(5, 2, dtype=torch.int64), torch.tensor([5, 2])
    >>> target = torch.ones(4, 2, dtype=torch.int64)
    >>> model(source, lengths, target, torch.tensor([4, 3])).shape
    torch.Size([4, 2, 40])
    """

    #: tensors that weights of older versions lack
    added_later = ("confidence",)
    #: tensors that answers need and that no graph of ``forward`` holds
    constants = ("confidence",)

    def __init__(
        self,
        cell: Cell,
        source_tokens: int,
        target_tokens: int,
        *,
        embedding_size: int,
        hidden_size: int,
        encoder_layers: int = 1,
        decoder_layers: int = 2,
        attention: Literal["multiplicative", "additive"] = "multiplicative",
        input_feeding: bool = False,
        tied: bool = True,
        shared: bool = False,
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
        merge: Merge = "concatenate",
        layer: Callable[..., Recurrent] = Recurrent,
    ) -> None:
        super().__init__()
        if shared and source_tokens != target_tokens:
            raise OptionError(
                f"Translator: shared embeddings need the same tokens on both sides, but there are "
                f"{source_tokens} and {target_tokens} tokens."
            )
        self.label_smoothing = label_smoothing
        #: slope and offset of the confidence as a function of the mean log p; 0 if not fitted
        self.confidence: Tensor
        self.register_buffer("confidence", torch.zeros(2))
        self.target = WordEmbedding(target_tokens, embedding_size)
        self.source = self.target if shared else WordEmbedding(source_tokens, embedding_size)
        # output weights must be small, but inputs need elements of about 1, or the recurrent layers
        # output almost nothing at first (Vaswani et al. 2017, section 3.4)
        self.scale = embedding_size**0.5
        self.dropout = VariationalDropout(dropout)
        self.encoder = layer(
            cell,
            embedding_size,
            hidden_size,
            encoder_layers,
            bidirectional=True,
            merge=merge,
            dropout=dropout if encoder_layers > 1 else 0.0,
        )
        memory_size = self.encoder.output_size
        attend: AdditiveAttention | MultiplicativeAttention = (
            AdditiveAttention(hidden_size, memory_size, hidden_size)
            if attention == "additive"
            else MultiplicativeAttention(hidden_size, memory_size)
        )
        for name in cell.states:
            size = cell.state_size(name)
            if size != "hidden":
                raise OptionError(
                    f"Translator: the state {name} of {cell.name} has the size {size}, but the "
                    "decoder begins with states of one value per unit; choose another cell."
                )
        self.bridge = nn.ModuleList(
            [nn.Linear(2 * hidden_size, hidden_size * decoder_layers) for _ in cell.states]
        )
        kind = FeedingDecoder if input_feeding else ParallelDecoder
        self.decoder: Decoder = kind(
            cell,
            attend,
            embedding_size,
            hidden_size,
            memory_size,
            decoder_layers,
            dropout,
            # the decoder begins with states from the encoder
            partial(layer, learned_state=False),
        )
        self.scores = nn.Linear(embedding_size, target_tokens)
        nn.init.zeros_(self.scores.bias)
        if tied:
            self.scores.weight = self.target.weight

    def encode(self, source: Tokens, lengths: Lengths) -> Memory:
        """Encodes the source: outputs, attention keys, and initial decoder states."""
        x = self.dropout(self.scale * self.source(source))
        y, last = self.encoder(x, lengths=lengths)
        starts = []
        for state, bridge in zip(last, self.bridge, strict=True):
            ends = torch.cat([state[-2], state[-1]], -1)  # top layer, both directions
            layers = torch.tanh(bridge(ends)).unflatten(-1, (-1, self.encoder.hidden_size))
            starts.append(layers.transpose(0, 1).contiguous())  # layer batch hidden
        y = self.dropout(y)
        keys = self.decoder.attention.prepare(y)
        return Memory(y, keys, lengths, tuple(starts))

    def forward(
        self, source: Tokens, lengths: Lengths, target: Tokens, target_lengths: Lengths
    ) -> Float[Tensor, "time batch token"]:
        """Computes the scores of the token after each token of ``target``.

        ``target`` begins with the start token; step t has the scores of the token at t + 1.
        """
        readouts, _ = self._read(source, lengths, target, target_lengths)
        scores: Tensor = self.scores(readouts)
        return scores

    def attend(
        self, source: Tokens, lengths: Lengths, target: Tokens, target_lengths: Lengths
    ) -> Float[Tensor, "time batch source"]:
        """The attention weights for predicting the token after each token of ``target``."""
        return self._read(source, lengths, target, target_lengths)[1]

    def loss(
        self,
        source: Tokens,
        lengths: Lengths,
        target: Tokens,
        target_lengths: Lengths,
        following: Tokens,
    ) -> Float[Tensor, ""]:
        """The mean over rows of -log p(``following``), summed over the tokens of a row.

        ``following`` (time, batch) has the token after each token of ``target``.  Label smoothing
        applies only in training.
        """
        readouts, _ = self._read(source, lengths, target, target_lengths)
        inside = running(readouts, target_lengths).squeeze(-1)
        smoothing = self.label_smoothing if self.training else 0.0
        total = smoothed_nll(
            readouts[inside], self.scores.weight, self.scores.bias, following[inside], smoothing
        )
        return total / max(1, target.shape[1])

    def start(self, source: Tokens, lengths: Lengths) -> Writing:
        """The initial state of a translation."""
        memory = self.encode(source, lengths)
        return Writing(memory, self.decoder.start(memory))

    def step(
        self, tokens: Int64[Tensor, " batch"], state: Writing
    ) -> tuple[Float[Tensor, "batch token"], Writing]:
        """Computes the log probabilities of the next token, and the next state."""
        log_probs, _, after = self.attending_step(tokens, state)
        return log_probs, after

    def attending_step(
        self, tokens: Int64[Tensor, " batch"], state: Writing
    ) -> tuple[Float[Tensor, "batch token"], Float[Tensor, "batch source"], Writing]:
        """Like ``step``, but also returns the attention weights."""
        x = self.dropout(self.scale * self.target(tokens[None]))
        readout, weights, recall = self.decoder.step(x, state.memory, state.recall)
        log_probs = self.scores(readout[0]).log_softmax(-1)
        return log_probs, weights[0], Writing(state.memory, recall)

    def _read(
        self, source: Tokens, lengths: Lengths, target: Tokens, target_lengths: Lengths
    ) -> tuple[Tensor, Tensor]:
        memory = self.encode(source, lengths)
        x = self.dropout(self.scale * self.target(target))
        found: tuple[Tensor, Tensor] = self.decoder(x, memory, target_lengths)
        return found
