"""The native engine's plan for a cell as text: phases, memory, register tiles.

The page shows the decisions of ``programs.py`` and ``llvm/layout.py`` with the names of
``names.py``.  ``describe.py`` returns it for a cell and sizes; ``ELMAN_DUMP`` writes it with each
kernel.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from elman.backends.native import tuning
from elman.backends.native.hoisting import should_hoist
from elman.backends.native.llvm.layout import Layout
from elman.backends.native.llvm.outer import OuterLayout
from elman.backends.native.llvm.pointwise import stored_places
from elman.backends.native.llvm.target import WIDTH
from elman.backends.native.names import Names, names_of, outer_texts, projection_names, sum_text
from elman.backends.native.phases import Phase
from elman.backends.native.programs import Buffer, Place, Program, buffers_of
from elman.backends.native.schedule import make_schedule
from elman.graph import Cell
from elman.graph.node import Node, ancestors
from elman.graph.show import expression
from elman.graph.sizes import Sizes
from elman.passes import lower

if TYPE_CHECKING:
    from elman.backends.native.kernels import CompiledLayer

#: batches and steps for which the page shows whether products with the input are hoisted
BATCHES, STEPS = (1, 2, 4, 8, 16, 32, 64, 128, 256), 100


def explain(layer: CompiledLayer, layout: Layout, *, outer: bool = False) -> dict[str, str]:
    """The texts dumped with a kernel: ``graph``, its values, and ``plan``, the cell's page.

    ``outer`` means the kernel of the parameters' gradients; its layout is that of the adjoint step.
    """
    programs = layer.programs
    names = names_of(programs)
    if outer:
        graph = "\n".join(outer_texts(programs, names).values()) + "\n"
    else:
        is_projection = layout.program.name == programs.projection.name
        called = projection_names(programs, names) if is_projection else names
        graph = _graph(programs.cell, layout.program, called)
    return {"graph": graph, "plan": page(layer)}


def page(layer: CompiledLayer) -> str:
    """The native engine's plan for a layer, as plain text."""
    return "\n".join(_Page(layer).lines()) + "\n"


def _graph(cell: Cell, program: Program, names: Names) -> str:
    """The values of a program, one per line: number, name, and operation with operands."""
    computed = {value for phase in program.phases for value in phase.values}
    places = {**program.operands, **program.loads}
    given = {node: place for node, place in places.items() if node not in computed}
    nodes = ancestors([node for phase in program.phases for node in phase.stored], stop=given)
    number = {node: f"v{k}" for k, node in enumerate(nodes)}
    lines = []
    for node in nodes:
        name = names.get(node, "") if node.operands else expression(node, cell, names=names)
        made = f"from `{given[node].buffer.title}`" if node in given else node.operation
        if node.operands and node not in given:
            made += f"({', '.join([number[operand] for operand in node.operands])})"
        lines.append(f"{number[node]:6}{name:12}{made}")
    return "\n".join(lines) + "\n"


def _numbers(sizes: Sizes) -> list[str]:
    """The sizes by name."""
    named = {"input": sizes.input, "hidden": sizes.hidden, **dict(sizes.own)}
    return [f"{name} {number}" for name, number in named.items()]


def _total(row_bytes: Callable[[Buffer], int], places: Mapping[Node, Place]) -> int:
    """The bytes of a row of all these buffers."""
    return sum(map(row_bytes, buffers_of(places)))


