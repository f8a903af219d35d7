"""Find the recurrent layers of a model and record their inputs while the model runs.

The model can be any ``torch.nn.Module`` that contains a ``Recurrent``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from elman.nn import Recurrent
from elman.nn.between import NO_PARAMETERS, BetweenParameters
from elman.nn.side_inputs import checked
from elman.nn.stack import Lengths, Stack, State, Training


@dataclass(frozen=True)
class Visit:
    """A layer with its inputs: x (time, batch, input), the initial state if any, and lengths.

    ``output_gradient`` is dL/dy (time, batch, output), or ``None`` without a loss.  ``sides`` are
    the inputs beside x, (time, batch, size).
    """

    layer: Recurrent
    x: Tensor
    state: tuple[Tensor, ...] | None
    lengths: Tensor
    output_gradient: Tensor | None
    sides: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass
class _Call:
    x: Tensor
    state: tuple[Tensor, ...] | None
    lengths: Tensor
    gradient: Tensor
    sides: Mapping[str, Tensor]


def visits(model: nn.Module, loss: Callable[[], Tensor]) -> dict[str, Visit]:
    """Run ``loss()`` and its backward; returns the inputs of each ``Recurrent`` by name.

    The steps of a layer that runs step by step, such as a decoder, are concatenated.  Layers that
    do not affect the loss are omitted.  The ``grad`` of parameters does not change.
    """
    calls: dict[str, list[_Call]] = {}
    stacks: dict[Recurrent, Stack] = {}
    kept = {parameter: parameter.grad for parameter in model.parameters()}
    handles = []
    for name, module in model.named_modules():
        if isinstance(module, Recurrent):
            # a layer with a hook calls its stack for single steps, too
            handles.append(module.register_forward_pre_hook(lambda *_: None))
            stacks[module] = module.stack
            module.stack = _recording(module, calls.setdefault(name or "layer", []))
    try:
        with torch.enable_grad():
            loss().backward()
    finally:
        for handle in handles:
            handle.remove()
        for layer, stack in stacks.items():
            layer.stack = stack
        for parameter, gradient in kept.items():
            parameter.grad = gradient
    modules = {name or "layer": m for name, m in model.named_modules() if isinstance(m, Recurrent)}
    found = {name: _joined(modules[name], own) for name, own in calls.items() if own}
    return {
        name: visit
        for name, visit in found.items()
        if visit.output_gradient is not None and bool((visit.output_gradient != 0).any())
    }


def _recording(layer: Recurrent, calls: list[_Call]) -> Stack:
    """The layer's stack, which records its calls: also those of a layer that computes its x."""
    record = _recorder(layer, calls)

    class Recording(Stack):
        def run(
            self,
            parameters: Sequence[Sequence[Tensor]],
            x: Tensor | PackedSequence,
            state: State | None,
            lengths: Lengths | None,
            training: Training | None,
            inputs: Mapping[str, Tensor] = MappingProxyType({}),
            others: BetweenParameters = NO_PARAMETERS,
        ) -> tuple[Tensor | PackedSequence, State]:
            """As every stack runs."""
            y, last = super().run(parameters, x, state, lengths, training, inputs, others)
            record(x, state, lengths, inputs, y)
            return y, last

    values = {f.name: getattr(layer.stack, f.name) for f in fields(layer.stack) if f.init}
    return Recording(**values)


def _recorder(layer: Recurrent, calls: list[_Call]) -> Callable[..., None]:
    def record(
        x: Any, state: State | None, lengths: Any, inputs: Mapping[str, Tensor], y: Any
    ) -> None:
        if isinstance(x, PackedSequence):
            (x, lengths), outputs = pad_packed_sequence(x), y.data
        else:
            outputs = y
            x = x.transpose(0, 1) if layer.batch_first and x.dim() == 3 else x
        unbatched = x.dim() == 2
        if unbatched:
            x = x.unsqueeze(1)
            state = None if state is None else tuple([each.unsqueeze(-2) for each in state])
        rows = torch.full((x.shape[1],), len(x)) if lengths is None else torch.as_tensor(lengths)
        sides = sides_of(layer, inputs, x, unbatched=unbatched)
        call = _Call(x.detach(), state, rows.cpu(), x.new_zeros(0), sides)
        if not outputs.requires_grad:
            return

        def arrived(gradient: Tensor) -> None:
            if isinstance(y, PackedSequence):
                gradient, _ = pad_packed_sequence(y._replace(data=gradient))
            elif layer.batch_first and gradient.dim() == 3:
                gradient = gradient.transpose(0, 1)
            call.gradient = gradient.unsqueeze(1) if gradient.dim() == 2 else gradient.detach()

        outputs.register_hook(arrived)
        calls.append(call)

    return record


def sides_of(
    layer: Recurrent, inputs: Mapping[str, Tensor], x: Tensor, *, unbatched: bool
) -> dict[str, Tensor]:
    """Inputs beside x (time, batch, input) as (time, batch, size).

    Raises ``ShapeError`` if one does not match.
    """
    found = checked(
        layer.stack.title, layer.cell, inputs, x, layer.stack.sizes(x.shape[-1]),
        batch_first=layer.batch_first, unbatched=unbatched,
    )  # fmt: skip
    return {name: side.detach().expand(*x.shape[:2], -1) for name, side in found.items()}


def _joined(layer: Recurrent, calls: list[_Call]) -> Visit:
    """Merge all calls: concatenate single steps, or else take the call with the most steps."""
    for call in calls:
        if not call.gradient.numel():  # the loss does not depend on it
            call.gradient = call.x.new_zeros(*call.x.shape[:2], layer.output_size)
    batches = {call.x.shape[1] for call in calls}
    if len(calls) > 1 and len(batches) == 1 and all(len(call.x) == 1 for call in calls):
        lengths = torch.full((batches.pop(),), len(calls))
        x, gradient = (
            torch.cat([getattr(call, name) for call in calls]) for name in ("x", "gradient")
        )
        names = calls[0].sides
        sides = {name: torch.cat([call.sides[name] for call in calls]) for name in names}
        return Visit(layer, x, _detached(calls[0].state), lengths, gradient, sides)
    longest = max(calls, key=lambda call: int(call.lengths.sum()))
    return Visit(
        layer, longest.x, _detached(longest.state), longest.lengths, longest.gradient,
        longest.sides,
    )  # fmt: skip


def _detached(state: tuple[Tensor, ...] | None) -> tuple[Tensor, ...] | None:
    return None if state is None else tuple([each.detach() for each in state])
