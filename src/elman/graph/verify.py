"""The grammar of a step graph, checked after tracing, reading and each pass.

cell       next states, one for each state, of hidden size
leaf       input | state NAME | vector (FAMILY, GATE) | matrix (FAMILY, GATE)
           | constant NUMBER | adjoint NAME
product    a matrix leaf, then one operand or more
condition  greater | at_least, which only the first operand of `where` may be
otherwise  a row of the table of operations, on values
"""

from __future__ import annotations

from collections.abc import Iterable

from elman.errors import CellError
from elman.graph.cell import Cell
from elman.graph.node import OPERATIONS, Node
from elman.graph.ops import LEAVES

CONDITIONS = frozenset({"greater", "at_least"})
PRODUCTS = frozenset({"product", "block_product", "transposed_product"})


def verify(cell: Cell) -> None:
    """Raise ``CellError`` with one sentence if the cell breaks the grammar."""
    if not cell.states:
        raise CellError(f"{cell.name}: a cell needs at least one state after its input.")
    for state, node in zip(cell.states, cell.next_states, strict=True):
        if node.size != "hidden":
            raise CellError(
                f"{cell.name}: the next {state} has size {node.size}, but a state has size hidden."
            )
    known = {("matrix", p.family, p.gate) for p in cell.parameters if p.kind == "matrix"}
    known |= {("vector", p.family, p.gate) for p in cell.parameters if p.kind == "vector"}
    for node in cell.nodes:
        if node.operation == "state" and node.attribute not in cell.states:
            raise CellError(f"{cell.name}: {node.attribute} is not one of its states.")
        if (
            node.operation in {"matrix", "vector"}
            and (node.operation, *node.attribute) not in known
        ):
            raise CellError(
                f"{cell.name}: {'.'.join(node.attribute)} is not one of its parameters."
            )
    for sentence in problems(cell.nodes):
        raise CellError(f"{cell.name}: {sentence}")


def problems(nodes: Iterable[Node]) -> Iterable[str]:
    """What breaks the grammar in a graph, a sentence each."""
    for node in nodes:
        if node.operation in LEAVES and node.operands:
            yield f"the leaf {node.operation} has operands."
        if node.operation in PRODUCTS and node.operands[0].operation != "matrix":
            yield f"the {node.operation} does not begin with a matrix."
        if node.operation == "where" and node.operands[0].operation not in CONDITIONS:
            yield "the first operand of where is not a comparison; write where(a > b, ...)."
        for position, operand in enumerate(node.operands):
            if operand.operation in CONDITIONS and (node.operation, position) != ("where", 0):
                yield "a comparison can only be the first operand of where(condition, a, b)."
        if node.operation not in OPERATIONS:
            yield f"there is no operation {node.operation}."
