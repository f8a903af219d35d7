"""One recurrent layer in C: its weights as tables, its stages as loops.

Units are computed in blocks.  The weights of a block lie in the order in which its loop over k
reads them, [block][k][sum and unit], and all its sums are one flat array: a compiler keeps that
in registers, and spills an array for each sum.  ``plan.py`` says what is computed when.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from elman.export.c_source.numbers import Numbers
from elman.export.c_source.plan import Group, Plan, Stage, Sum
from elman.export.c_source.text import (
    LIMIT,
    CMathematics,
    Expression,
    Names,
    comment,
    number,
    table,
)
from elman.graph.node import OPERATIONS, Node
from elman.graph.show import expression
from elman.graph.sizes import Sizes

#: numbers that the sums of a block are at most: 8 registers of 16, so that as many additions are
#: under way at a time as a processor can begin before the first has ended
MOST_LANES = 128

#: numbers up to which the sums of a block are taken apart into chains, of which each adds every
#: second or fourth product: with fewer, additions would wait for each other.  8 registers of 8
MOST_CHAINED = 64

LIMIT_ARGUMENT = f", {LIMIT})"
ALIGNED = " {prefix}_ALIGNED"


def padded_width(units: int) -> int:
    """The units that a loop goes over: a multiple of 16, or of 8 or 4 where that saves much.

    >>> [padded_width(units) for units in (1, 8, 20, 32, 100)]
    [4, 8, 24, 32, 112]
    """
    lanes = lanes_for(units)
    return -(-units // lanes) * lanes


def lanes_for(units: int) -> int:
    """How many units are neighbours in a vector of the processor."""
    for lanes in (16, 8):
        if -(-units // lanes) * lanes <= 1.25 * units:
            return lanes
    return 4


def block_width(padded: int, lanes: int, sums: int) -> int:
    """Units of a block: as many as the registers have sums for, in blocks of one size."""
    widths = [w for w in range(lanes, padded + 1, lanes) if padded % w == 0]
    return max([w for w in widths if w * sums <= MOST_LANES], default=lanes)


def chain_count(lanes: int) -> int:
    """How many chains of additions the sums of a block are.

    >>> [chain_count(lanes) for lanes in (8, 16, 32, 48, 128)]
    [4, 4, 2, 1, 1]
    """
    return max([count for count in (1, 2, 4) if count * lanes <= MOST_CHAINED], default=1)


class LayerInC:
    """The tables and the function of one layer.

    ``parameters`` are the layer's tensors by (kind, family, gate).  ``quantized`` stores matrices
    as int8 with a scale for each row; ``dequantized`` are then the values that they stand for.
    """

    def __init__(
        self,
        prefix: str,
        index: int,
        plan: Plan,
        sizes: Sizes,
        parameters: Sequence[Tensor],
        *,
        quantized: bool,
        helpers: set[str],
    ) -> None:
        self.prefix, self.index, self.plan, self.sizes = prefix, index, plan, sizes
        self.name = f"{prefix}_layer_{index}"
        self.padded = padded_width(sizes.hidden)
        self.lanes = lanes_for(sizes.hidden)
        self.helpers = helpers
        self.quantized = quantized
        self._numbers = Numbers(plan.cell, parameters, quantized=quantized)
        self.tables: list[str] = []
        names = Names()
        #: the member of the state's struct that holds each of the cell's states
        self.members = {state: names.take("s_", state) for state in plan.cell.states}
        self._next = {s: names.take("next_", s) for s in plan.cell.states}
        self._locals = names
        self._tables, self._constants = Names(), dict[Node, str]()
        self._storage: dict[Node, str] = {}
        self._exact = _exact_nodes(plan)
        blocks = [self._width(stage) for stage in plan.stages if stage.groups]
        self._in_place = plan.in_place(one_block=all([w == self.padded for w in blocks]))
        self.function = self._write()

    @property
    def struct(self) -> str:
        """The definition of the layer's state."""
        shown = [
            f"    float {member}[{self.padded}]; /* {comment(state)}: the first "
            f"{self.sizes.hidden} of them */"
            for state, member in self.members.items()
        ]
        return "\n".join([f"typedef struct {self.name} {{", *shown, f"}} {self.name};"])

    def _write(self) -> str:
        cell, plan = self.plan.cell, self.plan
        temporary = [s for s in cell.states if s not in self._in_place]
        for state, node in zip(cell.states, plan.next_states, strict=True):
            if plan.is_computed(node) and node not in self._storage:
                self._storage[node] = self._home(state)
        for node in plan.arrays:
            if node not in self._storage:
                label = plan.names.get(node, node.operation)
                self._storage[node] = self._locals.take("a_", label)
        stages = [line for k in range(len(plan.stages)) for line in self._stage(k)]
        uses_limit = any([LIMIT_ARGUMENT in line for line in stages])
        lines = [
            f"/* Layer {self.index}: {comment(cell.name)}, {self.sizes.input} inputs, "
            f"{self.sizes.hidden} units. */",
            f"static void {self.name}_step({self.name} *state, const float *x)",
            "{",
            *[f"    float {self._next[s]}[{self.padded}];" for s in temporary],
            *[
                f"    float {name}[{self.padded if node.size != 'input' else self.sizes.input}];"
                for node, name in self._storage.items()
                if node in plan.arrays and node not in plan.next_states
            ],
            *([f"    const float {LIMIT} = {self.prefix}_limit;"] if uses_limit else []),
            *stages,
        ]
        if not any([re.search(r"\bx\[", line) for line in stages]):
            lines.append("    (void)x;")
        if temporary:
            lines.append(f"    for (int u = 0; u < {self.padded}; ++u) {{")
            lines += [
                f"        state->{self.members[s]}[u] = {self._next[s]}[u];" for s in temporary
            ]
            lines.append("    }")
        return "\n".join([*lines, "}"])

    def _home(self, state: str) -> str:
        """Where the next value of a state is stored first."""
        if state in self._in_place:
            return f"state->{self.members[state]}"
        return self._next[state]

    def _stage(self, index: int) -> list[str]:
        stage, lines = self.plan.stages[index], list[str]()
        for node in stage.means:
            (vector,) = node.operands
            self.helpers.add("mean")
            name = self._locals.take("m_", "mean")
            self._storage[node] = name
            source = self._vector(vector)
            width = self.sizes.width((vector.size,))
            lines.append(f"    const float {name} = {self.prefix}_mean({source}, {width});")
        if stage.inputs:
            lines.append(f"    for (int u = 0; u < {self.sizes.input}; ++u) {{")
            lines += self._equations(stage.inputs, {}, [], "        ")
            lines.append("    }")
        stores = self._stores(index)
        if stage.units or stores:
            lines += self._blocks(stage, stores) if stage.groups else self._units(stage, stores)
        return lines

    def _stores(self, stage: int) -> list[tuple[str, Node]]:
        """The states whose next values are to be stored in this stage, those of leaves first."""
        pairs = zip(self.plan.cell.states, self.plan.next_states, strict=True)
        found = [(s, n) for s, n in pairs if self.plan.stage_of_next(n) == stage]
        return sorted(found, key=lambda pair: self.plan.is_computed(pair[1]))

    def _units(self, stage: Stage, stores: list[tuple[str, Node]]) -> list[str]:
        return [
            f"    for (int u = 0; u < {self.padded}; ++u) {{",
            *self._equations(stage.units, {}, stores, "        "),
            "    }",
        ]

    def _width(self, stage: Stage) -> int:
        """The units of a block of a stage with sums."""
        most = max([len(group.sums) for group in stage.groups])
        return block_width(self.padded, self.lanes, most)

    def _blocks(self, stage: Stage, stores: list[tuple[str, Node]]) -> list[str]:
        width = self._width(stage)
        lines = [f"    for (int first = 0; first < {self.padded}; first += {width}) {{"]
        where: dict[Node, str] = {}
        for group in stage.groups:
            lines += self._group(group, width, where)
        lines.append(f"        for (int j = 0; j < {width}; ++j) {{")
        lines.append("            const int u = first + j;")
        lines += self._equations(stage.units, where, stores, "            ")
        return [*lines, "        }", "    }"]

    def _group(self, group: Group, width: int, where: dict[Node, str]) -> list[str]:
        """The loops over k of some sums; ``where`` is told where each sum is found."""
        tag = str(len(self.tables))
        total = self._locals.take("sum_", tag)
        lanes = width * len(group.sums)
        for k, each in enumerate(group.sums):
            where[each.root] = f"{total}[{k * width} + j]" if k else f"{total}[j]"
        kind = "signed char" if self.quantized else "float"
        weights, biases, scales, loops = self._pack(group, width)
        table_name = f"{self.name}_weights_{tag}"
        shown = ", ".join([_shown(each, self.plan) for each in group.sums])
        aligned = ALIGNED.format(prefix=self.prefix)
        self.tables.append(
            f"/* {comment(shown)}: [block][k][sum and unit] */\n"
            + table(kind, table_name, weights, aligned)
        )
        start = "0.0f"
        offset = "first" if len(group.sums) == 1 else f"first * {len(group.sums)}"
        if biases is not None:
            self.tables.append(table("float", f"{self.name}_bias_{tag}", biases, aligned))
            start = f"{self.name}_bias_{tag}[{offset} + i]"
        self.helpers.add("mad")
        per_unit, chains = len(weights) // self.padded, chain_count(lanes)
        lines = [
            f"        const {kind} *w_{tag} = {table_name} + first * {per_unit};",
            f"        float {total}[{lanes * chains}];",
            f"        for (int i = 0; i < {lanes}; ++i)",
            f"            {total}[i] = {'0.0f' if self.quantized else start};",
        ]
        if chains > 1:
            lines.append(f"        for (int i = {lanes}; i < {lanes * chains}; ++i)")
            lines.append(f"            {total}[i] = 0.0f;")
        for vector in loops:
            lines += self._loop(vector, f"w_{tag}", total, lanes, width)
        if chains > 1:
            chained = [_at(total, lanes * k) for k in range(chains)]
            pairs = [f"({' + '.join(chained[k : k + 2])})" for k in range(0, chains, 2)]
            lines.append(f"        for (int i = 0; i < {lanes}; ++i)")
            lines.append(f"            {total}[i] = {' + '.join(pairs)};")
        if scales is not None:
            self.tables.append(table("float", f"{self.name}_scale_{tag}", scales, aligned))
            scale = f"{self.name}_scale_{tag}[{offset} + i]"
            lines.append(f"        for (int i = 0; i < {lanes}; ++i)")
            lines.append(
                f"            {total}[i] = {self.prefix}_mad({scale}, {total}[i], {start});"
            )
        return lines

    def _loop(self, vector: Loop, weights: str, total: str, lanes: int, width: int) -> list[str]:
        """The products of a vector: in each round one element for each chain."""
        source, size, runs = vector
        chains = chain_count(lanes)
        step = sum([len(run) for run in runs]) * width
        rounds, left = divmod(size, chains)
        lines = []
        if rounds:
            up = "++k" if chains == 1 else f"k += {chains}"
            lines.append(
                f"        for (int k = 0; k < {rounds * chains}; {up}, "
                f"{weights} += {chains * step}) {{"
            )
            for c in range(chains):
                at = f"{source}[k + {c}]" if c else f"{source}[k]"
                lines += self._products(at, weights, c * step, total, c * lanes, runs, width, c)
            lines.append("        }")
        if left:
            lines.append("        {")
            for c in range(left):
                at = f"{source}[{rounds * chains + c}]"
                lines += self._products(at, weights, c * step, total, c * lanes, runs, width, c)
            lines.append(f"            {weights} += {left * step};")
            lines.append("        }")
        return lines

    def _products(
        self,
        element: str,
        weights: str,
        column: int,
        total: str,
        chain: int,
        runs: Sequence[range],
        width: int,
        number: int,
    ) -> list[str]:
        """Add a column of weights times an element of the vector to the sums of a chain."""
        value = f"value_{number}"
        lines = [f"            const float {value} = {element};"]
        for run in runs:
            target = _at(total, chain + run.start * width)
            weight = _at(weights, column)
            weight = f"(float){weight}" if self.quantized else weight
            lines.append(f"            for (int i = 0; i < {len(run) * width}; ++i)")
            lines.append(
                f"                {target} = {self.prefix}_mad({weight}, {value}, {target});"
            )
            column += len(run) * width
        return lines

    def _pack(
        self, group: Group, width: int
    ) -> tuple[list[float] | list[int], list[float] | None, list[float] | None, list[Loop]]:
        """Weights, biases and scales in the order in which they are read, and the loops."""
        matrices = []  # for each loop: (k, sum, padded units)
        loops: list[Loop] = []
        for vector in group.vectors:
            runs = group.runs(vector)
            parts = []
            for position in [k for run in runs for k in run]:
                pieces = [p for p in group.sums[position].pieces if p.vector is vector]
                block = sum(
                    [self._numbers.matrix(p.matrix)[:, self.sizes.columns(p.block)] for p in pieces]
                )
                assert isinstance(block, Tensor)
                parts.append(self._pad(block.T))
            matrices.append(torch.stack(parts, 1))
            loops.append((self._vector(vector), self.sizes.width((vector.size,)), runs))
        blocks = self.padded // width
        by_block = [
            torch.cat([m[:, :, b * width : (b + 1) * width].reshape(-1) for m in matrices])
            for b in range(blocks)
        ]
        flat = torch.cat(by_block)
        scales = None
        if self.quantized:
            rows = [self._pad(self._numbers.scale(s.pieces[0].matrix)) for s in group.sums]
            scales = self._in_blocks(rows, width)
        biases = None
        if any([each.numbers for each in group.sums]):
            rows = [
                self._pad(sum([self._numbers.value(n) for n in s.numbers], torch.zeros(())))
                for s in group.sums
            ]
            biases = self._in_blocks(rows, width)
        if self.quantized:
            return flat.to(torch.int64).tolist(), biases, scales, loops
        return flat.tolist(), biases, None, loops

    def _in_blocks(self, rows: Sequence[Tensor], width: int) -> list[float]:
        stacked = torch.stack(list(rows)).reshape(len(rows), -1, width)
        return [float(v) for v in stacked.transpose(0, 1).reshape(-1)]

    def _pad(self, values: Tensor) -> Tensor:
        """Units filled up with zeros; a number alone is every unit's."""
        if values.dim() == 0:
            values = values.expand(self.sizes.hidden)
        missing = self.padded - values.shape[-1]
        return torch.nn.functional.pad(values, (0, missing))

    def _equations(
        self,
        nodes: Sequence[Node],
        where: dict[Node, str],
        stores: list[tuple[str, Node]],
        indent: str,
    ) -> list[str]:
        """The statements of a loop over ``u``."""
        plan = self.plan
        variables: dict[Node, Expression] = {}
        lines: list[str] = []
        stored = [node for _, node in stores]

        def read(node: Node) -> Expression:
            if node in variables:
                return variables[node]
            if not plan.is_computed(node):
                return self._leaf(node)
            if node in self._storage and node not in nodes:
                place = self._storage[node]
                return Expression(place if node.operation == "mean" else f"{place}[u]")
            return write(node)

        def write(node: Node) -> Expression:
            mathematics = CMathematics(self.prefix, self.helpers, exact=node in self._exact)
            if node in plan.sums:
                whole = Expression(where[node])
                for other in plan.sums[node].others:
                    whole = mathematics.add(whole, read(other))
                return whole
            rule = OPERATIONS[node.operation].evaluate
            assert rule is not None, node.operation
            found = rule(mathematics, *[read(operand) for operand in node.operands])
            assert isinstance(found, Expression)
            return found

        for node in nodes:
            label = plan.names.get(node)
            keep = label or node in plan.arrays or node in stored or plan.users(node) > 1
            if not keep:
                continue
            said = self._comment(node, label)
            if said:
                lines.append(f"{indent}/* {said} */")
            name = self._locals.take("v_", label or node.operation)
            lines.append(f"{indent}const float {name} = {write(node)};")
            variables[node] = Expression(name)
        for state, node in stores:
            label = f"{state}'"
            if node not in plan.names or plan.names[node] != label:
                lines.append(f"{indent}/* {comment(label)} = {self._written(node)} */")
            lines.append(f"{indent}{self._home(state)}[u] = {read(node)};")
        for node in nodes:
            if node in plan.arrays and node not in stored:
                lines.append(f"{indent}{self._storage[node]}[u] = {variables[node]};")
        return lines

    def _comment(self, node: Node, label: str | None) -> str:
        """The equation of a value, where it is short enough or has a name."""
        plan = self.plan
        if label is not None:
            right = expression(plan.written[node], plan.cell, top=True)
            return comment(f"{label} = {right}")
        right = expression(node, names=plan.names, top=True)
        return comment(right) if len(right) <= 90 else ""

    def _written(self, node: Node) -> str:
        names = self.plan.names
        return comment(expression(node, names=names))

    def _leaf(self, node: Node) -> Expression:
        """A value that is given to the step, or a number."""
        if node.operation == "input":
            return Expression("x[u]")
        if node.operation == "state":
            return Expression(f"state->{self.members[node.attribute]}[u]")
        value = self._numbers.value(node)
        if value.dim() == 0:
            return number(float(value))
        return Expression(f"{self._constant(node)}[u]")

    def _vector(self, node: Node) -> str:
        """The name of the whole vector."""
        if node.operation == "input":
            return "x"
        if node.operation == "state":
            return f"state->{self.members[node.attribute]}"
        return self._constant(node) if self.plan.is_number(node) else self._storage[node]

    def _constant(self, node: Node) -> str:
        """The table of a vector that follows from weights alone."""
        if node not in self._constants:
            kind = ".".join(node.attribute) if node.operation == "vector" else "number"
            name = self._tables.take(f"{self.name}_p_", kind)
            values = self._pad(self._numbers.value(node)).tolist()
            aligned = ALIGNED.format(prefix=self.prefix)
            said = comment(expression(node))
            shown = f"/* {said} */\n" if len(said) <= 90 else ""
            self.tables.append(shown + table("float", name, values, aligned))
            self._constants[node] = name
        return self._constants[node]


#: the array, its length, and the neighbouring sums that it meets
Loop = tuple[str, int, list[range]]


def _at(array: str, offset: int) -> str:
    """Element ``i`` behind an offset."""
    return f"{array}[{offset} + i]" if offset else f"{array}[i]"


def _shown(each: Sum, plan: Plan) -> str:
    parts = [".".join(p.matrix) for p in each.pieces]
    return " and ".join(dict.fromkeys(parts))


def _exact_nodes(plan: Plan) -> set[Node]:
    """The parts of logarithms and denominators: their relative errors matter."""
    nodes = [n for stage in plan.stages for n in (*stage.inputs, *stage.units)]
    found: set[Node] = set()
    for node in reversed(nodes):
        if node.operation == "log" or node in found:
            found |= set(plan.operands(node))
        elif node.operation == "divide":
            found.add(node.operands[1])
    return found
