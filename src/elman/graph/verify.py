"""The grammar of a step graph, checked after tracing, reading and each pass.

cell       next states, one for each state, of hidden size
leaf       input | side (NAME, SIZE) | state NAME | vector (FAMILY, GATE) | matrix (FAMILY, GATE)
           | vector (FAMILY, GATE, input) | constant NUMBER | adjoint NAME
           | mask (ROLE, OF, step | sequence)
matrix     a matrix leaf | a function of matrices | arithmetic of matrices and constants
product    a matrix, then one or more operands
condition  greater | at_least; allowed only as the first operand of `where`
otherwise  a row of the table of operations, on values

Only graphs that passes make contain operations that are `internal` in the table.  Names are Python
identifiers, so they contain no line breaks, dots or blanks; the name of a gate does not begin with
"_".
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from math import isfinite

from elman.errors import CellError
from elman.graph.cell import Cell
from elman.graph.node import OPERATIONS, Node, ancestors
from elman.graph.ops import CONDITIONS, INTERNAL, LEAVES, MEMORY, PARAMETERS, PRODUCTS
from elman.graph.sizes import MAX_NAME, MEMORY_SIZES, is_own_size

#: maximum number of values of a cell, and maximum depth of its graph: published cells have some
#: dozens of values, and each takes a few hundredths of a second to compile
MAX_VALUES, MAX_DEPTH = 500, 250
#: maximum number of heads
MAX_HEADS = 1024
#: the sizes that an input beside x can have, and those of a vector besides hidden
SIDE_SIZES = ("one", "hidden", "input")
SIZES = ("hidden", "input", "one", *MEMORY_SIZES)
#: the sizes of products of matrices
PRODUCT_SIZES = ("hidden", "one", "key", "head")


def verify(cell: Cell) -> None:
    """Raise ``CellError`` if the cell violates the grammar."""
    parts = (_problems_of_size(cell), problems(cell.nodes), _problems_of_the_whole(cell))
    for sentence in itertools.chain(*parts):
        raise CellError(f"{_title(cell.name)}: {sentence}")


def problems(nodes: Iterable[Node]) -> Iterable[str]:
    """Violations of the grammar in a graph, one sentence each."""
    for node in nodes:
        if node.operation not in OPERATIONS:
            yield f"there is no operation {node.operation}."
            continue
        arity = 0 if node.operation in LEAVES else OPERATIONS[node.operation].arity
        if arity is not None and len(node.operands) != arity:
            yield f"{node.operation} takes {arity} operands but has {len(node.operands)}."
            continue
        if not _has_its_attribute(node):
            yield f"{node.operation} cannot have the attribute {node.attribute!r}."
        if node.operation in PRODUCTS and (
            len(node.operands) < 2 or node.operands[0].size != "matrix"
        ):
            yield f"the {node.operation} does not multiply a matrix with a value."
        elif node.operation == "product":
            yield from _problems_of_product(node)
        elif node.size == "matrix":
            yield from _problems_of_matrix(node)
        if node.operation == "where" and node.operands[0].operation not in CONDITIONS:
            yield "the first operand of where is not a comparison; write where(a > b, ...)."
        for position, operand in enumerate(node.operands):
            if operand.operation in CONDITIONS and (node.operation, position) != ("where", 0):
                yield "a comparison can only be the first operand of where(condition, a, b)."


#: functions of square matrices, and of the matrix of one operand
_SQUARE = frozenset({"transpose", "skew", "orthogonal", "householder"})
_OF_ONE = frozenset({"heads", "lower_triangle"})


def _problems_of_product(product: Node) -> Iterable[str]:
    """Operands that do not fit the functions of their matrix."""
    sizes = [operand.size for operand in product.operands[1:]]
    rows = product.attribute or "hidden"
    for node in ancestors(product.operands[:1]):
        if node.operation == "matrix" and (*node.attribute, "hidden")[2] != rows:
            yield (
                f"the products of {'.'.join(node.attribute[:2])} and of another matrix beside it "
                "have two sizes."
            )
        if node.operation in _SQUARE and sizes != [rows]:
            yield (
                f"{node.operation} takes a square matrix, which multiplies one operand of size "
                f"{rows}, not [{', '.join(sizes)}]."
            )
        elif node.operation in _OF_ONE and len(sizes) > 1:
            yield (
                f"{node.operation} takes a matrix that multiplies one operand, not "
                f"[{', '.join(sizes)}]; write a product for each operand, with a matrix of its "
                "own, and add them."
            )


def _problems_of_matrix(node: Node) -> Iterable[str]:
    """A computed matrix that depends on anything but parameters and numbers."""
    for operand in node.operands:
        if operand.size != "matrix" and operand.operation != "constant":
            yield (
                "a matrix can be computed from matrices of learned parameters and numbers, not "
                f"from {operand.operation} values."
            )
    if node.operation == "heads":
        matrix, count = node.operands
        if matrix.operation != "matrix":
            yield "heads takes a matrix of learned parameters itself, as in heads(W.f, 4)."
        if count.operation != "constant" or count.attribute not in range(1, MAX_HEADS + 1):
            yield f"the number of heads must be an integer from 1 to {MAX_HEADS:,}."


def _problems_of_size(cell: Cell) -> Iterable[str]:
    """Why a cell is too large to compile."""
    advice = "write a smaller step, or stack layers"
    if len(cell.nodes) > MAX_VALUES:
        yield (
            f"a step has {len(cell.nodes):,} values; at most {MAX_VALUES} can be compiled; "
            f"{advice}."
        )
    depth: dict[Node, int] = {}
    for node in cell.nodes:
        depth[node] = 1 + max([depth[operand] for operand in node.operands], default=0)
    deepest = max(depth.values(), default=0)
    if deepest > MAX_DEPTH:
        yield (
            f"{deepest:,} operations of a step depend on one another in a chain; at most "
            f"{MAX_DEPTH} can be compiled; {advice}."
        )


def _problems_of_the_whole(cell: Cell) -> Iterable[str]:
    """Mismatches between a cell's graph, its states and its parameters."""
    yield from _problems_of_names(cell)
    yield from _problems_of_memory(cell)
    if not cell.states:
        yield "a cell needs at least one state after its input."
    if len(cell.states) != len(cell.next_states):
        yield f"it has {len(cell.states)} states and {len(cell.next_states)} next states."
    for state, node in zip(cell.states, cell.next_states, strict=False):
        size = cell.state_size(state)
        if node.size != size:
            whose = "a state" if size == "hidden" else state
            yield f"the next {state} has size {node.size}, but {whose} has size {size}."
        if node.operation in CONDITIONS:
            yield f"the next {state} is a comparison."
    known = {(p.kind, p.family, p.gate): p for p in cell.parameters}
    if len(known) < len(cell.parameters):
        yield "two of its parameters have the same name."
    for node in cell.nodes:
        if node.operation in INTERNAL:
            yield f"a cell cannot contain {node.operation}."
        elif node.operation == "state" and node not in cell.state_leaves:
            yield f"{node.attribute} is not one of its states."
        elif node.operation == "side" and node.attribute not in cell.inputs:
            yield f"{node.attribute[0]} is not one of its inputs."
        elif node.operation in PARAMETERS:
            parameter = known.get((node.operation, *node.attribute[:2]))
            if parameter is None:
                yield f"{'.'.join(node.attribute[:2])} is not one of its parameters."
                continue
            size = node.size if parameter.kind == "vector" else (*node.attribute, "hidden")[2]
            if size != parameter.size:
                yield f"{parameter.key} has two sizes."
        elif node.operation == "product":
            sizes = tuple([operand.size for operand in node.operands[1:]])
            for leaf in ancestors(node.operands[:1]):
                is_leaf = leaf.operation == "matrix"
                matrix = known.get(("matrix", *leaf.attribute[:2])) if is_leaf else None
                if matrix is not None and matrix.columns != sizes:
                    yield (
                        f"{matrix.key} has columns for [{', '.join(matrix.columns)}] but "
                        f"multiplies [{', '.join(sizes)}]."
                    )
    for node in cell.nodes:
        for operand in node.operands:
            heads = int(node.operands[1].attribute) if node.operation == "heads" else 1
            if operand.operation == "matrix":
                matrix = known.get(("matrix", *operand.attribute[:2]))
                if matrix is not None and matrix.heads != heads:
                    yield (
                        f"{matrix.key} has {matrix.heads} heads in one place and {heads} in "
                        "another; give them two names."
                    )
    keys = [parameter.key for parameter in cell.parameters]
    for key, value in cell.init.items():
        if key not in keys:
            yield f"it has an initial value for {_shortened(key)}, which is not a parameter."
        elif not isfinite(value):
            yield f"the initial value of {key} is {value}, which is not finite."


