"""The reference engine: a torch interpreter of the plan, for every device and dtype.

It is the oracle that faster engines are held against, so it is plain: one torch call for each
value.  Everything is a pure function of tensors, and torch can differentiate all of it, which
is how second derivatives are had.  Rows of a ragged batch are put in order of length inside, so
that the rows still running at a step are the first ones, and padding is never computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from elman.backends.plan import Plan, Schedule
from elman.graph.node import OPERATIONS, Node, intern
from elman.graph.ops import CONDITIONS
from elman.graph.sizes import Sizes
from elman.passes import PackedProduct

Values = dict[Node, Tensor]
INPUT = intern("input", (), None)


class TorchMathematics:
    """The functions in which the table of operations is written, by torch."""

    add = staticmethod(torch.add)
    subtract = staticmethod(torch.sub)
    multiply = staticmethod(torch.mul)
    divide = staticmethod(torch.div)
    negate = staticmethod(torch.neg)
    exp = staticmethod(torch.exp)
    log = staticmethod(torch.log)
    # torch's own threshold of 20 is right for float32 only: log(1 + exp(20)) - 20 is 2e-9
    softplus = staticmethod(partial(torch.nn.functional.softplus, threshold=40))
    tanh = staticmethod(torch.tanh)
    sigmoid = staticmethod(torch.sigmoid)
    relu = staticmethod(torch.relu)
    maximum = staticmethod(torch.maximum)
    minimum = staticmethod(torch.minimum)
    greater = staticmethod(torch.gt)
    at_least = staticmethod(torch.ge)
    where = staticmethod(torch.where)

    @staticmethod
    def mean(a: Tensor) -> Tensor:
        return a.mean(-1, keepdim=True)

    @staticmethod
    def rsqrt(a: Tensor, offset: float) -> Tensor:
        return torch.rsqrt(a + offset)


@dataclass(frozen=True)
class Rows:
    """Which rows run at which step, in the order of computation.

    ``counts[k]`` rows run at the k-th step, always the first ones of the batch in ``order``
    (longest first).  ``index`` are their places in (time * batch), ``None`` where they are all
    of them in their own order.
    """

    counts: tuple[int, ...]
    order: Tensor | None
    index: Tensor | None
    batch: int
    time: int

    @cached_property
    def inverse(self) -> Tensor | None:
        """Where each row of the batch stands in ``order``."""
        return None if self.order is None else torch.argsort(self.order)

    def flatten(self, x: Tensor) -> Tensor:
        """(time, batch, size) -> (rows, size), in the order of computation."""
        flat = x.reshape(self.time * self.batch, x.shape[-1])
        return flat if self.index is None else flat.index_select(0, self.index)

    def unflatten(self, flat: Tensor) -> Tensor:
        """(rows, size) -> (time, batch, size), zero where no row runs."""
        if self.index is not None:
            whole = flat.new_zeros(self.time * self.batch, flat.shape[-1])
            flat = whole.index_copy(0, self.index, flat)
        return flat.reshape(self.time, self.batch, flat.shape[-1])

    def sort(self, state: Tensor) -> Tensor:
        """(batch, size) with the longest row first."""
        return state if self.order is None else state.index_select(0, self.order)

    def unsort(self, state: Tensor) -> Tensor:
        """(batch, size) in the caller's order."""
        return state if self.inverse is None else state.index_select(0, self.inverse)


def rows_of(time: int, batch: int, lengths: Tensor | None, reverse: bool, like: Tensor) -> Rows:
    """Which rows run when; ``lengths`` are in any order, ``reverse`` begins at each row's end."""
    if lengths is None:
        index = None
        if reverse:
            index = torch.arange(time * batch, device=like.device).reshape(time, batch)
            index = index.flip(0).reshape(-1)
        return Rows((batch,) * time, None, index, batch, time)
    order = torch.argsort(lengths, descending=True, stable=True)
    steps = torch.arange(time, device=lengths.device)
    if reverse:
        steps = steps.flip(0)
    running = steps[:, None] < lengths[order][None, :]  # time batch
    places = steps[:, None] * batch + order[None, :]
    counts = tuple(running.sum(1).tolist())
    return Rows(counts, order.to(like.device), places[running].to(like.device), batch, time)


