"""Many to many, unaligned: a sequence becomes another of its own length.

A bidirectional encoder reads the source; a decoder writes the target with attention to what the
encoder said.  How the target is searched for is in ``decode/``: ``Translator`` offers ``start``
and ``step`` to it.  The two decoders and what they cost are in ``decoders.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.errors import OptionError
from elman.graph import Cell
from elman.models.decoders import Decoder, FeedingDecoder, Memory, ParallelDecoder, Recall
from elman.nn import Recurrent
from elman.nn.attention import AdditiveAttention, MultiplicativeAttention
from elman.nn.dropout import VariationalDropout
from elman.nn.embedding import WordEmbedding
from elman.nn.pooling import running
from elman.nn.smoothing import smoothed_nll

Tokens = Int64[Tensor, "time batch"]
Lengths = Int64[Tensor, " batch"]


@dataclass(frozen=True)
class Writing:
    """Where the decoder stands in each row: what it reads from, and its states."""

    memory: Memory
    recall: Recall

    def select(self, rows: Int64[Tensor, " row"]) -> Writing:
        """These rows, which may be repeated."""
        return Writing(self.memory.select(rows), self.recall.select(rows))


class Translator(nn.Module):
    """An encoder and a decoder with attention (Sutskever et al. 2014; Bahdanau et al. 2015).

    ``attention`` is "multiplicative" (Luong et al. 2015) or "additive" (Bahdanau et al. 2015).
    With ``input_feeding`` each step reads what the last one came to (Luong et al. 2015), so that
    training goes step by step; without, the lowest layer of the decoder asks (as in Wu et al.
    2016), the upper ones read the answers and ask again, and all steps of training run at once on
    the engine.  ``decoder_layers`` are 2 or more then.  The scores of tokens come from the target's
    own vectors unless ``tied`` is False (Press and Wolf 2017).  ``shared`` is for a source and a
    target with the same tokens: one table of vectors serves both.  ``dropout`` falls on vectors
    and outputs, one mask for all steps of a row; ``label_smoothing`` is the part of the target
    that goes to all tokens (Szegedy et al. 2016).  Index 0 is padding.

    ``layer`` makes recurrent layers as ``Recurrent`` does, with regularisers of one's choice.
    Raises ``OptionError`` for options that do not go together.

    >>> import elman, torch
    >>> model = Translator(elman.cells.gru, 50, 40, embedding_size=8, hidden_size=16)
    >>> source, lengths = torch.ones(5, 2, dtype=torch.int64), torch.tensor([5, 2])
    >>> target = torch.ones(4, 2, dtype=torch.int64)
    >>> model(source, lengths, target, torch.tensor([4, 3])).shape
    torch.Size([4, 2, 40])
    """

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
        layer: Callable[..., Recurrent] = Recurrent,
    ) -> None:
        super().__init__()
        if shared and source_tokens != target_tokens:
            raise OptionError(
                f"Translator: shared vectors need the same tokens on both sides, but there are "
                f"{source_tokens} and {target_tokens}."
            )
        self.label_smoothing = label_smoothing
        self.target = WordEmbedding(target_tokens, embedding_size)
        self.source = self.target if shared else WordEmbedding(source_tokens, embedding_size)
        # vectors that score tokens must be short and those that are read about 1 in each number, or
        # the recurrent layers say next to nothing at first (Vaswani et al. 2017, section 3.4)
        self.scale = embedding_size**0.5
        self.dropout = VariationalDropout(dropout)
        self.encoder = layer(
            cell,
            embedding_size,
            hidden_size,
            encoder_layers,
            bidirectional=True,
            dropout=dropout if encoder_layers > 1 else 0.0,
        )
        memory_size = self.encoder.output_size
        asks: AdditiveAttention | MultiplicativeAttention = (
            AdditiveAttention(hidden_size, memory_size, hidden_size)
            if attention == "additive"
            else MultiplicativeAttention(hidden_size, memory_size)
        )
        self.bridge = nn.ModuleList(
            [nn.Linear(memory_size, hidden_size * decoder_layers) for _ in cell.states]
        )
        kind = FeedingDecoder if input_feeding else ParallelDecoder
        self.decoder: Decoder = kind(
            cell,
            asks,
            embedding_size,
            hidden_size,
            memory_size,
            decoder_layers,
            dropout,
            layer,
        )
        self.scores = nn.Linear(embedding_size, target_tokens)
        nn.init.zeros_(self.scores.bias)
        if tied:
            self.scores.weight = self.target.weight

    def encode(self, source: Tokens, lengths: Lengths) -> Memory:
        """What the decoder reads: the source's outputs, their keys, and how it starts."""
        x = self.dropout(self.scale * self.source(source))
        y, last = self.encoder(x, lengths=lengths)
        starts = []
        for state, bridge in zip(last, self.bridge, strict=True):
            ends = torch.cat([state[-2], state[-1]], -1)  # of the upper layer, both directions
            layers = torch.tanh(bridge(ends)).unflatten(-1, (-1, self.encoder.hidden_size))
            starts.append(layers.transpose(0, 1).contiguous())  # layer batch hidden
        y = self.dropout(y)
        keys = self.decoder.attention.prepare(y)
        return Memory(y, keys, lengths, tuple(starts))

    def forward(
        self, source: Tokens, lengths: Lengths, target: Tokens, target_lengths: Lengths
    ) -> Float[Tensor, "time batch token"]:
        """The score of each token to come after each one of ``target``, which begins with a start.

        The scores at step t are those of the token at t + 1.
        """
        readouts, _ = self._read(source, lengths, target, target_lengths)
        scores: Tensor = self.scores(readouts)
        return scores

    def attend(
        self, source: Tokens, lengths: Lengths, target: Tokens, target_lengths: Lengths
    ) -> Float[Tensor, "time batch source"]:
        """The weights with which the token after each one of ``target`` was read off the source."""
        return self._read(source, lengths, target, target_lengths)[1]

    def loss(
        self,
        source: Tokens,
        lengths: Lengths,
        target: Tokens,
        target_lengths: Lengths,
        following: Tokens,
    ) -> Float[Tensor, ""]:
        """The mean over rows of -log p(``following``), summed over a row's tokens.

        ``following`` (time, batch) is the token to come after each one of ``target``.  In training
        with label smoothing it is the smoothed one.
        """
        readouts, _ = self._read(source, lengths, target, target_lengths)
        inside = running(readouts, target_lengths).squeeze(-1)
        smoothing = self.label_smoothing if self.training else 0.0
        total = smoothed_nll(
            readouts[inside], self.scores.weight, self.scores.bias, following[inside], smoothing
        )
        return total / max(1, target.shape[1])

    def start(self, source: Tokens, lengths: Lengths) -> Writing:
        """The state in which a translation begins."""
        memory = self.encode(source, lengths)
        return Writing(memory, self.decoder.start(memory))

    def step(
        self, tokens: Int64[Tensor, " batch"], state: Writing
    ) -> tuple[Float[Tensor, "batch token"], Writing]:
        """The log-probabilities of the tokens that may follow, and the next state."""
        x = self.dropout(self.scale * self.target(tokens[None]))
        readout, recall = self.decoder.step(x, state.memory, state.recall)
        return self.scores(readout[0]).log_softmax(-1), Writing(state.memory, recall)

    def _read(
        self, source: Tokens, lengths: Lengths, target: Tokens, target_lengths: Lengths
    ) -> tuple[Tensor, Tensor]:
        memory = self.encode(source, lengths)
        x = self.dropout(self.scale * self.target(target))
        found: tuple[Tensor, Tensor] = self.decoder(x, memory, target_lengths)
        return found
