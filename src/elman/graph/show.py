"""Print a cell as equations, in plain text and in LaTeX.

The symbols come from the table of operations.  This module splits lines, adds parentheses and
formats states and parameters.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from elman.graph.node import OPERATIONS, Node, ancestors

if TYPE_CHECKING:
    from elman.graph.cell import Cell

#: the maximum number of nodes in an equation; longer ones are split
MAX_EQUATION = 1000

_GREEK = {
    *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"),
    *("lambda", "mu", "nu", "xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi"),
    "omega",
}


def text(cell: Cell) -> str:
    """The equations, one per line; a prime marks the next value of a state."""
    return "\n".join([f"{label} = {right}" for label, right in _lines(cell, in_latex=False)])


def latex(cell: Cell) -> str:
    """The equations as the lines of an ``aligned`` environment."""
    rows = [f"{_latex_name(label)} &= {right}" for label, right in _lines(cell, in_latex=True)]
    return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"


def expression(
    node: Node,
    cell: Cell | None = None,
    *,
    names: Mapping[Node, str] | None = None,
    top: bool = False,
    in_latex: bool = False,
) -> str:
    """A value in terms of named values: ``names``, or those of the cell.

    ``top`` expands the node even if it has a name.
    """
    if names is None:
        names = labels(cell) if cell is not None else {}
    if _lengths(ancestors([node]), names)[node] > MAX_EQUATION:
        return "…"
    return _write(node, names, 0, top, in_latex, cell.input if cell is not None else "x")


def labels(cell: Cell) -> dict[Node, str]:
    """The name of each value: in the author's order, but after the values that it uses.

    A value that is the next value of two states has the name of the first.
    """
    primed: dict[Node, str] = {}
    for state, node in zip(cell.states, cell.next_states, strict=True):
        if node.operands:
            primed.setdefault(node, f"{state}'")
    called = {**cell.names, **{node: primed[node] for node in cell.nodes if node in primed}}
    if max(_lengths(cell.nodes, called).values(), default=0) > MAX_EQUATION:
        called = {**_numbered(cell, called), **called}
    ordered: dict[Node, str] = {}
    for node in called:
        needed = [value for value in ancestors([node], stop=ordered) if value in called]
        ordered |= {value: called[value] for value in needed}
    return ordered


def _lengths(nodes: Iterable[Node], names: Mapping[Node, str]) -> dict[Node, int]:
    """The number of nodes in each value's equation in terms of the named values."""
    found: dict[Node, int] = {}
    for node in nodes:
        found[node] = 1 + sum([1 if o in names else found[o] for o in node.operands])
    return found


def _numbered(cell: Cell, called: Mapping[Node, str]) -> dict[Node, str]:
    """Names for values that are used several times, so that they are written only once."""
    taken = {*called.values(), cell.input, *cell.states, *[name for name, _ in cell.inputs]}
    uses = Counter([operand for node in cell.nodes for operand in node.operands])
    shared = [n for n in cell.nodes if n.operands and n not in called and uses[n] > 1]
    free = (name for k in itertools.count(1) if (name := f"v_{k}") not in taken)
    return dict(zip(shared, free, strict=False))


def _lines(cell: Cell, *, in_latex: bool) -> list[tuple[str, str]]:
    """The two sides of each equation."""
    called = labels(cell)

    def right(node: Node, *, top: bool) -> str:
        return _write(node, called, 0, top, in_latex, cell.input)

    lines = [(label, right(node, top=True)) for node, label in called.items()]
    written = set(called.values())
    # next states that are a state, a parameter or another state's next value
    lines += [
        (f"{state}'", right(node, top=False))
        for state, node in zip(cell.states, cell.next_states, strict=True)
        if f"{state}'" not in written
    ]
    return lines


def _write(
    node: Node, names: Mapping[Node, str], tightness: int, top: bool, in_latex: bool, x: str
) -> str:
    if node in names and not top:
        return _latex_name(names[node]) if in_latex else names[node]

    def inner(operand: Node, tightness: int = 0) -> str:
        return _write(operand, names, tightness, False, in_latex, x)

    if node.operation == "input":
        return _latex_name(x, "t") if in_latex else x
    if node.operation == "state":
        name = node.attribute if isinstance(node.attribute, str) else node.attribute[0]
        return _latex_name(name, "t-1") if in_latex else str(name)
    if node.operation == "side":
        return _latex_name(node.attribute[0], "t") if in_latex else str(node.attribute[0])
    if node.operation in {"vector", "matrix"}:
        family, gate = node.attribute[:2]
        return _latex_name(family, gate.replace("_", ",")) if in_latex else f"{family}.{gate}"
    if node.operation == "mask":
        role, of, _ = node.attribute
        return _latex_name(role, of.replace("_", ",")) if in_latex else f"{role}.{of}"
    if node.operation == "constant":
        number = f"{node.attribute:g}"
        if in_latex and "e" in number:
            number = _in_powers_of_ten(number)
        return f"({number})" if tightness > 4 and node.attribute < 0 else number
    if node.operation == "adjoint":
        name = node.attribute[0]
        return rf"\partial L / \partial {name}" if in_latex else f"∂L/∂{name}"
    if node.operation in {"product", "block_product"}:
        operands = [inner(operand) for operand in node.operands[1:]]
        right = operands[0] if len(operands) == 1 else f"[{', '.join(operands)}]"
        if len(operands) == 1 and _precedence(node.operands[1], names) < 9:
            right = f"({right})"
        return f"{inner(node.operands[0], 6)} {chr(92) + 'cdot' if in_latex else '·'} {right}"
    if node.operation == "transposed_product":
        sign = r"^{\top} \cdot " if in_latex else "ᵀ · "
        pairs = zip(node.operands[::2], node.operands[1::2], strict=True)
        return " + ".join([f"{inner(matrix)}{sign}{inner(g, 9)}" for matrix, g in pairs])
    if node.operation == "read":
        state, vector = [inner(operand, 6) for operand in node.operands]
        if node.operands[1].operation == "product" and node.operands[1] not in names:
            vector = f"({vector})"
        return f"{state} {chr(92) + 'cdot' if in_latex else '·'} {vector}"
    row = OPERATIONS[node.operation]
    template = row.latex if in_latex else row.text
    if row.precedence == 9:
        return template.format(*[inner(operand) for operand in node.operands])
    written = [
        inner(operand, row.precedence + (1 if position else 0))
        for position, operand in enumerate(node.operands)
    ]
    whole = template.format(*written)
    return f"({whole})" if row.precedence < tightness else whole


def _in_powers_of_ten(number: str) -> str:
    """1e-06 in LaTeX."""
    digits, _, exponent = number.partition("e")
    power = f"10^{{{int(exponent)}}}"
    return {"1": power, "-1": f"-{power}"}.get(digits, rf"{digits} \cdot {power}")


def _precedence(node: Node, names: Mapping[Node, str]) -> int:
    return 9 if node in names else OPERATIONS[node.operation].precedence


def _latex_name(name: str, index: str = "") -> str:
    """A name in LaTeX: a prime becomes the subscript t, the name of a Greek letter a command."""
    letter, _, rest = name.removesuffix("'").partition("_")
    if letter in _GREEK:
        letter = f"\\{letter}"
    elif len(letter) > 1:
        letter = rf"\mathrm{{{letter}}}"
    indices = [*filter(None, rest.split("_")), *filter(None, [index])]
    if name.endswith("'"):
        indices.append("t")
    return letter + (f"_{{{','.join(indices)}}}" if indices else "")