def _problems_of_memory(cell: Cell) -> Iterable[str]:
    """What needs a matrix state, and what a cell with one cannot have."""
    if not cell.has_memory:
        sized = [name for name, size in cell.inputs if size in MEMORY_SIZES]
        sized += [p.key for p in cell.parameters if {*p.columns, p.rows} & {*MEMORY_SIZES}]
        if sized:
            yield f'the size of {sized[0]} needs a matrix state, as in sizes={{"S": "memory"}}.'
        for operation in {node.operation: None for node in cell.nodes if node.operation in MEMORY}:
            yield f'{operation} needs a matrix state, as in sizes={{"S": "memory"}}.'
        return
    if cell.own_sizes or any(
        [s.isdecimal() for p in cell.parameters for s in (*p.columns, p.rows)]
    ):
        yield "a cell with a matrix state has no sizes of its own besides key and head."
        return
    if cell.state_size(cell.states[0]) != "hidden":
        yield f"the first state, {cell.states[0]}, is the output, and must have size hidden."
    for name, size in cell.sizes.items():
        if name not in cell.states or size not in MEMORY_SIZES:
            yield f"it has a size for {_shortened(name)}, which is not such a state."
    needy: set[Node] = set()
    for node in cell.nodes:
        if node.operation == "state" or not needy.isdisjoint(node.operands):
            needy.add(node)
            if node.operation == "product":
                family, gate = next(
                    leaf.attribute[:2]
                    for leaf in ancestors(node.operands[:1])
                    if leaf.operation == "matrix"
                )
                yield (
                    f"{family}.{gate} multiplies a value that depends on a state; in a cell with a "
                    "matrix state, matrices multiply only x, inputs beside it and what is computed "
                    "from them."
                )
        if node.operation == "layer_norm":
            yield "layer_norm is not for cells with a matrix state; divide by a head_sum."
        if node.operation == "mask":
            yield "a cell with a matrix state takes no masks."


