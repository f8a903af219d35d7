"""One check for every cell and engine: values and all gradients, held against independent ways.

The graph's gradient, run by an engine, against torch's autograd through the same
forward, against torch's autograd through the plain evaluation (``graph/plain.py``), and against
central differences; in float64.
"""

import torch
from torch import Tensor

from elman.backends import find_engine
from elman.backends.engine import Call, Outputs
from elman.backends.plan import make_plan
from elman.graph import Cell
from graph import plain
from graph.plain import Numbers


def forward(
    cell: Cell, numbers: Numbers, backend: str = "reference"
) -> tuple[list[Tensor], list[Tensor]]:
    """The engine's [y, last states ...], and what it keeps."""
    outputs, saved = find_engine(backend).forward(call_of(cell, numbers))
    return [outputs.y, *outputs.states], list(saved)


def call_of(cell: Cell, numbers: Numbers) -> Call:
    """What an engine is given."""
    return Call(
        make_plan(cell),
        numbers.x,
        numbers.states,
        numbers.parameters,
        numbers.lengths,
        numbers.reverse,
    )


def gradients(
    cell: Cell, numbers: Numbers, outer: list[Tensor], backend: str = "reference"
) -> list[Tensor]:
    """The graph's gradient of sum(outer * outputs): of x, the states and the parameters."""
    with torch.no_grad():
        call = call_of(cell, numbers)
        outputs, saved = find_engine(backend).forward(call)
        found = find_engine(backend).backward(call, outputs, saved, Outputs(outer[0], outer[1:]))
    return [found.x, *found.states, *found.parameters]


def check(
    cell: Cell, numbers: Numbers, *, differences: bool = True, backend: str = "reference"
) -> None:
    """Raise ``AssertionError`` where values or gradients are not what they should be.

    ``differences=False`` leaves out central differences, for numbers on a kink.
    """
    generator = torch.Generator().manual_seed(99)
    outputs, _ = forward(cell, numbers, backend)
    y, last = plain.run(cell, numbers)
    # 1e-9: sums in another order, in float64, over a few steps
    torch.testing.assert_close(outputs, [y, *last], rtol=1e-9, atol=1e-10)

    outer = [torch.randn(o.shape, generator=generator, dtype=o.dtype) for o in outputs]
    found = gradients(cell, numbers, outer, backend)
    names = ["x", *cell.states, *[parameter.key for parameter in cell.parameters]]
    for way in (_engine_outputs, _plain_outputs):
        expected = _autograd(way, cell, numbers, outer)
        for name, ours, theirs in zip(names, found, expected, strict=True):
            scale = max(1.0, theirs.abs().max().item()) if theirs.numel() else 1.0
            torch.testing.assert_close(
                ours, theirs, rtol=1e-8, atol=1e-9 * scale, msg=lambda m, n=name: f"d{n}: {m}"
            )
    if differences:
        named = dict(zip(names, found, strict=True))
        _check_differences(cell, numbers, outer, named, generator, backend)


def _engine_outputs(cell: Cell, numbers: Numbers) -> list[Tensor]:
    """By the reference engine, whose forward torch can differentiate."""
    return forward(cell, numbers)[0]


def _plain_outputs(cell: Cell, numbers: Numbers) -> list[Tensor]:
    y, last = plain.run(cell, numbers)
    return [y, *last]


def _autograd(way, cell: Cell, numbers: Numbers, outer: list[Tensor]) -> list[Tensor]:
    tensors = [tensor.clone().requires_grad_() for tensor in numbers.tensors]
    outputs = way(cell, numbers.with_tensors(tensors))
    loss = _weighted(outputs, outer)
    if not loss.requires_grad:
        return [torch.zeros_like(tensor) for tensor in tensors]
    found = torch.autograd.grad(loss, tensors, allow_unused=True, materialize_grads=True)
    return list(found)


def _weighted(outputs: list[Tensor], outer: list[Tensor]) -> Tensor:
    return torch.stack([(a * b).sum() for a, b in zip(outputs, outer, strict=True)]).sum()


def _check_differences(
    cell: Cell,
    numbers: Numbers,
    outer: list[Tensor],
    found: dict[str, Tensor],
    generator: torch.Generator,
    backend: str,
) -> None:
    """Along one random direction for each tensor: a wrong entry changes the slope."""
    step = 1e-6
    for place, (name, gradient) in enumerate(found.items()):
        tensors = numbers.tensors
        direction = torch.randn(gradient.shape, generator=generator, dtype=gradient.dtype)
        losses = []
        for sign in (1, -1):
            moved = [
                tensor + sign * step * direction if k == place else tensor
                for k, tensor in enumerate(tensors)
            ]
            outputs, _ = forward(cell, numbers.with_tensors(moved), backend)
            losses.append(_weighted(outputs, outer))
        slope = (losses[0] - losses[1]).item() / (2 * step)
        expected = (gradient * direction).sum().item()
        # the difference of two losses has an error of about 1e-16 * loss / step = 1e-10 * loss
        allowed = 1e-5 * max(1.0, abs(expected), gradient.abs().max().item())
        assert abs(slope - expected) <= allowed, f"d{name}: slope {slope}, gradient {expected}"
