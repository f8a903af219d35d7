"""A layer's values and gradients by an engine, by name; and how near they are to others.

``draw`` is for sizes at which ``graph/plain.py``'s numbers would drive cells into saturation.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor

from backends.gradient_check import forward, gradients
from elman.backends.native.kernels import CompiledLayer
from elman.backends.native.schedule import Schedule
from elman.graph import Cell
from graph.plain import Numbers, draw_numbers

Results = dict[str, Tensor]


def draw(
    cell: Cell,
    input_size: int,
    hidden_size: int,
    *,
    time: int = 6,
    batch: int = 5,
    seed: int = 0,
    own: Mapping[str, int] = MappingProxyType({}),
) -> Numbers:
    """Numbers in float32, with weights that keep sums about as large as their operands."""
    numbers = draw_numbers(
        cell, seed, time=time, batch=batch, input_size=input_size, hidden_size=hidden_size, own=own
    )
    scaled = [p / p.shape[-1] ** 0.5 if p.dim() == 2 else p for p in numbers.parameters]
    tensors = [numbers.x, *numbers.states, *scaled]
    return numbers.with_tensors([tensor.float() for tensor in tensors])


def outer_gradients(cell: Cell, numbers: Numbers, seed: int = 9) -> list[Tensor]:
    """dL/d(y, last states ...), at random."""
    generator = torch.Generator().manual_seed(seed)
    time, states = len(numbers.x), [tuple(state.shape) for state in numbers.states]
    shapes = [(time, *states[0]), *states]
    return [torch.randn(s, generator=generator).to(numbers.x.dtype) for s in shapes]


def results(
    cell: Cell, numbers: Numbers, backend: str = "native", outer: Sequence[Tensor] | None = None
) -> Results:
    """Outputs and all gradients: "y", "last h", "dx", "dh", "dW.f" ..."""
    outer = outer_gradients(cell, numbers) if outer is None else list(outer)
    outputs, _ = forward(cell, numbers, backend)
    found = gradients(cell, numbers, outer, backend)
    names = ["y", *[f"last {state}" for state in cell.states], "dx"]
    names += [f"d{state}" for state in cell.states] + [f"d{p.key}" for p in cell.parameters]
    return dict(zip(names, [*outputs, *found], strict=True))


def truth(cell: Cell, numbers: Numbers) -> Results:
    """The same by the reference engine in float64, from the very same numbers."""
    outer = [tensor.double() for tensor in outer_gradients(cell, numbers)]
    exact = numbers.with_tensors([tensor.double() for tensor in numbers.tensors])
    return results(cell, exact, "reference", outer)


def assert_near(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], error: float) -> None:
    """Each number within ``error`` times the largest of its tensor."""
    assert found.keys() == expected.keys()
    for name, ours in found.items():
        theirs = expected[name].double()
        assert ours.shape == theirs.shape, name
        if ours.numel():
            off = (ours.double() - theirs).abs().max().item()
            largest = theirs.abs().max().item()
            assert off <= error * largest, f"{name} is off by {off}; its largest is {largest}"


def assert_same(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Bit for bit, but for the sign of zero."""
    assert found.keys() == expected.keys()
    for name, ours in found.items():
        assert torch.equal(ours, expected[name]), f"{name} is another"


def hoists(hoisted: bool) -> Callable[..., bool]:
    """In place of ``native.should_hoist``: always, where there is something to, or never."""

    def decide(layer: CompiledLayer, _: Schedule) -> bool:
        return hoisted and bool(layer.programs.hoisted)

    return decide