class _Page:
    """The lines of ``describe``."""

    def __init__(self, layer: CompiledLayer) -> None:
        self.layer, self.programs, self.cell = layer, layer.programs, layer.programs.cell
        self.lanes = layer.target.lanes(layer.scalar)
        self.names = names_of(self.programs)

    def lines(self) -> Iterator[str]:
        target, sizes, cell = self.layer.target, self.layer.sizes, self.cell
        yield (
            f"{cell.name}, {', '.join(_numbers(sizes))}, "
            f"{str(self.layer.external_dtype).removeprefix('torch.')}: "
            "the plan of the native engine"
        )
        yield (
            f"for {target.cpu}: {target.registers} vector registers of {self.lanes} values; "
            f"{self.lanes} units are a block"
        )
        yield from _head("EQUATIONS")
        yield from [f"  {line}" for line in str(cell).splitlines()]
        gates = [p.gate for p in cell.parameters if p.kind == "matrix"] or ["f"]
        gate, state = gates[0], cell.states[0]
        yield from _paragraph(
            f"Σ{gate} is the sum of products with W.{gate}; ∂{state}' is dL/d{state}' for the "
            f"loss L; later.{state} and output.{state} are the contributions to ∂{state}' of later "
            "steps and of this step's output."
        )
        yield from self._forward()
        yield from self._before_loop()
        yield from self._backward()
        yield from self._parameters()
        yield from self._memory()

    # the sections

    def _forward(self) -> Iterator[str]:
        inference = self.programs.forward(save=False, hoisted=False)
        training = self.programs.forward(save=True, hoisted=False)
        yield from _head("FORWARD: a step, run from the first to the last")
        yield from _paragraph(
            "A phase computes sums of products in registers, then the equations that use them, one "
            "vector of units at a time; a new phase starts when a product needs all units of a "
            "value just computed.  `y` and `history` hold every step, `pair` only this and the "
            "previous step; `saved` is for backward, `spilled` for a later phase."
        )
        yield from self._phases(inference, self.names)
        if [_work(phase) for phase in inference.phases] == [_work(p) for p in training.phases]:
            for k, phase in enumerate(training.phases, 1):
                which = f" in phase {k}" if len(training.phases) > 1 else ""
                yield from _hanging(
                    f"  training writes{which}: ", self._written(training, phase, self.names)
                )
        else:
            yield "  in training, with the values that backward needs:"
            yield from self._phases(training, self.names)

    def _before_loop(self) -> Iterator[str]:
        programs = self.programs
        if programs.precompute is not None:
            yield from _head("OPERANDS that depend only on the input, for all steps at once")
            yield from self._phases(programs.precompute, self.names, titled=False)
        if not programs.hoisted:
            return
        yield from _head("BEFORE THE LOOP: products that need only the input")
        yield from _paragraph(
            "They can be computed for all steps at once, which reads the weights once for many "
            "rows; the step's sums then start from them."
        )
        yield from self._phases(
            programs.projection, projection_names(programs, self.names), titled=False
        )
        pays = [
            batch
            for batch in BATCHES
            if should_hoist(self.layer, make_schedule(STEPS, batch, None, False))
        ]
        rest = [batch for batch in BATCHES if batch not in pays]
        yield (
            f"  with {STEPS} steps, the engine does so for a batch of {_listed(pays)}, but not "
            f"{_listed(rest)}"
        )

    def _backward(self) -> Iterator[str]:
        yield from _head("BACKWARD: the adjoint step, run from the last to the first")
        yield from _paragraph(
            "It computes the gradients of the states from those of the output and the next states, "
            "and writes the gradients that parameters and input need to `gradients`."
        )
        yield from self._phases(self.programs.backward, self.names)
        if self.programs.into_input is not None:
            yield "  the input's gradient, for all rows of a chunk of steps at once"
            yield from self._phases(self.programs.into_input, self.names, titled=False)

    def _parameters(self) -> Iterator[str]:
        programs = self.programs
        outer = OuterLayout(programs, self._layout(programs.backward))
        yield from _head("PARAMETERS: their gradients, for all rows of a chunk of steps at once")
        yield from _paragraph(
            "The gradient of a matrix is a sum of outer products (⊗) of a gradient with the "
            "matrix's operand; the gradient of a vector is a sum of gradients."
        )
        yield from _wrapped([*outer_texts(programs, self.names).values()])
        widest = max([w for o in outer.operands for w in outer.panel_widths(o)], default=0)
        yield (
            f"  tile: {outer.rows} units of the gradient × {widest * self.lanes} values of the "
            "operand in registers"
        )

    def _memory(self) -> Iterator[str]:
        programs, width = self.programs, WIDTH[self.layer.scalar]
        row_bytes = self._layout(programs.backward).row_bytes
        yield from _head("MEMORY: bytes per row of the batch and step")
        saved = _total(row_bytes, programs.saved_places)
        units = [self.layer.sizes.width((programs.states[k].size,)) for k in programs.histories]
        histories = width * sum(units)
        yield _amount("saved for backward", saved + histories, "besides x and y")
        if saved:
            shown = [self._show(node) for node in lower(programs.saved)]
            yield from _hanging(_amount("  `saved`", saved) + "  ", ", ".join(shown))
        if histories:
            states = [f"{programs.cell.states[k]}'" for k in programs.histories]
            yield _amount("  histories", histories, ", ".join(states))
        yield _amount(
            "temporary `gradients`",
            _total(row_bytes, programs.gradient_places),
            f"about {tuning.CHUNK_BYTES >> 20} MB at a time, then overwritten",
        )
        if programs.hoisted:
            ahead = _total(row_bytes, programs.projected_places)
            yield _amount("temporary `projected`", ahead, "if computed before the loop")
        each = {
            "inference": programs.forward(save=False, hoisted=False),
            "training": programs.forward(save=True, hoisted=False),
            "backward": programs.backward,
        }
        found = []
        for title, program in each.items():
            row = [
                row_bytes(buffer) * (2 if buffer.rows == "pair" else 1)
                for buffer in program.buffers
                if buffer.rows == "pair" or buffer.is_scratch
            ]
            found.append(f"{title} {sum(row):,}")
        yield f"  and per row, for any number of steps: {', '.join(found)}"

    # parts

    def _layout(self, program: Program) -> Layout:
        return Layout(program, self.layer.sizes, self.layer.scalar, self.layer.target)

    def _phases(self, program: Program, names: Names, *, titled: bool = True) -> Iterator[str]:
        layout = self._layout(program)
        for k, phase in enumerate(program.phases, 1):
            if titled:
                yield f"  phase {k} of {len(program.phases)}"
            sums = {total.value: sum_text(total, names) for total in phase.accumulators}
            yield from _column("sums", [_equation(v, text, names) for v, text in sums.items()])
            if sums:
                tiling = layout.tiling(phase)
                tile = [f"{tiling.rows} rows", _count(tiling.columns_of_many, "block")]
                tile.append(_count(tiling.accumulators, "sum"))
                yield (
                    f"    tile     {' × '.join(tile)} in registers; for 1 row "
                    f"{_count(tiling.columns(1), 'block')}"
                )
            values = [v for v in phase.values if v in names and v not in sums]
            texts = [expression(v, self.cell, names=names, top=True) for v in values]
            yield from _column(
                "then", [_equation(v, text, names) for v, text in zip(values, texts, strict=True)]
            )
            yield from _hanging("    written  ", self._written(program, phase, names))

    def _written(self, program: Program, phase: Phase, names: Names) -> str:
        found: dict[Buffer, list[str]] = {}
        for node in phase.stored:
            for place in stored_places(self._layout(program), phase, node):
                text = expression(node, self.cell, names=names)
                found.setdefault(place.buffer, []).append(text)
        return "; ".join([f"{', '.join(v)} to `{buffer.title}`" for buffer, v in found.items()])

    def _show(self, node: Node) -> str:
        return expression(node, self.cell, names=self.names)


