"""How far a layer is from a loop in torch, in float64: values and all gradients."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from published.published import Loop, Published, Weights

#: a small layer; x has as many values as there are units if the cell wants that
TIME, BATCH, INPUT, HIDDEN = 5, 2, 3, 8


def differences(
    one: Published, loop: Loop, backend: str, *, from_zero: bool | None = None
) -> dict[str, float]:
    """The largest differences by name, with parameters, x and first states drawn at random.

    Compared are y, the last states that the loop returns, and the gradients of x, of the first
    states, of the inputs beside x and of all parameters, for a sum of y and those last states with
    random factors.  ``from_zero`` states are zero and have no gradient.
    """
    from_zero = one.from_zero if from_zero is None else from_zero
    torch.manual_seed(0)
    size = HIDDEN if one.square else INPUT
    layer = one.layer(size, HIDDEN, dtype=torch.float64, backend=backend)
    for p in layer.parameters():
        nn.init.normal_(p, std=0.4)
    one.prepare(layer)
    x = torch.randn(TIME, BATCH, size, dtype=torch.float64, requires_grad=True)
    shapes = [layer.stack.state_shape(state, BATCH) for state in layer.cell.states]
    first = [torch.zeros(shape, dtype=torch.float64) for shape in shapes]
    beside = one.beside(x, HIDDEN)
    leaves = {"x": x} | Weights(layer).of
    if not from_zero:
        first = [torch.rand_like(state) for state in first]
        leaves |= {f"first {k}": state.requires_grad_() for k, state in enumerate(first)}
    for name, side in beside.items():
        if side is not x and side.grad_fn is None:
            leaves[name] = side.requires_grad_()

    def found(y: Tensor, *states: Tensor) -> dict[str, Tensor]:
        """Values and gradients."""
        torch.manual_seed(1)
        values = [y, *states]
        loss = torch.stack([(value * torch.randn_like(value)).sum() for value in values]).sum()
        gradients = torch.autograd.grad(
            loss, list(leaves.values()), allow_unused=True, materialize_grads=True
        )
        named = {f"d {name}": g for name, g in zip(leaves, gradients, strict=True)}
        return named | {"y": y} | {f"last {k}": state for k, state in enumerate(states)}

    right = loop(Weights(layer), x, *[state[0] for state in first], **beside)
    y, last = layer(x, tuple(first), **beside)
    own = found(y, *[state[0] for state in last[: len(right) - 1]])
    wanted = found(*right)
    return {name: (own[name] - wanted[name]).abs().max().item() for name in wanted}
