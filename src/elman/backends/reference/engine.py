"""The reference engine: a torch interpreter of the plan, for every device and dtype.

Tests compare faster engines with it, so it is simple: one torch call per value.  Everything is a
pure function of tensors that torch can differentiate, which gives second derivatives.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from elman.backends.engine import Call, Grads, Outputs, Saved, StepLayer
from elman.backends.reference.interpreter import INPUT, Interpreter
from elman.backends.reference.rows import rows_of
from elman.backends.reference.schedule import nodes_of, schedule_of
from elman.graph import Cell
from elman.graph.node import Node
from elman.graph.ops import CONDITIONS
from elman.graph.sizes import Sizes


class ReferenceEngine:
    """Runs a cell with PyTorch operations."""

    name = "reference"

    def unsupported_reason(
        self, dtype: torch.dtype, device: torch.device, cell: Cell | None = None
    ) -> str | None:
        """``None``: it supports all tensors."""
        return None

    def saved_like(self, call: Call) -> list[Tensor]:
        """A tensor (time * batch, size) for each value of ``Schedule.saved``."""
        rows = call.x.shape[0] * call.x.shape[1]
        saved = schedule_of(call.plan).saved
        return [
            call.x.new_empty(rows, call.sizes.width((n.size,)), dtype=_dtype(n, call.x))
            for n in saved
        ]

    def forward(self, call: Call) -> tuple[Outputs, Saved]:
        """Run all steps; saved values are (time * batch, size), computed rows first."""
        plan, x, masks = call.plan, call.x, call.masks
        time, batch, _ = x.shape
        schedule = schedule_of(plan)
        engine = Interpreter(plan, call.sizes, call.parameters, x)
        rows = rows_of(time, batch, call.lengths, call.reverse, x)
        total = sum(rows.counts)
        given = {INPUT: rows.flatten(x)} | engine.masks(masks, rows)
        given |= engine.sides(call.sides, rows)
        whole = engine.leaves() | given
        for instruction in engine.compile(schedule.before):
            instruction(whole)

        state_nodes = plan.cell.state_leaves
        current = [rows.sort(state) for state in call.states]
        used = {operand for node in nodes_of(schedule.step) for operand in node.operands}
        used |= set(plan.next_states)
        arriving = [node for node in whole if node in plan.hoisted or node in given]
        split = {
            n: engine.filled(whole[n], total, n).split(rows.counts) for n in arriving if n in used
        }
        program = engine.compile(schedule.step)
        saving = schedule.saved if call.save else ()
        saved: dict[Node, list[Tensor]] = {n: [] for n in saving if n not in plan.hoisted}
        outputs: list[Tensor] = []
        values = engine.leaves()
        for k, count in enumerate(rows.counts):
            running = [state[:count] if count < batch else state for state in current]
            values.update(zip(state_nodes, running, strict=True))
            for node, parts in split.items():
                values[node] = parts[k]
            for instruction in program:
                instruction(values)
            for node, steps in saved.items():
                steps.append(engine.filled(values[node], count, node))
            following = [engine.filled(values[node], count, node) for node in plan.next_states]
            outputs.append(following[0])
            current = [
                torch.cat([new, old[count:]]) if count < batch else new
                for new, old in zip(following, current, strict=True)
            ]
        y = rows.unflatten(torch.cat(outputs) if outputs else x.new_zeros(0, call.output_size))
        results = [
            _stack(saved[n], n, engine) if n in saved else engine.filled(whole[n], total, n)
            for n in saving
        ]
        # torch forbids an operator to return an input, which would happen with zero steps
        last = [rows.unsort(state).clone() for state in current]
        return Outputs(y, last), [_pad(s, time * batch) for s in results]

    def backward(
        self,
        call: Call,
        outputs: Outputs,
        saved: Saved,
        grads: Outputs,
        *,
        need_input: bool = True,
        need_parameters: bool = True,
    ) -> Grads:
        """Backpropagation through time; always computes all gradients."""
        plan, x, masks = call.plan, call.x, call.masks
        time, batch, _ = x.shape
        schedule = schedule_of(plan)
        engine = Interpreter(plan, call.sizes, call.parameters, x)
        rows = rows_of(time, batch, call.lengths, call.reverse, x)
        total = sum(rows.counts)
        gradient = plan.gradient
        given = {INPUT: rows.flatten(x)} | engine.masks(masks, rows)
        given |= engine.sides(call.sides, rows)
        whole = engine.leaves() | given
        whole |= {n: each[:total] for n, each in zip(schedule.saved, saved, strict=True)}

        used = {operand for node in nodes_of(schedule.back) for operand in node.operands}
        used |= {node for node in gradient.states if node is not None}
        split = {n: whole[n].split(rows.counts) for n in (*schedule.saved, *given) if n in used}
        outer = rows.flatten(grads.y).split(rows.counts)
        program = engine.compile(schedule.back)
        current = [rows.sort(state) for state in grads.states]
        crossing: dict[Node, list[Tensor]] = {node: [] for node in schedule.crossing}
        values = engine.leaves()
        for k in reversed(range(time)):
            count = rows.counts[k]
            arriving = [state[:count] if count < batch else state for state in current]
            arriving[0] = arriving[0] + outer[k]
            values.update(zip(gradient.seeds, arriving, strict=True))
            for node, parts in split.items():
                values[node] = parts[k]
            for instruction in program:
                instruction(values)
            for node, steps in crossing.items():
                steps.append(engine.filled(values[node], count, node))
            leaving = [
                torch.zeros_like(old) if node is None else values[node]
                for node, old in zip(gradient.states, arriving, strict=True)
            ]
            current = [
                torch.cat([new, old[count:]]) if count < batch else new
                for new, old in zip(leaving, current, strict=True)
            ]
        for node, steps in crossing.items():
            whole[node] = _stack(steps[::-1], node, engine)
        for instruction in engine.compile(schedule.after):
            instruction(whole)

        dx = (
            torch.zeros_like(x) if gradient.input is None else rows.unflatten(whole[gradient.input])
        )
        # torch forbids an operator to return an input, which would happen with zero steps
        dstates = [rows.unsort(state).clone() for state in current]
        found = engine.parameter_gradients(whole)
        parameters = [g.to(p.dtype) for g, p in zip(found, call.parameters, strict=True)]
        sides = [
            torch.zeros_like(side) if node is None else rows.unflatten(whole[node]).to(side.dtype)
            for node, side in zip(gradient.of_sides(plan.cell), call.sides, strict=True)
        ]
        return Grads(dx, dstates, parameters, sides)

    def stepper(self, cell: Cell, sizes: Sequence[Sizes], x: Tensor) -> None:
        """``None``: there is no fast path for single steps."""
        return

    def training_steps(self, cell: Cell, sizes: Sequence[Sizes], x: Tensor) -> None:
        """``None``: there is no fast path for single steps."""
        return

    def frozen_steps(
        self, layers: Sequence[StepLayer], batch: int, dtype: torch.dtype, *, int8: bool = False
    ) -> None:
        """``None``: there is no fast path for single steps."""
        return

    def report(self, dtype: torch.dtype, device: torch.device) -> str:
        """The dtype, and the threads or device."""
        threads = torch.get_num_threads()
        several = f"up to {threads} of torch's threads" if threads > 1 else "one thread"
        where = several if device.type == "cpu" else f"on {device}"
        return f"{str(dtype).removeprefix('torch.')}, with torch's operations; {where}."


def _stack(steps: list[Tensor], node: Node, engine: Interpreter) -> Tensor:
    """A value's rows of all steps, concatenated; (0, size) if there was no step."""
    if steps:
        return torch.cat(steps)
    size = engine.sizes.width((node.size,))
    return engine.like.new_zeros(0, size, dtype=_dtype(node, engine.like))


def _dtype(node: Node, like: Tensor) -> torch.dtype:
    """Bool for a condition; otherwise the dtype of x."""
    return torch.bool if node.operation in CONDITIONS else like.dtype


def _pad(flat: Tensor, count: int) -> Tensor:
    """Pad with rows of zeros, so that the shape does not depend on the lengths."""
    return torch.nn.functional.pad(flat, (0, 0, 0, count - flat.shape[0]))