class Interpreter:
    """A plan with its numbers: sizes, parameters, and the packed matrices made once a call."""

    def __init__(
        self, plan: Plan, sizes: Sizes, parameters: Sequence[Tensor], like: Tensor
    ) -> None:
        self.plan, self.sizes, self.like = plan, sizes, like
        self.parameters: Values = {
            intern(p.kind, (), (p.family, p.gate)): tensor.to(like.dtype)
            for p, tensor in zip(plan.cell.parameters, parameters, strict=True)
        }

    def masks(self, given: Sequence[Tensor], rows: Rows) -> Values:
        """The masks with the rows of all steps in the order of computation."""
        shape = (rows.time, rows.batch, self.sizes.hidden)
        return {
            node: rows.flatten(mask.to(self.like.dtype).expand(shape))
            for node, mask in zip(self.plan.cell.masks, given, strict=True)
        }

    def leaves(self) -> Values:
        """The values that are the same at each step: constants and vectors."""
        values = {n: t for n, t in self.parameters.items() if n.operation == "vector"}
        for schedule in (self.plan.before, self.plan.step, self.plan.back, self.plan.after):
            for item in schedule:
                if isinstance(item, Node):
                    for operand in item.operands:
                        if operand.operation == "constant" and operand not in values:
                            values[operand] = self.like.new_tensor(operand.attribute)
        return values

    def compile(self, schedule: Schedule) -> list[Callable[[Values], None]]:
        """The schedule as functions that add to the values, one for each torch call."""
        return [self._instruction(item) for item in schedule]

    def _instruction(self, item: Node | PackedProduct) -> Callable[[Values], None]:
        if isinstance(item, PackedProduct):
            return self._packed_product(item)
        if item.operation == "transposed_product":
            return self._transposed_product(item)
        rule, mathematics = OPERATIONS[item.operation].evaluate, TorchMathematics
        assert rule is not None
        if len(item.operands) == 1:
            (only,) = item.operands

            def unary(values: Values) -> None:
                values[item] = rule(mathematics, values[only])

            return unary
        if len(item.operands) == 2:
            first, second = item.operands

            def binary(values: Values) -> None:
                values[item] = rule(mathematics, values[first], values[second])

            return binary
        operands = item.operands

        def general(values: Values) -> None:
            values[item] = rule(mathematics, *[values[operand] for operand in operands])

        return general

    def _packed_product(self, item: PackedProduct) -> Callable[[Values], None]:
        blocks = [
            self.parameters[node.operands[0]][:, self.sizes.columns(node.attribute)]
            for node in item.products
        ]
        if len(blocks) == 1:
            matrix, (product,) = blocks[0].T, item.products

            def one(values: Values) -> None:
                values[product] = values[item.operand] @ matrix

            return one
        matrix = torch.cat(blocks).T

        def several(values: Values) -> None:
            parts = (values[item.operand] @ matrix).chunk(len(blocks), -1)
            values.update(zip(item.products, parts, strict=True))

        return several

    def _transposed_product(self, node: Node) -> Callable[[Values], None]:
        matrix = torch.cat(
            [
                self.parameters[w][:, self.sizes.columns(block)]
                for w, block in zip(node.operands[::2], node.attribute, strict=True)
            ]
        )
        gradients = node.operands[1::2]

        def transposed(values: Values) -> None:
            values[node] = torch.cat([values[g] for g in gradients], -1) @ matrix

        return transposed


def kept_like(plan: Plan, x: Tensor, states: Sequence[Tensor]) -> list[Tensor]:
    """Tensors like those that ``forward`` keeps, without values."""
    time, batch, input_size = x.shape
    sizes = Sizes(input_size, states[0].shape[-1])
    return [
        x.new_empty(time * batch, sizes.width((node.size,)), dtype=_dtype(node, x))
        for node in plan.kept
    ]


