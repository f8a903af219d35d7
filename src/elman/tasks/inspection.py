"""A look into a model in training, for reasons why it does not learn.

Three things are measured on a few training examples: which gates are closed, how many steps of the
sequences the gradient of the loss reaches, and what dropout leaves.  ``training/watch.py`` asks for
it after the first epoch and when a model is no better than a constant answer.  ``elman diagnose``
measures more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from elman.diagnose import diagnose
from elman.errors import ElmanError
from elman.nn import Recurrent
from elman.nn.dropout import VariationalDropout
from elman.training.watch import Finding

#: examples that are looked at, and the number of their steps beyond which fewer are
EXAMPLES, STEPS = 4, 2000
#: the forget gate is closed if it is below 0.1 in at least this fraction of all steps
CLOSED = 0.9
#: the gradient reaches a step if it is at least this fraction of that of the best reached step
REACHED = 0.01
#: the gradient must reach at least this fraction of the steps of sequences of at least SHORT steps
ENOUGH, SHORT = 0.25, 30
#: a dropout rate that leaves too little to learn from
HIGH = 0.9


def inspect(
    model: nn.Module, batch: Mapping[str, Tensor], options: Any, failing: bool
) -> list[Finding]:
    """What keeps ``model`` from learning on a ``batch``, the keyword arguments of its loss.

    With ``failing``, the model is known to learn nothing; otherwise only closed gates, which are
    never of use, are looked for.  Weights, gradients, mode and random numbers stay the same.
    """
    trained = model.training
    with torch.random.fork_rng(devices=[]), _gradients_kept(model):
        model.eval()
        try:
            found = _closed_gates(model, batch, options)
            if failing:
                found += _dropped(model, batch, options) or _unreached(model, batch, options)
        except (ElmanError, RuntimeError):  # a look into a model must never end its training
            return []
        finally:
            model.train(trained)
    return found


@contextmanager
def _gradients_kept(model: nn.Module) -> Iterator[None]:
    kept = [(parameter, parameter.grad) for parameter in model.parameters()]
    try:
        yield
    finally:
        for parameter, gradient in kept:
            parameter.grad = gradient


def _loss(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    loss: Callable[..., Tensor] = model.loss  # type: ignore[assignment]
    return loss(**batch)


def _closed_gates(model: nn.Module, batch: Mapping[str, Tensor], options: Any) -> list[Finding]:
    """A forget gate that is closed for nearly all units in nearly all steps."""
    layers = [module for module in model.modules() if isinstance(module, Recurrent)]
    if not any([_has_forget_bias(layer) for layer in layers]):
        return []
    with torch.enable_grad():
        looked_at = diagnose(model, loss=lambda: _loss(model, batch), distance=1, losses=1, exact=0)
    for name, found in looked_at.items():
        for gate in found.gates:
            if gate.name == "f" and gate.kind == "sigmoid" and gate.low.mean() >= CLOSED:
                bias = getattr(options, "forget_bias", None)
                now = "" if bias is None else f" from {bias:g}"
                return [
                    Finding(
                        "closed",
                        f"The forget gate of {name} is closed (below 0.1) in {gate.low.mean():.0%} "
                        f"of all steps, with a mean of {gate.mean.mean():.1g}, so that the layer "
                        f"forgets its state at once. Raise forget_bias{now} to 1 or more.",
                    )
                ]
    return []


def _has_forget_bias(layer: Recurrent) -> bool:
    return "b.f" in [parameter.key for parameter in layer.cell.parameters]


def _unreached(model: nn.Module, batch: Mapping[str, Tensor], options: Any) -> list[Finding]:
    """A layer in which the gradient of the loss reaches only a small part of long sequences."""
    inputs: dict[str, Tensor] = {}
    handles = []
    for name, module in model.named_modules():
        if isinstance(module, Recurrent):
            handles.append(module.register_forward_pre_hook(_keeper(name, inputs)))
    try:
        with torch.enable_grad():
            _loss(model, batch).backward()
    finally:
        for handle in handles:
            handle.remove()
    for name, x in inputs.items():
        if x.grad is None or x.dim() != 3 or len(x) < SHORT:
            continue
        norms = x.grad.double().norm(dim=2).mean(1)  # (time,)
        steps, reached = len(norms), int((norms > REACHED * norms.max()).sum())
        if not norms.max() > 0 or reached >= ENOUGH * steps:
            continue
        return [
            Finding(
                "reach",
                f"The gradient of the loss reaches only {reached} of {steps} steps of {name}, so "
                f"that the model cannot learn from the others. {_longer(options)}",
            )
        ]
    return []


def _keeper(name: str, inputs: dict[str, Tensor]) -> Callable[..., Any]:
    def keep(layer: nn.Module, arguments: tuple[Any, ...]) -> Any:
        x = arguments[0] if arguments else None
        if not isinstance(x, Tensor) or not x.is_floating_point():
            return None
        x = x if x.requires_grad else x.detach().requires_grad_()
        x.retain_grad()
        if name not in inputs or len(x) > len(inputs[name]):
            inputs[name] = x
        return (x, *arguments[1:])

    return keep


def _longer(options: Any) -> str:
    """What lets the gradient reach further, among the options of the task."""
    ways = []
    if getattr(options, "pooling", None) in ("last", "middle"):
        ways.append("use pooling attention, mean or max")
    cell = getattr(options, "cell", "")
    if cell not in ("lstm", "gru"):
        ways.append("use the cell lstm or gru")
    elif cell == "lstm":
        ways.append("raise forget_bias")
    if hasattr(options, "longest"):
        ways.append("shorten the sequences (longest)")
    ways = ways or ["shorten the sequences"]
    said = ", ".join([*ways[:-1], f"or {ways[-1]}"] if len(ways) > 1 else ways)
    return f"{said[0].upper()}{said[1:]}."


def _dropped(model: nn.Module, batch: Mapping[str, Tensor], options: Any) -> list[Finding]:
    """A dropout that leaves next to nothing of what it is applied to."""
    rates = {
        name: value
        for name, value in asdict(options).items()
        if isinstance(value, float) and HIGH <= value <= 1 and _drops(name)
    }
    if not rates:
        return []
    zeros, values = [0], [0]

    def count(layer: nn.Module, arguments: tuple[Any, ...], result: Tensor) -> None:
        there = arguments[0] != 0
        zeros[0] += int((there & (result == 0)).sum())
        values[0] += int(there.sum())

    kinds = (nn.Dropout, VariationalDropout)
    handles = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, kinds)]
    model.train()
    try:
        with torch.no_grad():
            _loss(model, batch)
    finally:
        model.eval()
        for handle in handles:
            handle.remove()
    name = max(rates, key=lambda name: rates[name])
    part = max(zeros[0] / values[0] if values[0] else 0.0, rates[name])
    return [
        Finding(
            "dropout",
            f"Training sets {100 * part:.4g} % of the features to zero ({name} = {rates[name]:g}), "
            f"so that the loss hardly depends on the input. Lower {name} to 0.5 or less.",
        )
    ]


def _drops(name: str) -> bool:
    return "dropout" in name or name in ("zoneout", "drop_connect")


def sample(
    task: Any, examples: Sequence[Any], symbols: Any, options: Any
) -> dict[str, Tensor] | None:
    """A batch of a few training examples, spread evenly; ``None`` if all examples are empty."""
    there = [example for example in examples if task.length(example)]
    count = min(EXAMPLES, len(there))
    chosen: list[Any] = []
    left = STEPS
    for example in [there[k * len(there) // count] for k in range(count)]:
        if not chosen or task.length(example) <= left:
            chosen.append(example)
            left -= task.length(example)
    if not chosen:
        return None
    batch: dict[str, Tensor] = task.collate(chosen, symbols, options, None)
    return batch
