"""A recurrent layer as it was found in a file, ready to become a ``Recurrent``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from elman.graph import Cell
from elman.nn.recurrent import Recurrent


@dataclass(frozen=True)
class FoundLayer:
    """``weights[layer][direction]`` by the cell's keys, such as ``W.f``; without any ``b.`` key
    the layer has no biases.
    """

    cell: Cell
    input_size: int
    hidden_size: int
    weights: Sequence[Sequence[Mapping[str, Tensor]]]
    batch_first: bool

    def recurrent(self) -> Recurrent:
        """The layer with these weights."""
        first = self.weights[0][0]
        layer = Recurrent(
            self.cell,
            self.input_size,
            self.hidden_size,
            len(self.weights),
            bidirectional=len(self.weights[0]) == 2,
            batch_first=self.batch_first,
            bias=any([key.startswith("b.") for key in first]),
            dtype=next(iter(first.values())).dtype,
        )
        layer.load_state_dict(
            {
                f"layers.{k}.{d}.{key}": tensor
                for k, directions in enumerate(self.weights)
                for d, parameters in enumerate(directions)
                for key, tensor in parameters.items()
            }
        )
        return layer


#: layers by their names; calling one reads it, or says why it cannot be imported
Found = Mapping[str, Callable[[], FoundLayer]]


def join_gates(
    letters: str, recurrent: Sequence[Tensor], from_input: Sequence[Tensor]
) -> dict[str, Tensor]:
    """``W.f`` ... with columns [h, x] from each gate's two matrices."""
    return {
        f"W.{letter}": torch.cat([r, w], 1)
        for letter, r, w in zip(letters, recurrent, from_input, strict=True)
    }


def negate_gate(parameters: dict[str, Tensor], letter: str) -> None:
    """1 - σ(a) instead of σ(a), which is σ(-a): for an update gate that weighs the other value."""
    for key in [key for key in parameters if key.endswith(f".{letter}")]:
        parameters[key] = -parameters[key]