def forward(
    plan: Plan,
    x: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor],
    lengths: Tensor | None,
    reverse: bool,
    *,
    keep: bool = True,
    masks: Sequence[Tensor] = (),
    weights_of: object = None,
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Run all steps: the outputs, the last states, and what backward needs beside them.

    ``x`` is (time, batch, input), each state (batch, hidden), and the kept values
    (time * batch, size) with the rows that ran first.  ``masks`` are those of the cell, each
    (time, batch, hidden), or (batch, hidden) where it is of a sequence.  Nothing is kept in
    ``weights_of``, since parameters are used as they are.
    """
    time, batch, input_size = x.shape
    engine = Interpreter(plan, Sizes(input_size, states[0].shape[-1]), parameters, x)
    rows = rows_of(time, batch, lengths, reverse, x)
    total, hidden = sum(rows.counts), states[0].shape[-1]
    given = {INPUT: rows.flatten(x)} | engine.masks(masks, rows)
    whole = engine.leaves() | given
    for instruction in engine.compile(plan.before):
        instruction(whole)

    state_nodes = [intern("state", (), state) for state in plan.cell.states]
    current = [rows.sort(state) for state in states]
    used = {operand for node in _nodes(plan.step) for operand in node.operands}
    used |= set(plan.next_states)
    arriving = [node for node in whole if node in plan.hoisted or node in given]
    split = {n: _fill(whole[n], total, n, engine).split(rows.counts) for n in arriving if n in used}
    program = engine.compile(plan.step)
    saving = plan.kept if keep else ()
    kept: dict[Node, list[Tensor]] = {n: [] for n in saving if n not in plan.hoisted}
    outputs: list[Tensor] = []
    values = engine.leaves()
    for k, count in enumerate(rows.counts):
        running = [state[:count] if count < batch else state for state in current]
        values.update(zip(state_nodes, running, strict=True))
        for node, parts in split.items():
            values[node] = parts[k]
        for instruction in program:
            instruction(values)
        for node, steps in kept.items():
            steps.append(_fill(values[node], count, node, engine))
        following = [_fill(values[node], count, node, engine) for node in plan.next_states]
        outputs.append(following[0])
        current = [
            torch.cat([new, old[count:]]) if count < batch else new
            for new, old in zip(following, current, strict=True)
        ]
    y = rows.unflatten(torch.cat(outputs) if outputs else x.new_zeros(0, hidden))
    saved = [
        _stack(kept[n], n, engine) if n in kept else _fill(whole[n], total, n, engine)
        for n in saving
    ]
    # torch forbids an operator to return what it was given, as no step at all would
    last = [rows.unsort(state).clone() for state in current]
    return y, last, [_pad(s, time * batch) for s in saved]


def backward(
    plan: Plan,
    grad_y: Tensor,
    grad_states: Sequence[Tensor],
    x: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor],
    lengths: Tensor | None,
    y: Tensor,
    kept: Sequence[Tensor],
    reverse: bool,
    *,
    need_input: bool = True,
    need_parameters: bool = True,
    masks: Sequence[Tensor] = (),
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Backpropagation through time: the gradients of x, the first states and the parameters."""
    time, batch, input_size = x.shape
    hidden = grad_states[0].shape[-1]
    engine = Interpreter(plan, Sizes(input_size, hidden), parameters, x)
    rows = rows_of(time, batch, lengths, reverse, x)
    total = sum(rows.counts)
    gradient = plan.gradient
    given = {INPUT: rows.flatten(x)} | engine.masks(masks, rows)
    whole = engine.leaves() | given
    whole |= {node: saved[:total] for node, saved in zip(plan.kept, kept, strict=True)}

    used = {operand for node in _nodes(plan.back) for operand in node.operands}
    used |= {node for node in gradient.states if node is not None}
    split = {n: whole[n].split(rows.counts) for n in (*plan.kept, *given) if n in used}
    outer = rows.flatten(grad_y).split(rows.counts)
    program = engine.compile(plan.back)
    current = [rows.sort(state) for state in grad_states]
    crossing: dict[Node, list[Tensor]] = {node: [] for node in plan.crossing}
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
            steps.append(_fill(values[node], count, node, engine))
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
    for instruction in engine.compile(plan.after):
        instruction(whole)

    dx = torch.zeros_like(x) if gradient.input is None else rows.unflatten(whole[gradient.input])
    # torch forbids an operator to return what it was given, as no step at all would
    dstates = [rows.unsort(state).clone() for state in current]
    found = parameter_gradients(engine, whole)
    return dx, dstates, [g.to(p.dtype) for g, p in zip(found, parameters, strict=True)]


def parameter_gradients(engine: Interpreter, whole: Values) -> list[Tensor]:
    """A vector's is a sum over rows; a matrix's one product over all rows for each operand."""
    gradient, gathered = engine.plan.gradient, {}
    for key, node in gradient.vectors.items():
        gathered["vector", *key] = whole[node].sum(0)
    for n, t in engine.parameters.items():
        gathered.setdefault((n.operation, *n.attribute), torch.zeros_like(t))
    by_operand: dict[Node, list[int]] = {}
    for position, product in enumerate(gradient.products):
        by_operand.setdefault(product.operand, []).append(position)
    blocks: dict[int, Tensor] = {}
    for operand, positions in by_operand.items():
        stacked = torch.cat([whole[gradient.products[p].gradient] for p in positions], -1)
        values = _fill(whole[operand], stacked.shape[0], operand, engine)
        parts = (stacked.T @ values).chunk(len(positions))
        blocks.update(zip(positions, parts, strict=True))
    for position, product in enumerate(gradient.products):
        columns = engine.sizes.columns(product.block)
        before = gathered["matrix", *product.matrix]
        padded = torch.nn.functional.pad(
            blocks[position], (columns.start, before.shape[1] - columns.stop)
        )
        gathered["matrix", *product.matrix] = before + padded
    return [gathered[p.kind, p.family, p.gate] for p in engine.plan.cell.parameters]


def _nodes(schedule: Schedule) -> list[Node]:
    return [
        node
        for item in schedule
        for node in (item.products if isinstance(item, PackedProduct) else (item,))
    ]


def _fill(value: Tensor, rows: int, node: Node, engine: Interpreter) -> Tensor:
    """A value that is made from parameters only, such as exp(p.f), repeated for each row."""
    if value.dim() == 2:
        return value
    return value.expand(rows, engine.sizes.width((node.size,)))


def _stack(steps: list[Tensor], node: Node, engine: Interpreter) -> Tensor:
    """A value's rows of all steps one after the other; (0, size) where there was no step."""
    if steps:
        return torch.cat(steps)
    size = engine.sizes.width((node.size,))
    return engine.like.new_zeros(0, size, dtype=_dtype(node, engine.like))


def _dtype(node: Node, like: Tensor) -> torch.dtype:
    """A condition is a truth value; all else is of the type of x."""
    return torch.bool if node.operation in CONDITIONS else like.dtype


def _pad(flat: Tensor, count: int) -> Tensor:
    """Rows of zeros at the end, so that the shape does not depend on the lengths."""
    return torch.nn.functional.pad(flat, (0, 0, 0, count - flat.shape[0]))
