"""One recurrent layer in C: its weights as tables, its stages as loops.

Units are computed in blocks (``sums.py``).  With a matrix state, sums are computed into arrays
first, and loops over heads, units and keys do the rest (``heads.py``).  ``plan.py`` says what is
computed when.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from elman.export.c_source.heads import nest_of
from elman.export.c_source.numbers import Numbers
from elman.export.c_source.plan import GIVEN, Loop, Plan
from elman.export.c_source.sums import SumsInC, block_width, padded, padded_width
from elman.export.c_source.text import (
    LIMIT,
    CMathematics,
    Expression,
    Names,
    comment,
    number,
    table,
)
from elman.graph.node import OPERATIONS, Node, Size, name_of
from elman.graph.show import expression
from elman.graph.sizes import Sizes

LIMIT_ARGUMENT = f", {LIMIT})"

#: the name and the size of a state, and the value that is stored in it
Store = tuple[str, Size, Node]


class LayerInC:
    """The tables and the function of one layer.

    ``parameters`` are the layer's tensors in the cell's order.  ``quantized`` stores matrices as
    int8 with a scale for each row.  ``sides`` are the names that the inputs beside x have in C.
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
        sides: Mapping[str, str],
    ) -> None:
        self.prefix, self.index, self.plan, self.sizes = prefix, index, plan, sizes
        self.name = f"{prefix}_layer_{index}"
        self.helpers = helpers
        self._sides = sides
        self._numbers = Numbers(plan.cell, parameters, sizes, quantized=quantized)
        self.tables: list[str] = []
        names = Names()
        #: the member of the state's struct that holds each of the cell's states
        self.members = {state: names.take("s_", state) for state in plan.cell.states}
        names = Names(f"{prefix}_")
        self._next = {s: names.take("next_", s) for s in plan.cell.states}
        self._locals = names
        self._sums = SumsInC(
            prefix, self.name, self._numbers, sizes, self.tables, names, helpers, self._vector
        )
        self._tables, self._constants = Names(), dict[Node, str]()
        self._storage: dict[Node, str] = {}
        self._exact = _exact_nodes(plan)
        loops = [loop for stage in plan.stages for loop in stage.loops if loop.groups]
        one_block = all([self._width(loop) == self.room(loop.size) for loop in loops])
        self._in_place = plan.in_place(one_block=one_block)
        self.function = self._write()

    @property
    def struct(self) -> str:
        """The definition of the layer's state."""
        shown = [
            f"    float {member}[{self.room_of(state)}]; "
            f"/* {comment(state)}: {self._shape(state)} */"
            for state, member in self.members.items()
        ]
        return "\n".join([f"typedef struct {self.name} {{", *shown, f"}} {self.name};"])

    def _shape(self, state: str) -> str:
        """What a state's array holds, in words."""
        size = self.plan.cell.state_size(state)
        axes = {"memory": ("head", "key", "unit"), "key": ("head", "key"), "head": ("head",)}
        if size not in axes:
            return f"the first {self.sizes.width((size,))} of them"
        count = {"head": self.sizes.heads, "key": self.sizes.keys}
        count["unit"] = self.sizes.hidden // self.sizes.heads
        order = "".join([f"[{axis}]" for axis in axes[size]])
        return f"{order}, {' x '.join([str(count[axis]) for axis in axes[size]])}"

    def room(self, size: Size) -> int:
        """The length of an array with values of a size: loops over units go a little further."""
        width = self.sizes.width((size,))
        return width if size in ("one", "input", "memory") else padded_width(width)

    def room_of(self, state: str) -> int:
        """The length of the array that holds a state."""
        size = self.plan.cell.state_size(state)
        exact = self.plan.cell.has_memory
        return self.sizes.width((size,)) if exact else self.room(size)

    def width_of(self, state: str) -> int:
        """How many numbers a state is."""
        return self.sizes.width((self.plan.cell.state_size(state),))

    def over_states(self, length: Callable[[str], int], value: Callable[[str], str]) -> list[str]:
        """Loops that give each state a value, up to a length that depends on the state."""
        by_length: dict[int, list[str]] = {}
        for state in self.members:
            by_length.setdefault(length(state), []).append(state)
        lines = []
        for count, states in by_length.items():
            lines.append(f"    for (int u = 0; u < {count}; ++u) {{")
            for state in states:
                place = f"state->layer_{self.index}.{self.members[state]}[u]"
                lines.append(f"        {place} = {value(state)};")
            lines.append("    }")
        return lines

    def _write(self) -> str:
        cell, plan = self.plan.cell, self.plan
        temporary = [s for s in cell.states if s not in self._in_place]
        for state, node in zip(cell.states, plan.next_states, strict=True):
            stored = plan.is_computed(node) and node.operation not in ("read", "head_sum")
            if stored and node not in self._storage:
                self._storage[node] = self._home(state)
        own = []
        for node in plan.arrays:
            if node not in self._storage:
                label = plan.names.get(node, node.operation)
                self._storage[node] = self._locals.take("a_", label)
                own.append(node)
        given = self._given()
        stages = [line for k in range(len(plan.stages)) for line in self._stage(k)]
        uses_limit = any([LIMIT_ARGUMENT in line for line in stages])
        arguments = ["const float *x", *[f"const float *{name}" for name in self._sides.values()]]
        lines = [
            f"/* Layer {self.index}: {comment(cell.name)}, {self.sizes.input} inputs, "
            f"{self.sizes.hidden} units. */",
            f"static void {self.name}_step({self.name} *state, {', '.join(arguments)})",
            "{",
            *[f"    float {self._next[s]}[{self.room_of(s)}];" for s in temporary],
            *[f"    float {self._storage[node]}[{self.room(node.size)}];" for node in own],
            *([f"    const float {LIMIT} = {self.prefix}_limit;"] if uses_limit else []),
            *given,
            *stages,
        ]
        code = re.sub(r"/\*.*?\*/", "", "\n".join([*given, *stages]))
        for name in ("x", *self._sides.values()):
            if not re.search(rf"\b{name}\b", code):
                lines.append(f"    (void){name};")
        by_length: dict[int, list[str]] = {}
        for state in temporary:
            by_length.setdefault(self.room_of(state), []).append(state)
        for length, states in by_length.items():
            lines.append(f"    for (int u = 0; u < {length}; ++u) {{")
            lines += [f"        state->{self.members[s]}[u] = {self._next[s]}[u];" for s in states]
            lines.append("    }")
        return "\n".join([*lines, "}"])

    def _given(self) -> list[str]:
        """Side inputs as equations read them: a number, or an array as long as loops go."""
        lines = []
        values = [n for stage in self.plan.stages for loop in stage.loops for n in loop.values]
        values += [node for stage in self.plan.stages for node in stage.reductions]
        read = {operand for node in values for operand in self.plan.operands(node)}
        for leaf in self.plan.cell.side_leaves:
            name, size = leaf.attribute
            given, width = self._sides[name], self.sizes.width((size,))
            self._storage[leaf] = given
            if leaf not in read:
                continue
            if size == "one":
                self._storage[leaf] = own = self._locals.take("g_", name)
                lines.append(f"    const float {own} = {given}[0];")
            elif self.room(size) > width and not self.plan.cell.has_memory:
                self._storage[leaf] = own = self._locals.take("g_", name)
                lines += [
                    f"    float {own}[{self.room(size)}];",
                    f"    for (int u = 0; u < {self.room(size)}; ++u)",
                    f"        {own}[u] = u < {width} ? {given}[u] : 0.0f;",
                ]
        return lines

    def _home(self, state: str) -> str:
        """Where the next value of a state is stored first."""
        if state in self._in_place:
            return f"state->{self.members[state]}"
        return self._next[state]

    def _stage(self, index: int) -> list[str]:
        stage, lines = self.plan.stages[index], list[str]()
        for node in stage.reductions:
            lines += self._reduction(node)
        for loop in stage.loops:
            stores = self._stores(index, loop.size)
            if loop.size == "one":
                lines += self._ones(loop)
            elif loop.values or stores:
                lines += self._loop(loop, stores)
        return lines

    def _reduction(self, node: Node) -> list[str]:
        """The mean of a vector, or the sums of its heads."""
        (vector,) = node.operands
        label = self.plan.names.get(node, node.operation)
        if node.operation == "head_sum":
            self._storage[node] = name = self._locals.take("a_", label)
            count = self.sizes.width((vector.size,)) // self.sizes.heads
            return [
                f"    float {name}[{self.sizes.heads}];",
                f"    for (int n = 0; n < {self.sizes.heads}; ++n) {{",
                f"        {name}[n] = 0.0f;",
                f"        for (int u = 0; u < {count}; ++u)",
                f"            {name}[n] += {self._vector(vector)}[n * {count} + u];",
                "    }",
            ]
        self._storage[node] = name = self._locals.take("m_", "mean")
        if vector.size == "one":
            return [f"    const float {name} = {self._vector(vector)};"]
        self.helpers.add("mean")
        width = self.sizes.width((vector.size,))
        mean = f"{self.prefix}_mean({self._vector(vector)}, {width})"
        return [f"    const float {name} = {mean};"]

    def _stores(self, stage: int, size: Size) -> list[Store]:
        """The states whose next values are to be stored in this loop, those of leaves first."""
        pairs = zip(self.plan.cell.state_leaves, self.plan.next_states, strict=True)
        found = [
            (name_of(leaf), leaf.size, node)
            for leaf, node in pairs
            if self.plan.stage_of_next(node) == stage and leaf.size == size
        ]
        return sorted(found, key=lambda store: self.plan.is_computed(store[2]))

    def _ones(self, loop: Loop) -> list[str]:
        """Values of size one: numbers that all later loops read."""
        lines, where = [], dict[Node, str]()
        for group in loop.groups:
            for each in group.sums:
                own, where[each.root] = self._sums.single(each)
                lines += own
        return lines + self._equations(loop, where, [], "    ", lambda size: "")

    def _loop(self, loop: Loop, stores: list[Store]) -> list[str]:
        if self.plan.cell.has_memory:
            return self._nested(loop, stores)
        if loop.groups:
            return self._blocks(loop, stores)
        return [
            f"    for (int u = 0; u < {self.room(loop.size)}; ++u) {{",
            *self._equations(loop, {}, stores, "        ", lambda size: "u"),
            "    }",
        ]

    def _width(self, loop: Loop) -> int:
        """The units of a block of a loop with sums."""
        if loop.size == "one":
            return 1
        most = max([len(group.sums) for group in loop.groups])
        return block_width(self.sizes.width((loop.size,)), most)

    def _blocks(self, loop: Loop, stores: list[Store]) -> list[str]:
        """Blocks of sums, and what follows from them."""
        width = self._width(loop)
        lines = [f"    for (int first = 0; first < {self.room(loop.size)}; first += {width}) {{"]
        where: dict[Node, str] = {}
        for group in loop.groups:
            lines += self._sums.block(group, loop.size, width, where)
        lines.append(f"        for (int j = 0; j < {width}; ++j) {{")
        lines.append("            const int u = first + j;")
        lines += self._equations(loop, where, stores, "            ", lambda size: "u")
        return [*lines, "        }", "    }"]

    def _nested(self, loop: Loop, stores: list[Store]) -> list[str]:
        """Blocks of sums into arrays, and loops over heads, units and keys."""
        lines, where = [], dict[Node, str]()
        for group in loop.groups:
            width = block_width(self.sizes.width((loop.size,)), len(group.sums))
            room, found = self.room(loop.size), dict[Node, str]()
            arrays = dict[Node, str]()
            for each in group.sums:
                root, plan = each.root, self.plan
                if root in plan.arrays and root not in plan.next_states and not each.others:
                    arrays[root] = self._storage[root]
                    lines += self._said(root, "    ")
                else:
                    arrays[root] = name = self._locals.take("b_", "sum")
                    lines.append(f"    float {name}[{room}];")
            lines.append(f"    for (int first = 0; first < {room}; first += {width}) {{")
            lines += self._sums.block(group, loop.size, width, found)
            lines.append(f"        for (int j = 0; j < {width}; ++j) {{")
            lines += [f"            {arrays[n]}[first + j] = {found[n]};" for n in arrays]
            lines += ["        }", "    }"]
            where |= arrays
        reads = [node for node in loop.values if node.operation == "read"]
        for node in reads:
            lines.append(f"    for (int u = 0; u < {self.sizes.hidden}; ++u)")
            lines.append(f"        {self._storage[node]}[u] = 0.0f;")
        sizes = [node.size for value in loop.values for node in self.plan.operands(value)]
        sizes += [node.size for _, _, node in stores]
        nest = nest_of(loop.size, self.sizes, by_head="head" in sizes)
        own = {node: f"{name}[{nest.index(loop.size)}]" for node, name in where.items()}
        inside = self._equations(loop, own, stores, nest.indent, nest.index)
        return [*lines, *nest.opening, *inside, *nest.closing] if inside else lines

    def _equations(
        self,
        loop: Loop,
        where: Mapping[Node, str],
        stores: list[Store],
        indent: str,
        at: Callable[[Size], str],
    ) -> list[str]:
        """The statements of a loop; ``at`` says where an array has the element of a value."""
        plan = self.plan
        variables: dict[Node, Expression] = {}
        lines: list[str] = []
        stored = [node for _, _, node in stores]

        def read(node: Node) -> Expression:
            if node in variables:
                return variables[node]
            if not plan.is_computed(node):
                return self._leaf(node, at)
            if node in self._storage and (node not in loop.values or node.operation == "read"):
                place = self._storage[node]
                if node.operation == "mean" or node.size == "one":
                    return Expression(place)
                return Expression(f"{place}[{at(node.size)}]")
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

        kept = {node for node in where if where[node] == self._element(node, at)}
        variables |= {node: Expression(where[node]) for node in kept}
        for node in loop.values:
            label = plan.names.get(node)
            if node.operation == "read" or node in kept:
                continue
            keep = label or node in plan.arrays or node in stored or plan.users(node) > 1
            if not keep and loop.size != "one":
                continue
            lines += self._said(node, indent)
            name = self._locals.take("v_", label or node.operation)
            lines.append(f"{indent}const float {name} = {write(node)};")
            variables[node] = Expression(name)
            if loop.size == "one":
                self._storage[node] = name
        mathematics = CMathematics(self.prefix, self.helpers)
        for node in [node for node in loop.values if node.operation == "read"]:
            lines += self._said(node, indent)
            total = Expression(self._element(node, at))
            product = mathematics.multiply(*[read(operand) for operand in node.operands])
            lines.append(f"{indent}{total} = {mathematics.add(product, total)};")
        for state, size, node in stores:
            label = f"{state}'"
            if node not in plan.names or plan.names[node] != label:
                lines.append(f"{indent}/* {comment(label)} = {self._written(node)} */")
            lines.append(f"{indent}{self._home(state)}[{at(size)}] = {read(node)};")
        for node in loop.values:
            elsewhere = node in stored or node in kept or node.operation == "read"
            if node in plan.arrays and not elsewhere:
                lines.append(f"{indent}{self._element(node, at)} = {variables[node]};")
        return lines

    def _element(self, node: Node, at: Callable[[Size], str]) -> str:
        """The element of the array that holds a value, if there is one."""
        return f"{self._storage[node]}[{at(node.size)}]" if node in self._storage else ""

    def _said(self, node: Node, indent: str) -> list[str]:
        """The equation of a value as a comment, where it is short enough or has a name."""
        label = self.plan.names.get(node)
        if label is not None:
            right = expression(self.plan.written[node], self.plan.cell, top=True)
            return [f"{indent}/* {comment(f'{label} = {right}')} */"]
        right = expression(node, names=self.plan.names, top=True)
        return [f"{indent}/* {comment(right)} */"] if len(right) <= 90 else []

    def _written(self, node: Node) -> str:
        names = self.plan.names
        return comment(expression(node, names=names))

    def _leaf(self, node: Node, at: Callable[[Size], str]) -> Expression:
        """A value that is given to the step, or a number."""
        if node.operation == "side" and node.size == "one":
            return Expression(self._storage[node])
        if node.operation not in GIVEN and node.size == "one":
            return number(float(self._numbers.flat(node, "one")))
        return Expression(f"{self._vector(node)}[{at(node.size)}]")

    def _vector(self, node: Node) -> str:
        """The name of the whole vector."""
        if node.operation == "input":
            return "x"
        if node.operation == "state":
            return f"state->{self.members[name_of(node)]}"
        return self._constant(node) if self.plan.is_number(node) else self._storage[node]

    def _constant(self, node: Node) -> str:
        """The table of a vector that follows from weights alone."""
        if node not in self._constants:
            kind = ".".join(node.attribute[:2]) if node.operation == "vector" else "number"
            name = self._tables.take(f"{self.name}_p_", kind)
            values = self._numbers.flat(node, node.size)
            if self.room(node.size) > len(values):
                values = padded(values)
            aligned = f" {self.prefix}_ALIGNED"
            said = comment(expression(node))
            shown = f"/* {said} */\n" if len(said) <= 90 else ""
            self.tables.append(shown + table("float", name, values.tolist(), aligned))
            self._constants[node] = name
        return self._constants[node]


def _exact_nodes(plan: Plan) -> set[Node]:
    """The parts of logarithms and denominators: their relative errors matter."""
    nodes: list[Node] = []
    for stage in plan.stages:
        nodes += [*stage.reductions, *[node for loop in stage.loops for node in loop.values]]
    found: set[Node] = set()
    for node in reversed(nodes):
        if node.operation == "log" or node in found:
            found |= set(plan.operands(node))
        elif node.operation == "divide":
            found.add(node.operands[1])
    return found
