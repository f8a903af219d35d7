"""Layers and loops that compute one cell with the same weights.

A rival stacks its parameters (``leaves``) differently from the cell.  A differentiable function
computes them from the cell's parameters; its derivative maps the rival's gradients back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from elman.benchmark.fair_loop import fair_loop
from elman.errors import OptionError
from elman.graph.sizes import Sizes
from elman.nn import Recurrent, to_torch
from elman.nn.torch_weights import torch_parameters

Parameters = Mapping[str, Tensor]


@dataclass(frozen=True)
class Contestant:
    """An implementation: ``forward`` computes y from x, ``leaves`` are its parameters.

    ``from_parameters`` computes the leaves from the cell's parameters by key; it is differentiable.
    A contestant that is not ``comparable`` computes different equations of the same size.
    """

    name: str
    leaves: Sequence[Tensor]
    forward: Callable[[Tensor], Tensor]
    from_parameters: Callable[[Parameters], Sequence[Tensor]]
    comparable: bool = True

    def inference(self, x: Tensor) -> Callable[[], object]:
        """One run without gradients."""

        def run() -> Tensor:
            with torch.inference_mode():
                return self.forward(x)

        return run

    def training(self, x: Tensor, grad_y: Tensor) -> Callable[[], object]:
        """One forward and backward run, with the gradients of x and of all leaves."""
        inputs = x.clone().requires_grad_()

        def run() -> None:
            for tensor in (inputs, *self.leaves):
                tensor.grad = None
            self.forward(inputs).backward(grad_y)

        return run

    def values(self, x: Tensor) -> dict[str, Tensor]:
        """Only y, by name."""
        with torch.inference_mode():
            return {"y": self.forward(x)}

    def gradients(self, x: Tensor, grad_y: Tensor, parameters: Parameters) -> dict[str, Tensor]:
        """y, and the gradients of x and of the cell's parameters, by name."""
        inputs = x.clone().requires_grad_()
        y = self.forward(inputs)
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
    """A layer of Elman in one direction."""
    return Contestant(
        "Elman",
        list(parameters_of(layer).values()),
        lambda x: layer(x)[0],
        lambda parameters: [value.clone() for value in parameters.values()],
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
        made = torch_parameters(module.mode, parameters, module.hidden_size)
        return made if module.bias else made[:2]

    return Contestant(
        f"torch.nn.{module.mode.partition('_')[0]}",
        list(module.parameters()),
        lambda x: module(x)[0],
        from_parameters,
    )


def eager_loop(layer: Recurrent) -> Contestant:
    """The fair loop over time in torch, with the same weights.

    Raises ``OptionError`` for a cell that it does not run.
    """
    stack = layer.stack
    if stack.early_in_evaluation is not None or stack.matrix_states is not None:
        raise OptionError(
            f"benchmark: {layer.cell.name} has inputs beside x, matrices computed from parameters "
            "or a matrix state, which the loop over time does not run; choose another cell."
        )
    loop = fair_loop(layer.cell)
    sizes = Sizes(layer.input_size, layer.hidden_size)
    leaves = [leaf.detach().requires_grad_() for leaf in loop.stack(parameters_of(layer), sizes)]
    run = loop.in_torch(layer.hidden_size)
    return Contestant(
        "eager loop",
        leaves,
        lambda x: run(x, *leaves),
        lambda parameters: loop.stack(parameters, sizes),
    )


def rivals(layer: Recurrent) -> list[Contestant]:
    """torch.nn's layer, if there is one, and the fair loop."""
    return [rival for rival in (torch_layer(layer), eager_loop(layer)) if rival is not None]


def parameters_of(layer: Recurrent) -> dict[str, nn.Parameter]:
    """The parameters of a layer in one direction by the cell's keys, in the cell's order."""
    found = dict(layer.named_parameters())
    return {p.key: found[f"layers.0.0.{p.key}"] for p in layer.cell.parameters}
