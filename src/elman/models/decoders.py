"""The two decoders of ``Translator``.

``ParallelDecoder`` attends to the source with the outputs of its lowest layer, which depend only on
the target tokens; the upper layers read the context and attend again.  In training, each layer
therefore runs over all steps at once.  ``FeedingDecoder`` attends with the outputs of its top layer
and feeds the result into the next step (Luong et al. 2015), so training runs step by step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.errors import OptionError
from elman.graph import Cell
from elman.nn import Recurrent
from elman.nn.attention import AdditiveAttention, MultiplicativeAttention
from elman.nn.dropout import VariationalDropout
from elman.nn.stack import State

Lengths = Int64[Tensor, " batch"]
Attention = AdditiveAttention | MultiplicativeAttention


@dataclass(frozen=True)
class Memory:
    """The encoded source with attention keys, and the initial decoder states of all layers."""

    outputs: Float[Tensor, "source batch features"]
    keys: Float[Tensor, "source batch key"]
    lengths: Lengths
    first: State  # layer batch hidden

    def select(self, rows: Int64[Tensor, " row"]) -> Memory:
        """Selects rows, which may be repeated."""
        return Memory(
            self.outputs.index_select(1, rows),
            self.keys.index_select(1, rows),
            self.lengths.index_select(0, rows),
            tuple([state.index_select(1, rows) for state in self.first]),
        )


@dataclass(frozen=True)
class Recall:
    """The decoder state: the states of each recurrent module, and the input feed."""

    states: tuple[State, ...]
    input_feed: Float[Tensor, "1 batch embedding"] | None = None

    def select(self, rows: Int64[Tensor, " row"]) -> Recall:
        """Selects rows, which may be repeated."""
        states = tuple([tuple([s.index_select(1, rows) for s in each]) for each in self.states])
        return Recall(
            states, None if self.input_feed is None else self.input_feed.index_select(1, rows)
        )


class Decoder(Protocol):
    """The decoder interface of ``Translator``; tokens are scored from readouts."""

    attention: Attention

    def __call__(
        self, x: Float[Tensor, "time batch embedding"], memory: Memory, lengths: Lengths
    ) -> tuple[Float[Tensor, "time batch embedding"], Float[Tensor, "time batch source"]]:
        """Computes the readouts and the attention weights for all steps of a given target."""

    def start(self, memory: Memory) -> Recall:
        """The state before the first step."""

    def step(
        self, x: Float[Tensor, "1 batch embedding"], memory: Memory, recall: Recall
    ) -> tuple[Float[Tensor, "1 batch embedding"], Float[Tensor, "1 batch source"], Recall]:
        """Computes the readout and the attention of one step, and the next state."""


class ParallelDecoder(nn.Module):
    """A query layer, and layers that read query and context and attend again."""

    def __init__(
        self,
        cell: Cell,
        attention: Attention,
        embedding_size: int,
        hidden_size: int,
        memory_size: int,
        num_layers: int,
        dropout: float,
        layer: Callable[..., Recurrent] = Recurrent,
    ) -> None:
        super().__init__()
        if num_layers < 2:
            raise OptionError(
                f"Translator: decoder_layers is {num_layers}; without input_feeding it must be at "
                "least 2: one for the attention queries, and one that reads the context."
            )
        self.attention = attention
        self.asking = layer(cell, embedding_size, hidden_size)
        self.reading = layer(
            cell,
            hidden_size + memory_size,
            hidden_size,
            num_layers - 1,
            dropout=dropout if num_layers > 2 else 0.0,
        )
        self.dropout = VariationalDropout(dropout)
        self.readout = nn.Linear(hidden_size + memory_size, embedding_size)

    def forward(self, x: Tensor, memory: Memory, lengths: Lengths) -> tuple[Tensor, Tensor]:
        """See ``Decoder``."""
        readouts, weights, _ = self._run(x, memory, self.start(memory), lengths)
        return readouts, weights

    def start(self, memory: Memory) -> Recall:
        """See ``Decoder``."""
        first = tuple([state[:1] for state in memory.first])
        return Recall((first, tuple([state[1:] for state in memory.first])))

    def step(self, x: Tensor, memory: Memory, recall: Recall) -> tuple[Tensor, Tensor, Recall]:
        """See ``Decoder``."""
        return self._run(x, memory, recall, None)

    def _run(
        self, x: Tensor, memory: Memory, recall: Recall, lengths: Lengths | None
    ) -> tuple[Tensor, Tensor, Recall]:
        query, asking = self.asking(x, recall.states[0], lengths=lengths)
        query = self.dropout(query)
        context, _ = self.attention(query, memory.keys, memory.outputs, memory.lengths)
        both = torch.cat([query, context], -1)
        y, reading = self.reading(both, recall.states[1], lengths=lengths)
        # attend again, now with the outputs of the upper layers
        y = self.dropout(y)
        context, weights = self.attention(y, memory.keys, memory.outputs, memory.lengths)
        readout = torch.tanh(self.readout(torch.cat([y, context], -1)))
        return self.dropout(readout), weights, Recall((asking, reading))


class FeedingDecoder(nn.Module):
    """Layers that read a token and the last readout; the top layer attends to the source."""

    def __init__(
        self,
        cell: Cell,
        attention: Attention,
        embedding_size: int,
        hidden_size: int,
        memory_size: int,
        num_layers: int,
        dropout: float,
        layer: Callable[..., Recurrent] = Recurrent,
    ) -> None:
        super().__init__()
        self.attention = attention
        self.recurrent = layer(
            cell,
            2 * embedding_size,
            hidden_size,
            num_layers,
            dropout=dropout if num_layers > 1 else 0.0,
        )
        self.dropout = VariationalDropout(dropout)
        self.readout = nn.Linear(hidden_size + memory_size, embedding_size)

    def forward(self, x: Tensor, memory: Memory, lengths: Lengths) -> tuple[Tensor, Tensor]:
        """See ``Decoder``; the outputs in padding are not defined."""
        recall = self.start(memory)
        readouts, weights = [], []
        for x_t in x.split(1):
            readout, attended, recall = self.step(x_t, memory, recall)
            readouts.append(readout)
            weights.append(attended)
        return torch.cat(readouts), torch.cat(weights)

    def start(self, memory: Memory) -> Recall:
        """See ``Decoder``."""
        zeros = memory.keys.new_zeros(1, memory.keys.shape[1], self.readout.out_features)
        return Recall((memory.first,), zeros)

    def step(self, x: Tensor, memory: Memory, recall: Recall) -> tuple[Tensor, Tensor, Recall]:
        """See ``Decoder``."""
        assert recall.input_feed is not None
        y, states = self.recurrent(torch.cat([x, recall.input_feed], -1), recall.states[0])
        context, weights = self.attention(y, memory.keys, memory.outputs, memory.lengths)
        readout = torch.tanh(self.readout(torch.cat([self.dropout(y), context], -1)))
        readout = self.dropout(readout)
        return readout, weights, Recall((states,), readout)
