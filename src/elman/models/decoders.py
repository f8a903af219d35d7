"""The two decoders of ``Translator``: all steps of training at once, or one after the other.

``ParallelDecoder`` asks the source with the outputs of its lowest layer, which depend on the
target's tokens alone; upper layers read the answers, and then ask once more.  So in training each
layer runs over all steps at once.  ``FeedingDecoder`` asks with the outputs of its uppermost layer
and feeds the answer into the next step (Luong et al. 2015), which makes each step wait for the
last.  Going step by step, either writes what it was trained to.
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
    """A source as the decoder reads it, and the decoder's first states, all layers together."""

    outputs: Float[Tensor, "source batch features"]
    keys: Float[Tensor, "source batch key"]
    lengths: Lengths
    first: State  # layer batch hidden

    def select(self, rows: Int64[Tensor, " row"]) -> Memory:
        """These rows, which may be repeated."""
        return Memory(
            self.outputs.index_select(1, rows),
            self.keys.index_select(1, rows),
            self.lengths.index_select(0, rows),
            tuple([state.index_select(1, rows) for state in self.first]),
        )


@dataclass(frozen=True)
class Recall:
    """The states of a decoder between two steps: of each recurrent module, and what is fed."""

    states: tuple[State, ...]
    input_feed: Float[Tensor, "1 batch embedding"] | None = None

    def select(self, rows: Int64[Tensor, " row"]) -> Recall:
        """These rows, which may be repeated."""
        states = tuple([tuple([s.index_select(1, rows) for s in each]) for each in self.states])
        return Recall(
            states, None if self.input_feed is None else self.input_feed.index_select(1, rows)
        )


class Decoder(Protocol):
    """What ``Translator`` needs of a decoder; a readout is what tokens are scored by."""

    attention: Attention

    def __call__(
        self, x: Float[Tensor, "time batch embedding"], memory: Memory, lengths: Lengths
    ) -> tuple[Float[Tensor, "time batch embedding"], Float[Tensor, "time batch source"]]:
        """The readouts and the attention of all steps of a target that is known."""

    def start(self, memory: Memory) -> Recall:
        """The state before the first step."""

    def step(
        self, x: Float[Tensor, "1 batch embedding"], memory: Memory, recall: Recall
    ) -> tuple[Float[Tensor, "1 batch embedding"], Recall]:
        """The readout of one step, and the next state."""


class ParallelDecoder(nn.Module):
    """A layer that asks, and layers that read the answers beside the questions and ask again."""

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
                f"Translator: decoder_layers is {num_layers}; without input_feeding it takes 2 or "
                "more: one that asks, and one that reads the answers."
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

    def step(self, x: Tensor, memory: Memory, recall: Recall) -> tuple[Tensor, Recall]:
        """See ``Decoder``."""
        readout, _, after = self._run(x, memory, recall, None)
        return readout, after

    def _run(
        self, x: Tensor, memory: Memory, recall: Recall, lengths: Lengths | None
    ) -> tuple[Tensor, Tensor, Recall]:
        questions, asking = self.asking(x, recall.states[0], lengths=lengths)
        questions = self.dropout(questions)
        context, _ = self.attention(questions, memory.keys, memory.outputs, memory.lengths)
        both = torch.cat([questions, context], -1)
        y, reading = self.reading(both, recall.states[1], lengths=lengths)
        # these know what was read up to now, and ask once more
        y = self.dropout(y)
        context, weights = self.attention(y, memory.keys, memory.outputs, memory.lengths)
        said = torch.tanh(self.readout(torch.cat([y, context], -1)))
        return self.dropout(said), weights, Recall((asking, reading))


class FeedingDecoder(nn.Module):
    """Layers that read a token beside the last readout; attention with the uppermost's outputs."""

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
        """See ``Decoder``; what comes after a row's end is of no use, and nobody reads it."""
        recall = self.start(memory)
        readouts, weights = [], []
        for x_t in x.split(1):
            readout, attended, recall = self._one(x_t, memory, recall)
            readouts.append(readout)
            weights.append(attended)
        return torch.cat(readouts), torch.cat(weights)

    def start(self, memory: Memory) -> Recall:
        """See ``Decoder``."""
        nothing = memory.keys.new_zeros(1, memory.keys.shape[1], self.readout.out_features)
        return Recall((memory.first,), nothing)

    def step(self, x: Tensor, memory: Memory, recall: Recall) -> tuple[Tensor, Recall]:
        """See ``Decoder``."""
        readout, _, after = self._one(x, memory, recall)
        return readout, after

    def _one(self, x: Tensor, memory: Memory, recall: Recall) -> tuple[Tensor, Tensor, Recall]:
        assert recall.input_feed is not None
        y, states = self.recurrent(torch.cat([x, recall.input_feed], -1), recall.states[0])
        context, weights = self.attention(y, memory.keys, memory.outputs, memory.lengths)
        said = torch.tanh(self.readout(torch.cat([self.dropout(y), context], -1)))
        said = self.dropout(said)
        return said, weights, Recall((states,), said)
