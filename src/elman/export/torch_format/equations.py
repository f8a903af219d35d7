"""Elman's operators in terms of torch's: a cell's equations in a loop over time.

``written_out`` has the arguments of ``elman::recurrent``, and ``whole_cell`` those of
``elman::equations`` (``one_operator.py``), so that ``run_decompositions`` of a program puts them in
the operators' place.  The loop is torch's own operator ``scan``, which keeps the number of steps
free.  What needs no state is computed for all steps before the loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from elman.graph import Cell, read_cell
from elman.graph.node import OPERATIONS, Node, ancestors, intern
from elman.graph.sizes import Sizes
from elman.nn.matrix_states import MatrixStates
from elman.nn.side_inputs import early_of
from elman.passes import PackedProduct, hoist, pack, simplify
from elman.torch_mathematics import TorchMathematics

Values = dict[Any, Any]
INPUT = intern("input", (), None)


def written_out(
    x: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor] | None,
    lengths: Tensor | None,
    cell: str,
    reverse: bool,
    save: bool,
    backend: str,
    masks: Sequence[Tensor] | None,
    sides: Sequence[Tensor] | None = None,
) -> list[Tensor]:
    """[y, last states ...] of x (time, batch, input), as ``elman::recurrent`` returns them.

    In evaluation, where nothing is saved and nothing masked.  ``sides`` are those of a core
    (``passes/separate.py``), all (time, batch, size).
    """
    assert not save
    assert not masks
    chosen = read_cell(cell)
    sizes = _sizes(chosen, x, states, parameters or (), sides or ())
    step = _Step(chosen, sizes, x, states, parameters or (), sides or ())
    return _run(step, x, states, lengths, reverse=reverse)


def whole_cell(
    x: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor] | None,
    lengths: Tensor | None,
    cell: str,
    reverse: bool,
    heads: int,
    keys: int,
    sides: Sequence[Tensor] | None,
) -> list[Tensor]:
    """The same for a cell with side inputs (time, batch, size) or a matrix state."""
    chosen = read_cell(cell)
    sizes = _sizes(chosen, x, states, parameters or (), sides or (), heads, keys)
    given = dict(zip([name for name, _ in chosen.inputs], sides or (), strict=True))
    if not chosen.has_memory:
        early = early_of(chosen)
        core, own, values = chosen, parameters or (), list[Tensor]()
        if early is not None:
            core = early.core
            _, own, values = early.run(x, given, own, None, sizes)
        return _run(_Step(core, sizes, x, states, own, values), x, states, lengths, reverse=reverse)
    matrix_states = MatrixStates(chosen)
    values = matrix_states.early(x, given, parameters or (), None, sizes)
    of_states = [chosen.state_size(name) for name in chosen.states]
    begun = [
        state.reshape(-1, *sizes.axes(size)) for state, size in zip(states, of_states, strict=True)
    ]
    step = _MatrixStep(read_cell(matrix_states.core), values)
    y, *last = _run(step, x, begun, lengths, reverse=reverse)
    last = [
        state.reshape(-1, *sizes.of_row(size)) for state, size in zip(last, of_states, strict=True)
    ]
    return [y.reshape(*x.shape[:2], sizes.hidden), *last]


def _sizes(
    cell: Cell,
    x: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor],
    sides: Sequence[Tensor],
    heads: int = 1,
    keys: int = 0,
) -> Sizes:
    """The sizes of a layer, from its tensors."""
    return cell.bind(
        x.shape[-1],
        [state.shape[-1] for state in states],
        [parameter.shape for parameter in parameters],
        [side.shape[-1] for side in sides],
        heads,
        keys,
    )


class _Step:
    """What a step computes: instructions, and the values that it needs from outside of the loop.

    ``sequences`` have one value for each step, ``same`` are alike at every step.
    """

    def __init__(
        self,
        cell: Cell,
        sizes: Sizes,
        x: Tensor,
        states: Sequence[Tensor],
        parameters: Sequence[Tensor],
        sides: Sequence[Tensor],
    ) -> None:
        self.cell = cell
        self.sizes = sizes
        self._parameters = {
            p.leaf: tensor for p, tensor in zip(cell.parameters, parameters, strict=True)
        }
        hoisted = hoist(simplify(cell.next_states))
        self.roots = hoisted.roots
        everything = ancestors(self.roots)
        before = pack([node for node in everything if node in hoisted.before])
        self.instructions = pack(
            [node for node in everything if node.operands and node not in hoisted.before]
        )
        values: Values = {INPUT: x} | dict(zip(cell.side_leaves, sides, strict=True))
        values |= self._outside(x, before, self.instructions)
        self.run(before, values)
        used: set[Any] = {o for item in self.instructions for o in _operands(item)}
        used |= {*self.roots} | {i for i in self.instructions if isinstance(i, PackedProduct)}
        needed = {key: value for key, value in values.items() if key in used}
        self.sequences = {k: v for k, v in needed.items() if _is_of_a_step(k)}
        self.same = {k: v for k, v in needed.items() if k not in self.sequences}

    def _outside(self, x: Tensor, *schedules: Sequence[Node | PackedProduct]) -> Values:
        """Vectors, constants, and the matrix of each product (operand, outputs)."""
        values: Values = {n: t for n, t in self._parameters.items() if n.operation == "vector"}
        items = [item for schedule in schedules for item in schedule]
        for leaf in [*self.roots, *[o for item in items for o in _operands(item)]]:
            if leaf.operation == "constant" and leaf not in values:
                values[leaf] = x.new_full((), leaf.attribute)
        for item in items:
            if isinstance(item, PackedProduct):
                blocks = [
                    self._parameters[node.operands[0]][:, self.sizes.columns(node.attribute)]
                    for node in item.products
                ]
                values[item] = torch.cat(blocks).t().contiguous()
        return values

    def run(self, instructions: Iterable[Node | PackedProduct], values: Values) -> None:
        """Compute instructions; ``values`` gains what they are."""
        for item in instructions:
            if isinstance(item, PackedProduct):
                product = torch.matmul(values[item.operand], values[item])
                widths = [self.sizes.width((node.size,)) for node in item.products]
                parts = product.split(widths, -1)
                values.update(zip(item.products, parts, strict=True))
            else:
                rule = OPERATIONS[item.operation].evaluate
                assert rule is not None
                values[item] = rule(TorchMathematics, *[values[o] for o in item.operands])

    def following(self, values: Values, states: Sequence[Tensor]) -> list[Tensor]:
        """The next states, from what ``values`` has from outside and the old ones."""
        values |= dict(zip(self.cell.state_leaves, states, strict=True))
        self.run(self.instructions, values)
        return [values[root] for root in self.roots]


class _MatrixStep:
    """The same for the core of a cell with a matrix state (``passes/memory.py``)."""

    def __init__(self, core: Cell, sides: Sequence[Tensor]) -> None:
        self.core = core
        given = dict(zip(core.side_leaves, sides, strict=True))
        self.sequences: Values = {leaf: s for leaf, s in given.items() if s.dim() == 5}
        self.same: Values = {leaf: s for leaf, s in given.items() if s.dim() == 3}

    def following(self, values: Values, states: Sequence[Tensor]) -> list[Tensor]:
        """The next states, from what ``values`` has from outside and the old ones."""
        values |= dict(zip(self.core.state_leaves, states, strict=True))
        for node in self.core.nodes:
            if node.operation == "constant":
                values[node] = states[0].new_full((), node.attribute)
            elif node not in values:
                rule = OPERATIONS[node.operation].evaluate
                assert rule is not None
                values[node] = rule(TorchMathematics, *[values[o] for o in node.operands])
        return [values[node] for node in self.core.next_states]


def _run(
    step: _Step | _MatrixStep,
    x: Tensor,
    states: Sequence[Tensor],
    lengths: Tensor | None,
    *,
    reverse: bool,
) -> list[Tensor]:
    """[y, last states ...] of a step on x (time, batch, input)."""
    if isinstance(x.shape[0], int) and x.shape[0] == 1 and lengths is None:
        return _one_step(step, states)
    return _scan(step, x, states, lengths, reverse=reverse)


def _one_step(step: _Step | _MatrixStep, states: Sequence[Tensor]) -> list[Tensor]:
    """A single step of full rows, without a loop."""
    values = {**step.same, **{node: value[0] for node, value in step.sequences.items()}}
    found = step.following(values, states)
    # a copy each: a next state may be another's value, or one repeated for each row
    after = [torch.zeros_like(state) + value for value, state in zip(found, states, strict=True)]
    return [after[0].unsqueeze(0), *after]


def _scan(
    step: _Step | _MatrixStep,
    x: Tensor,
    states: Sequence[Tensor],
    lengths: Tensor | None,
    *,
    reverse: bool,
) -> list[Tensor]:
    time, batch = x.shape[:2]
    steps = torch.arange(time, device=x.device).unsqueeze(1)
    full = torch.full((batch,), time, device=x.device) if lengths is None else lengths
    running = steps < full.to(x.device)
    running = running.reshape(time, batch, *[1] * (states[0].dim() - 1))
    sequences = [running, *step.sequences.values()]
    if reverse:
        sequences = [sequence.flip(0) for sequence in sequences]
    same = [*step.same.values()]
    count = len(states)

    def combine(*given: Any) -> list[Tensor]:
        old, (here, *own) = given[:count], given[count : count + len(sequences)]
        rest = given[count + len(sequences) :]
        constant, free = rest[: len(same)], rest[len(same) :]
        values = dict(zip([*step.sequences, *step.same], [*own, *constant], strict=True))
        found = step.following(values, old)
        after = [torch.where(here, new, state) for new, state in zip(found, old, strict=True)]
        y = torch.where(here, found[0], 0.0)
        return [*after, y.reshape(free[0], *y.shape[1:]) if free else y]

    begun = [state.contiguous() for state in states]
    # inductor must be given the number of rows to know the size of the outputs
    rows = () if isinstance(batch, int) else (batch,)
    *last, y = torch.ops.higher_order.scan(combine, begun, sequences, (*same, *rows))
    return [y.flip(0) if reverse else y, *last]


def _operands(item: Node | PackedProduct) -> tuple[Node, ...]:
    return (item.operand,) if isinstance(item, PackedProduct) else item.operands


def _is_of_a_step(key: Node | PackedProduct) -> bool:
    """Whether a value has been computed from x or a side input."""
    return isinstance(key, Node) and any(
        [node is INPUT or node.operation == "side" for node in ancestors([key])]
    )
