"""A published cell: its equations, and a loop over time that a careful user of torch would write.

A loop reads the weights by the names of the equations (``Weights``).  It multiplies x with all
matrices in one product before the steps, unbinds time once, and has one product per step and
operand.  It shares nothing else with the library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

import elman
from elman.graph import Cell
from linear_scans import Doubling, InPlace


class Weights:
    """The parameters of a layer by name, and stacks of them.

    With ``once``, a stack is made once and is a parameter itself, as in a module that keeps its
    weights stacked; ``leaves`` are what such a loop is trained on.  Otherwise it is made in each
    call, so that gradients reach the layer's parameters.
    """

    def __init__(self, layer: elman.Recurrent, *, once: bool = False) -> None:
        self.of = {
            name.removeprefix("layers.0.0."): p.detach().requires_grad_() if once else p
            for name, p in layer.named_parameters()
        }
        self.inputs, self.hidden, self.once = layer.input_size, layer.hidden_size, once
        self.leaves: dict[Any, Tensor] = {}

    def __getitem__(self, key: str) -> Tensor:
        self.leaves[key] = self.of[key]
        return self.of[key]

    def stack(self, keys: str, start: int = 0, stop: int | None = None) -> Tensor:
        """Rows of several matrices, or a slice of their columns; or several vectors."""
        place = (keys, start, stop)
        if place not in self.leaves or not self.once:
            parts = [self.of[key] for key in keys.split()]
            made = torch.cat([p if p.dim() == 1 else p[:, start:stop] for p in parts])
            self.leaves[place] = made.detach().requires_grad_() if self.once else made
        return self.leaves[place]

    def recurrent(self, gates: str, family: str = "W", block: int = 0) -> Tensor:
        """(hidden, gates * hidden): what multiplies the operand at this place of hidden size."""
        keys = " ".join([f"{family}.{gate}" for gate in gates.split()])
        return self.stack(keys, block * self.hidden, (block + 1) * self.hidden).t()

    def project(self, x: Tensor, gates: str, family: str = "W", bias: str = "b") -> Tensor:
        """The product with x, which the matrices have as their last operand, and the biases."""
        names = gates.split()
        matrix = self.stack(" ".join([f"{family}.{gate}" for gate in names]), -self.inputs)
        biases = [f"{bias}.{gate}" for gate in names if f"{bias}.{gate}" in self.of]
        assert len(biases) in (0, len(names)), f"some of {gates} have a bias, others none"
        vector = self.stack(" ".join(biases)) if biases else None
        return torch.nn.functional.linear(x, matrix, vector)

    def steps(
        self, x: Tensor, *pieces: str, family: str = "W", beside: tuple[Tensor, ...] = ()
    ) -> Iterator[tuple[Tensor, ...]]:
        """Step by step, the products of x for each piece (gates that stay together)."""
        widths = [len(piece.split()) * self.hidden for piece in pieces]
        parts = self.project(x, " ".join(pieces), family).split(widths, -1)
        return zip(*[part.unbind(0) for part in (*parts, *beside)], strict=True)


#: from the weights, x (time, batch, input), a first value per state, and inputs beside x: y and
#: the last states, as far as the loop has them in the cell's form
Loop = Callable[..., tuple[Tensor, ...]]


def nothing_beside(x: Tensor, hidden: int) -> dict[str, Tensor]:
    """A cell without inputs beside x."""
    return {}


@dataclass(frozen=True)
class Published:
    """A cell with its loop, and what is to be said about both."""

    title: str
    cell: Cell
    loop: Loop
    #: faster rivals, in torch too, where there are any: y alone
    rivals: Mapping[str, Loop] = field(default_factory=dict)
    #: the inputs beside x, from x and the hidden size
    beside: Callable[[Tensor, int], dict[str, Tensor]] = nothing_beside
    #: options of the layer, from the hidden size
    options: Callable[[int], dict[str, Any]] = lambda hidden: {}
    #: sets what the paper fixes, and what must not be drawn
    prepare: Callable[[elman.Recurrent], None] = lambda layer: None
    #: whether x has one value per unit
    square: bool = False
    #: whether states begin at zero, as the paper has it, and not anywhere
    from_zero: bool = False
    #: the trick that an earlier form of the language needed
    gone: str = ""
    #: what is still not as in the paper
    left: str = ""

    def layer(self, input_size: int, hidden_size: int, **options: Any) -> elman.Recurrent:
        """A layer of the cell."""
        made = elman.Recurrent(
            self.cell, input_size, hidden_size, **self.options(hidden_size), **options
        )
        self.prepare(made)
        return made


def as_units(x: Tensor, hidden: int) -> dict[str, Tensor]:
    """x once more as an input u of hidden size, for cells that add x itself to their units."""
    return {"u": x}


def before(x: Tensor, hidden: int) -> dict[str, Tensor]:
    """x of the step before, zero at the first."""
    return {"before": torch.cat([torch.zeros_like(x[:1]), x[:-1]])}


def scans(whole: Callable[..., Tensor]) -> dict[str, Loop]:
    """The two scans of a cell whose states meet no matrix: ``whole(scan, w, x, **beside)``."""
    rivals = {"scan in place": InPlace.apply, "doubling scan": Doubling.apply}
    return {
        name: lambda w, x, *states, scan=scan, **beside: (whole(scan, w, x, **beside),)
        for name, scan in rivals.items()
    }