def _problems_of_names(cell: Cell) -> Iterable[str]:
    """Invalid names, whether from tracing, a pass or a file."""
    if _title(cell.name) != cell.name:
        yield f"the name of a cell must be one line of 1 to {MAX_NAME} printable characters."
    for kind, names in (
        ("input", [cell.input, *[name for name, _ in cell.inputs]]),
        ("state", cell.states),
        ("gate", [*cell.gates, *[p.gate for p in cell.parameters]]),
        ("family", [p.family for p in cell.parameters]),
        ("value", cell.names.values()),
    ):
        for name in names:
            if not isinstance(name, str) or not name.isidentifier() or len(name) > MAX_NAME:
                yield (
                    f"the name of the {kind} {_shortened(name)} must be a Python identifier of at "
                    f"most {MAX_NAME} characters."
                )
            elif kind == "gate" and name.startswith("_"):
                yield f'the name of the gate {name} must not begin with "_".'
    if len(set(cell.states)) < len(cell.states):
        yield "two of its states have the same name."
    sides = [name for name, _ in cell.inputs]
    if len({cell.input, *cell.states, *sides}) < len({cell.input, *cell.states}) + len(sides):
        yield "two of its inputs and states have the same name."
    for name, size in cell.inputs:
        if size not in (*SIDE_SIZES, *MEMORY_SIZES) and not is_own_size(size):
            allowed = ", ".join(SIDE_SIZES)
            yield f"the size of the input {name} is {_shortened(size)}, not one of {allowed}."
    for p in cell.parameters:
        if p.kind == "vector" and not (p.columns == () or _is_size_of_vector(p.columns)):
            yield f"the size of {p.key} is {_shortened(p.columns)}, not one of {', '.join(SIZES)}."
        if type(p.heads) is not int or p.heads not in range(1, MAX_HEADS + 1):
            yield f"the number of heads of {p.key} is {_shortened(p.heads)}."
        known = ("input", "hidden", "key", "head")  # the latter two need a matrix state
        fit = [size in known or is_own_size(size) for size in p.columns]
        if p.kind == "matrix" and not (fit and all(fit)):
            yield f"the columns of {p.key} are {_shortened(p.columns)}, not input and hidden."
        if p.rows not in PRODUCT_SIZES and not is_own_size(p.rows):
            yield (
                f"the size of {p.key} is {_shortened(p.rows)}; products have "
                f"{', '.join(PRODUCT_SIZES)} or a size of the cell's own."
            )
    if not isinstance(cell.doc, str) or _has_surrogates(cell.doc):
        yield "its description is not text."


