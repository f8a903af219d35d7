"""What every exporter reads of a recurrent module: equations, sizes and weights, layer by layer.

``layers_of`` takes ``Recurrent`` and the modules with torch.nn's weights alike;
``on_reference_engine`` computes what an exported file is compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from torch import Generator, Tensor, nn

from elman.errors import ExportError
from elman.export.check import largest_difference
from elman.graph import Cell
from elman.graph.node import ancestors
from elman.graph.sizes import Sizes
from elman.nn.between import NO_PARAMETERS, BetweenParameters
from elman.nn.early_steps import steps_of, value_of
from elman.nn.noise import Noise
from elman.nn.recurrent import Recurrent
from elman.nn.stack import Stack, State
from elman.nn.torch_layers import GRU, LSTM, RNN
from elman.nn.torch_weights import parameters_in_order, stack_of
from elman.passes.fold import fold
from elman.passes.separate import is_of_units


@dataclass(frozen=True)
class Layers:
    """A recurrent module as data: ``parameters[layer][direction]``, in the cell's order."""

    stack: Stack
    parameters: tuple[tuple[tuple[Tensor, ...], ...], ...]
    others: BetweenParameters = NO_PARAMETERS

    @property
    def cell(self) -> Cell:
        """The equations in evaluation."""
        return self.stack.in_evaluation

    def sizes(self, layer: int) -> Sizes:
        """The sizes of a layer."""
        return self.stack.sizes(self.stack.layer_input_size(layer))

    def state_axes(self, name: str) -> tuple[int, tuple[int, ...]]:
        """The number of a state's layers and directions, and the shape of its value in one row."""
        rows, _, *row = self.stack.state_shape(name, 1)
        return rows, tuple(row)

    def recurrent(self) -> Recurrent:
        """A new ``Recurrent`` in evaluation that computes the same."""
        stack, (cell, first) = self.stack, (self.cell, self.parameters[0][0])
        layer = Recurrent(
            cell,
            stack.input_size,
            stack.hidden_size,
            stack.num_layers,
            bidirectional=stack.bidirectional,
            batch_first=stack.batch_first,
            heads=stack.heads,
            key_size=stack.keys if cell.has_memory else None,
            sizes=dict(stack.own),
            dtype=first[0].dtype if first else None,
            **vars(stack.between),
        )
        weights = {
            f"layers.{k}.{d}.{parameter.key}": tensor
            for k, each in enumerate(self.parameters)
            for d, own in enumerate(each)
            for parameter, tensor in zip(cell.parameters, own, strict=True)
        }
        layer.load_state_dict({**layer.state_dict(), **weights})
        layer.put_between_parameters(self.others)
        return layer.eval()

    def to(self, dtype: torch.dtype) -> Layers:
        """The same with the parameters in that type."""
        moved = self.mapped(lambda own: [tensor.to(dtype) for tensor in own])
        return replace(moved, others=_converted(self.others, dtype))

    def mapped(self, change: Callable[[Sequence[Tensor]], Iterable[Tensor]]) -> Layers:
        """The same with other parameters, of each layer and direction."""
        changed = [tuple([tuple(change(own)) for own in each]) for each in self.parameters]
        return replace(self, parameters=tuple(changed))

    def folded(self) -> Layers:
        """The same with the matrices that the cell computes as its parameters."""
        found = fold(self.cell)
        if len(found.values) == len(self.cell.parameters) and not any(
            [value.operands for value in found.values]
        ):
            return self
        nodes = ancestors(found.values)
        steps = steps_of(self.cell, nodes)

        def computed(own: Sequence[Tensor]) -> list[Tensor]:
            wide, values = [tensor.double() for tensor in own], list[Tensor]()
            for step in steps:
                values.append(value_of(step, values, torch.empty(0), {}, wide, self.sizes(0)))
            at = dict(zip(nodes, values, strict=True))
            return [at[value].to(own[0].dtype) for value in found.values]

        stack = replace(self.stack, cell=found.cell, noise=Noise())
        return replace(self.mapped(computed), stack=stack)

    def on_reference_engine(
        self,
        x: Tensor,
        state: State | None = None,
        lengths: Tensor | None = None,
        inputs: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> tuple[Tensor, State]:
        """The outputs and last states of x (time, batch, input), whatever the module's layout.

        ``inputs`` are the cell's side inputs, (time, batch, size), or (batch, size).
        """
        stack = replace(self.stack, backend="reference", batch_first=False)
        flat = [list(own) for layer in self.parameters for own in layer]
        with torch.no_grad():
            y, last = stack.run(flat, x, state, lengths, None, inputs, self.others)
        assert isinstance(y, Tensor)
        return y, last

    def draw_inputs(self, *axes: int, generator: Generator) -> dict[str, Tensor]:
        """Random side inputs (axes, size), from 0 to 1 since many are times or masks."""
        sizes = self.sizes(0)
        return {
            name: torch.rand((*axes, sizes.width((size,))), generator=generator)
            for name, size in self.cell.inputs
        }

    def rounding(self) -> float:
        """How far Elman's values in float32 are from those in float64, on random sequences."""
        generator, worst, exact = torch.Generator().manual_seed(0), 0.0, self.to(torch.float64)
        for _ in range(3):
            x = torch.randn(12, 4, self.stack.input_size, generator=generator)
            inputs = self.draw_inputs(12, 4, generator=generator)
            state = self.draw_state(4, generator)
            y, last = self.on_reference_engine(x, state, None, inputs)
            wide = {name: side.double() for name, side in inputs.items()}
            doubled = tuple([each.double() for each in state])
            wanted, after = exact.on_reference_engine(x.double(), doubled, None, wide)
            pairs = [("y", y, wanted), *zip(self.cell.states, last, after, strict=True)]
            found = {f"{k} {name}": a.numpy() for k, (name, a, _) in enumerate(pairs)}
            known = {f"{k} {name}": b.numpy() for k, (name, _, b) in enumerate(pairs)}
            worst = max(worst, largest_difference(found, known))
        return worst

    def draw_state(self, batch: int, generator: Generator) -> State:
        """Random states; with a matrix state, those that some random steps leave.

        Other values of such states need not be possible: a normaliser is a sum of positive keys.
        """
        if not self.cell.has_memory:
            shapes = [self.stack.state_shape(name, batch) for name in self.cell.states]
            return tuple([torch.randn(shape, generator=generator) for shape in shapes])
        x = torch.randn(5, batch, self.stack.input_size, generator=generator)
        _, state = self.on_reference_engine(
            x, inputs=self.draw_inputs(5, batch, generator=generator)
        )
        return state


def is_written_whole(layer: Recurrent) -> bool:
    """Whether exporters write the whole cell, with side inputs, matrix states and own sizes."""
    return not is_of_units(layer.cell.text)


def bound_of(module: nn.Module, bound: float, difference: float) -> float:
    """The largest difference of a file from Elman: wider where float32 itself is not that exact.

    Steps that divide by a sum, as those of the mLSTM do, round much more than others; then it is
    ten times Elman's own distance from float64, but at most 0.01.
    """
    layers = [m for m in module.modules() if isinstance(m, Recurrent) and is_written_whole(m)]
    if difference <= bound or not layers:
        return bound
    return max(bound, min(0.01, 10 * max([layers_of(layer).rounding() for layer in layers])))


def layers_of(module: nn.Module, dtype: torch.dtype = torch.float32) -> Layers:
    """The layers of a recurrent module, their parameters as copies of that type on the CPU.

    Raises ``ExportError`` for a module that is not a recurrent layer.

    >>> import elman
    >>> found = layers_of(elman.nn.LSTM(3, 4, 2))
    >>> [parameter.key for parameter in found.cell.parameters][:2], found.sizes(1).input
    (['W.i', 'W.f'], 4)
    """
    cell_order: Sequence[Sequence[Tensor]]
    others = NO_PARAMETERS
    if isinstance(module, Recurrent):
        module = module if is_written_whole(module) else module.core("export")
        stack, cell = module.stack, module.cell
        # get_parameter would find a method of the module where a family has its name
        named = dict(module.named_parameters())
        cell_order = [
            [named[f"layers.{k}.{d}.{p.key}"] for p in cell.parameters]
            for k in range(module.num_layers)
            for d in range(module.stack.directions)
        ]
        others = module.between_parameters()
    elif isinstance(module, RNN | LSTM | GRU):
        stack = stack_of(module)
        cell_order = [
            parameters_in_order(module.mode, weights, bias=module.bias)
            for weights in module.all_weights
        ]
    else:
        raise ExportError(
            f"{type(module).__name__} is not a recurrent layer of Elman; pass an elman.Recurrent, "
            "an elman.nn.RNN, LSTM or GRU, or a model made of one."
        )
    if any([p.is_meta for each in cell_order for p in each]):
        raise ExportError(
            f"{type(module).__name__}: its weights are on the device meta, which holds no numbers; "
            "load them first."
        )
    own = [tuple([p.detach().to("cpu", dtype, copy=True) for p in each]) for each in cell_order]
    step = stack.directions
    by_layer = tuple([tuple(own[k * step : (k + 1) * step]) for k in range(stack.num_layers)])
    return Layers(stack, by_layer, _converted(others, dtype))


def _converted(others: BetweenParameters, dtype: torch.dtype) -> BetweenParameters:
    """Copies on the CPU in that type."""

    def copied(tensor: Tensor) -> Tensor:
        return tensor.detach().to("cpu", dtype, copy=True)

    norms = [(copied(weight), copied(bias)) for weight, bias in others.norms]
    return BetweenParameters(norms, tuple([copied(state) for state in others.initial]))
