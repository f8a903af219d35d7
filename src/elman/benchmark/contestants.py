"""Layers and loops that compute one cell with the same weights.

A rival stacks its parameters (``leaves``) differently from the cell.  A differentiable function
computes them from the cell's parameters; its derivative maps the rival's gradients back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from torch import Tensor, nn

from elman.benchmark.fair_loop import fair_loop
from elman.benchmark.matrix_loop import matrix_loop
from elman.errors import OptionError
from elman.graph.sizes import Sizes
from elman.nn import Recurrent, to_torch
from elman.nn.early_steps import Sides
from elman.nn.side_inputs import Early
from elman.nn.torch_weights import torch_parameters

Parameters = Mapping[str, Tensor]
#: no inputs beside x
NO_SIDES: Sides = MappingProxyType({})
#: the name of the loop over time
EAGER = "eager loop"


@dataclass(frozen=True)
class Contestant:
    """An implementation: ``forward`` computes y from x, ``leaves`` are its parameters.

    ``forward`` takes the cell's inputs beside x by name, as ``sides``, where it has any.
    ``from_parameters`` computes the leaves from the cell's parameters by key; it is differentiable.
    A contestant that is not ``comparable`` computes different equations of the same size.
    """

    name: str
    leaves: Sequence[Tensor]
    forward: Callable[..., Tensor]
    from_parameters: Callable[[Parameters], Sequence[Tensor]]
    comparable: bool = True

    def inference(self, x: Tensor, sides: Sides = NO_SIDES) -> Callable[[], object]:
        """One run without gradients."""

        def run() -> Tensor:
            with torch.inference_mode():
                return self.forward(x, **sides)

        return run

    def training(self, x: Tensor, grad_y: Tensor, sides: Sides = NO_SIDES) -> Callable[[], object]:
        """One forward and backward run, with the gradients of x and of all leaves."""
        inputs = x.clone().requires_grad_()

        def run() -> None:
            for tensor in (inputs, *self.leaves):
                tensor.grad = None
            self.forward(inputs, **sides).backward(grad_y)

        return run

    def values(self, x: Tensor, sides: Sides = NO_SIDES) -> dict[str, Tensor]:
        """Only y, by name."""
        with torch.inference_mode():
            return {"y": self.forward(x, **sides)}

    def gradients(
        self, x: Tensor, grad_y: Tensor, parameters: Parameters, sides: Sides = NO_SIDES
    ) -> dict[str, Tensor]:
        """y, and the gradients of x and of the cell's parameters, by name."""
        inputs = x.clone().requires_grad_()
        y = self.forward(inputs, **sides)
        dx, *of_leaves = torch.autograd.grad(
            y, [inputs, *self.leaves], grad_y, materialize_grads=True
        )
        return {"y": y.detach(), "dx": dx} | self.to_parameters(parameters, of_leaves)

    def to_parameters(
        self, parameters: Parameters, of_leaves: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """The gradients of the cell's parameters by key, from those of the leaves."""
        made = {key: value.detach().requires_grad_() for key, value in parameters.items()}
        leaves = self.from_parameters(made)
        # torch.nn's second bias is always zero
        pairs = [(leaf, g) for leaf, g in zip(leaves, of_leaves, strict=True) if leaf.requires_grad]
        found = torch.autograd.grad(
            [leaf for leaf, _ in pairs],
            list(made.values()),
            [g for _, g in pairs],
            materialize_grads=True,
        )
        return dict(zip(made, found, strict=True))


def elman_layer(layer: Recurrent) -> Contestant:
    """A layer of Elman in one direction; of inputs beside x it takes those that its cell has."""
    names = [name for name, _ in layer.cell.inputs]
    return Contestant(
        "Elman",
        list(parameters_of(layer).values()),
        lambda x, **sides: layer(x, **{name: sides[name] for name in names})[0],
        _cloned,
    )


def torch_layer(layer: Recurrent) -> Contestant | None:
    """torch.nn's layer with the same weights; ``None`` if torch.nn does not have the cell."""
    try:
        return torch_module(to_torch(layer))
    except OptionError:
        return None


def torch_module(module: nn.RNNBase) -> Contestant:
    """A layer of torch.nn in one direction."""

    def from_parameters(parameters: Parameters) -> list[Tensor]:
        return torch_parameters(module.mode, parameters, module.proj_size or module.hidden_size)

    return Contestant(
        f"torch.nn.{module.mode.partition('_')[0]}",
        list(module.parameters()),
        lambda x: module(x)[0],
        from_parameters,
    )


def eager_loop(layer: Recurrent) -> Contestant:
    """The fair loop over time in torch, with the same weights.

    What needs side inputs but no state, and what is computed from matrices, is computed before the
    loop, for all steps at once.
    """
    if layer.cell.has_memory:
        return _loop_of_matrix_states(layer)
    early = layer.stack.early_in_evaluation
    sizes = layer.stack.sizes(layer.input_size)
    if early is not None:
        return _loop_after(early, layer, sizes)
    loop = fair_loop(layer.cell)
    leaves = [leaf.detach().requires_grad_() for leaf in loop.stack(parameters_of(layer), sizes)]
    run = loop.in_torch(sizes)
    return Contestant(
        EAGER,
        leaves,
        lambda x: run(x, (), *leaves),
        lambda parameters: loop.stack(parameters, sizes),
    )


def _loop_after(early: Early, layer: Recurrent, sizes: Sizes) -> Contestant:
    """The loop of a core; the core's matrices follow from the parameters at each call."""
    loop, leaves = fair_loop(early.core), _copies(layer)
    keys = [parameter.key for parameter in early.core.parameters]
    run = loop.in_torch(sizes)

    def forward(x: Tensor, **sides: Tensor) -> Tensor:
        x, parameters, given = early.run(x, sides, leaves, None, sizes)
        stacked = loop.stack(
            dict(zip(keys, parameters, strict=True)), replace(sizes, input=x.shape[-1])
        )
        return run(x, given, *stacked)

    return Contestant(EAGER, leaves, forward, _cloned)


def _loop_of_matrix_states(layer: Recurrent) -> Contestant:
    """The loop of a cell with a matrix state."""
    parts, sizes = layer.stack.matrix_states, layer.stack.sizes(layer.input_size)
    assert parts is not None
    loop, leaves = matrix_loop(layer.cell.text), _copies(layer)
    run = loop.in_torch()
    axes = [sizes.axes(leaf.size) for leaf in layer.cell.state_leaves]

    def forward(x: Tensor, **sides: Tensor) -> Tensor:
        time, batch, _ = x.shape
        given = parts.early(x, sides, leaves, None, sizes)
        y = run(given, [x.new_zeros(batch, *each) for each in axes], time)
        return y.reshape(time, batch, sizes.hidden)

    return Contestant(EAGER, leaves, forward, _cloned)


def _copies(layer: Recurrent) -> list[Tensor]:
    return [p.detach().clone().requires_grad_() for p in parameters_of(layer).values()]


def _cloned(parameters: Parameters) -> list[Tensor]:
    return [value.clone() for value in parameters.values()]


def rivals(layer: Recurrent) -> list[Contestant]:
    """torch.nn's layer, if there is one, and the fair loop."""
    return [rival for rival in (torch_layer(layer), eager_loop(layer)) if rival is not None]


def parameters_of(layer: Recurrent) -> dict[str, nn.Parameter]:
    """The parameters of a layer in one direction by the cell's keys, in the cell's order."""
    found = dict(layer.named_parameters())
    return {p.key: found[f"layers.0.0.{p.key}"] for p in layer.cell.parameters}