def _is_size_of_vector(columns: tuple[object, ...]) -> bool:
    return len(columns) == 1 and (columns[0] in SIZES[1:] or is_own_size(columns[0]))


def _title(name: object) -> str:
    fits = isinstance(name, str) and name.isprintable() and 0 < len(name) <= MAX_NAME
    return str(name) if fits else "a cell"


def _has_surrogates(text: str) -> bool:
    """Whether the text has lone surrogates, which no file and no operator accepts."""
    return any(["\ud800" <= character <= "\udfff" for character in text])


def _shortened(name: object) -> str:
    return repr(name) if len(repr(name)) < 80 else f"{repr(name)[:60]}..."


def _has_its_attribute(node: Node) -> bool:
    attribute = node.attribute
    if node.operation == "constant":
        return isinstance(attribute, float)
    if node.operation == "state":
        sized = isinstance(attribute, tuple) and len(attribute) == 2
        own = sized and (attribute[1] in MEMORY_SIZES or is_own_size(attribute[1]))
        return isinstance(attribute, str) or own
    if node.operation == "product":
        return attribute is None or attribute in PRODUCT_SIZES[1:] or is_own_size(attribute)
    if node.operation == "mask":
        if not isinstance(attribute, tuple) or len(attribute) not in (3, 4):
            return False
        role, of, per = attribute[:3]
        if not all([is_own_size(size) for size in attribute[3:]]):
            return False
        named = isinstance(of, str) and (of.isidentifier() or of.isdecimal())
        return role in ("drop", "zone") and named and per in ("step", "sequence")
    if node.operation == "side":
        pair = isinstance(attribute, tuple) and len(attribute) == 2
        sizes = (*SIDE_SIZES, *MEMORY_SIZES)  # the latter in what ``passes/memory.py`` makes
        fits = pair and (attribute[1] in sizes or is_own_size(attribute[1]))
        return fits and isinstance(attribute[0], str)
    if node.operation in PARAMETERS:
        names = isinstance(attribute, tuple) and all([isinstance(name, str) for name in attribute])
        sized = names and len(attribute) == 3 and _is_size_of_vector(attribute[2:])
        return names and (len(attribute) == 2 or sized)
    return node.operation in INTERNAL or attribute is None
