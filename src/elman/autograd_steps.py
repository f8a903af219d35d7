"""Single steps with gradients: ``layer.step`` in a loop that is trained.

A step of all layers is one node of torch's graph, run by an engine's ``TrainingSteps``.  The
gradients of the parameters are not passed to torch step by step: each node has an input and an
output more, the *link*, whose gradient is the sum of the parameters' gradients in one tensor.  A
step that continues the last one takes its link, and backward adds to the tensor that comes along
it.  The first link of a sequence belongs to ``_Parameters``, which divides the sum.

Derivatives of gradients, transforms and whatever else a kernel does not do take the way of whole
sequences (``autograd.py``), over a single step.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from threading import Lock
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from elman.autograd import independent, is_seen_by_torch, run
from elman.backends.arguments import is_plain
from elman.backends.engine import State, TrainingSteps, TrainingWeights


class StepsWithGradients:
    """The fast path of ``Recurrent.step`` where gradients are needed, for one shape of input."""

    def __init__(self, text: str, steps: TrainingSteps, backend: str) -> None:
        self.steps, self.text, self.backend = steps, text, backend
        self.shape, self.dtype, self.zeros = steps.shape, steps.dtype, steps.zeros
        self._weights: TrainingWeights | None = None
        self._needed: list[bool] = []
        self._first: Tensor | None = None
        self._last: tuple[Any, Tensor | None] = (None, None)
        self._lock = Lock()

    def expect(self, x: Tensor, state: State, parameters: Sequence[Tensor] | None) -> None:
        """Accept tensors like these from the next run on; the caller has checked them."""
        assert parameters is not None, "a frozen layer takes no steps with gradients"
        self.steps.expect(x, state, parameters)
        needed = [p.requires_grad for p in parameters]
        if needed != self._needed:
            self._weights, self._needed = None, needed

    def step(
        self, x: Tensor, state: State | None, parameters: Sequence[Tensor] | None
    ) -> tuple[Tensor, State] | None:
        """The output and the next state; ``None`` if the tensors are not as expected."""
        if state is None:
            state = self.zeros
        if parameters is None or not self.steps.accepts(x, state, parameters):
            return None
        return self.run(x, state, parameters)

    def run(
        self, x: Tensor, state: State, parameters: Sequence[Tensor] | None
    ) -> tuple[Tensor, State]:
        """Like ``step``, for contiguous tensors that the caller has checked."""
        assert parameters is not None
        with self._lock:
            weights = self._weights
            if weights is None or not weights.are_those_of(parameters):
                weights = self._weights = self.steps.weights(parameters)
                self._first, self._last = None, (None, None)
            link = self._link(state, parameters)
        y, *last, after = _Step.apply(self, weights, parameters, link, x, *state)  # type: ignore[no-untyped-call]
        if after is not None:
            self._keep(last[0], after)
        return y, tuple(last)

    def _link(self, state: State, parameters: Sequence[Tensor]) -> Tensor | None:
        """The link of the step that returned this state, or the first of a sequence."""
        owner, link = self._last
        self._last = (None, None)  # a link is taken once, so that its gradient has one owner
        # `detach_` leaves the tensor, but not the step that it came from
        if link is not None and owner() is state[0] and state[0].grad_fn is link.grad_fn:
            return link
        if self._first is None and any(self._needed):
            self._first = _Parameters.apply(self.steps, *parameters)  # type: ignore[no-untyped-call]
        return self._first

    def _keep(self, state: Tensor, link: Tensor) -> None:
        """Keep a link for as long as the state lives: it keeps the graph of the sequence."""

        def forget(owner: Any) -> None:
            if self._last[0] is owner:
                self._last = (None, None)

        self._last = (weakref.ref(state, forget), link)


class _Parameters(torch.autograd.Function):
    """The first link; its backward divides the sum of the parameters' gradients.

    It saves nothing, so several sequences may begin with the same link.
    """

    @staticmethod
    def forward(ctx: Any, steps: TrainingSteps, *parameters: Tensor) -> Tensor:
        ctx.set_materialize_grads(False)
        ctx.pieces = [(at, p.shape) for at, p in zip(steps.places, parameters, strict=True)]
        return _link(steps)

    @staticmethod
    def backward(ctx: Any, flat: Tensor | None) -> tuple[Tensor | None, ...]:
        if flat is None:
            return (None,) * (1 + len(ctx.pieces))
        found = [
            flat[at : at + shape.numel()].view(shape).clone() if needed else None
            for (at, shape), needed in zip(ctx.pieces, ctx.needs_input_grad[1:], strict=True)
        ]
        return (None, *found)


class _Step(torch.autograd.Function):
    """A step of all layers: from the link, x and the states to y, the states and the next link."""

    @staticmethod
    def forward(
        ctx: Any,
        owner: StepsWithGradients,
        weights: TrainingWeights,
        parameters: Sequence[Tensor],
        link: Tensor | None,
        x: Tensor,
        *state: Tensor,
    ) -> tuple[Tensor | None, ...]:
        steps = owner.steps
        y, last, tape = steps.forward(x, state, weights)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, *state, y, tape)
        ctx.owner, ctx.weights, ctx.parameters = owner, weights, parameters
        return (y, *last, None if link is None else _link(steps))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        grad_y, *grad_state, flat = grads
        x, *state, y, tape = ctx.saved_tensors
        need_parameters, need_input = ctx.needs_input_grad[3:5]
        if ctx.weights.were_changed:
            raise RuntimeError(
                "Recurrent.step: a parameter of the cell was modified by an inplace operation "
                "after the step; run backward before the optimiser's step."
            )
        given = [grad for grad in grads[:-1] if grad is not None]
        if not given:
            return (None, None, None, flat, *[None] * (1 + len(state)))
        if (
            torch.is_grad_enabled()
            or is_seen_by_torch()
            or forward_ad._current_level >= 0
            or not all(map(is_plain, given if flat is None else [*given, flat]))
        ):
            found = _by_sequence(ctx, x, state, grads)
        else:
            dx, dstate, flat = ctx.owner.steps.backward(
                x, state, y, tape, ctx.weights, grad_y, grad_state, flat,
                need_input=need_input, need_parameters=need_parameters,
            )  # fmt: skip
            found = (flat, dx, *dstate)
        return (None, None, None, *found)


def _link(steps: TrainingSteps) -> Tensor:
    """A tensor of the shape of ``flat`` with the memory of one number; it is never read."""
    return torch.empty_strided((steps.flat_size,), (0,), dtype=steps.dtype, device="cpu")


def _by_sequence(
    ctx: Any, x: Tensor, state: Sequence[Tensor], grads: Sequence[Tensor | None]
) -> tuple[Tensor | None, ...]:
    """The gradients of the link, x and the states as torch operations, for their derivatives."""
    owner, again = ctx.owner, torch.is_grad_enabled()
    depth, each = state[0].shape[0], len(ctx.parameters) // state[0].shape[0]
    with torch.enable_grad():
        inputs = independent([x, *state, *ctx.parameters], connected=again)
        (y, *rest) = inputs
        states, parameters = rest[: len(state)], rest[len(state) :]
        lasts = []
        for k in range(depth):
            outputs, last = run(
                owner.text, y.unsqueeze(0), [s[k] for s in states],
                parameters[k * each : (k + 1) * each], None, False, True, owner.backend,
            )  # fmt: skip
            y = outputs.squeeze(0)
            lasts.append(last)
        results = [y, *[torch.stack(own) for own in zip(*lasts, strict=True)]]
        pairs = [(r, g) for r, g in zip(results, grads, strict=False) if g is not None]
        made = torch.autograd.grad(
            [r for r, _ in pairs], inputs, [g for _, g in pairs],
            allow_unused=True, materialize_grads=True, create_graph=again,
        )  # fmt: skip
        flat = grads[-1]
        if ctx.needs_input_grad[3]:
            own = _joined(made[1 + len(state) :], owner.steps)
            flat = own if flat is None else flat + own
    return (flat, *made[: 1 + len(state)])


def _joined(gradients: Sequence[Tensor], steps: TrainingSteps) -> Tensor:
    """The parameters' gradients in one tensor."""
    ends = [*steps.places[1:], steps.flat_size]
    pieces = [
        torch.nn.functional.pad(gradient.reshape(-1), (0, end - at - gradient.numel()))
        for gradient, at, end in zip(gradients, steps.places, ends, strict=True)
    ]
    return torch.cat(pieces)