def _work(phase: Phase) -> tuple[frozenset[Node], frozenset[Node]]:
    """What a phase computes, in any order."""
    return frozenset([total.value for total in phase.accumulators]), frozenset(phase.values)


def _equation(value: Node, right: str, names: Names) -> str:
    return f"{names[value]} = {right}" if value in names else right


def _head(title: str) -> Sequence[str]:
    return ["", title]


def _paragraph(text: str) -> Sequence[str]:
    return textwrap.wrap(text, 98, initial_indent="  ", subsequent_indent="  ")


def _column(title: str, lines: Sequence[str]) -> Sequence[str]:
    head = " " * 13
    indent = " " * 4
    wide = [
        textwrap.wrap(line, 87, subsequent_indent=indent, break_on_hyphens=False) or [line]
        for line in lines
    ]
    broken = [f"{head}{part}" for each in wide for part in each]
    return [f"    {title:9}{broken[0].lstrip()}", *broken[1:]] if broken else []


def _hanging(head: str, text: str) -> Sequence[str]:
    """A list after its head, with line breaks between items, and within those that need several."""
    room = 100 - len(head)
    items = text.replace(", ", ",\n").split("\n")
    lines = [items[0]]
    for item in items[1:]:
        if len(lines[-1]) + 1 + len(item) <= room:
            lines[-1] += f" {item}"
        else:
            lines += textwrap.wrap(item, room, subsequent_indent="  ", break_on_hyphens=False)
    return [head + lines[0], *[" " * len(head) + line for line in lines[1:]]]


def _wrapped(items: Sequence[str]) -> Sequence[str]:
    """Items on shared lines, with line breaks between items, and within those that need several."""
    lines: list[str] = []
    for item in items:
        if lines and len(lines[-1]) + len(item) < 96:
            lines[-1] += f", {item}"
        else:
            lines += textwrap.wrap(
                item, 98, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False
            )
    return lines


def _amount(title: str, number: int, remark: str = "") -> str:
    return f"  {title:24}{number:10,}  {remark}".rstrip()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join([str(number) for number in numbers]) or "none"
