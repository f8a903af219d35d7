"""A cell as its author would write it: lines of text, and lines of LaTeX.

The signs come from the table of operations; here is only where a line begins, when an
expression needs parentheses, and how states and parameters are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from elman.graph.node import OPERATIONS, Node

if TYPE_CHECKING:
    from elman.graph.cell import Cell

_GREEK = {"alpha", "beta", "gamma", "delta", "eta", "theta", "lambda", "mu", "rho", "sigma", "phi"}


def text(cell: Cell) -> str:
    """The equations, one a line; a prime marks the next value of a state."""
    lines = [(label, expression(node, cell, top=True)) for label, node in _lines(cell)]
    return "\n".join([f"{label} = {right}" for label, right in lines])


def latex(cell: Cell) -> str:
    """The equations as the lines of an ``aligned`` environment."""
    rows = [
        f"{_latex_name(label)} &= {expression(node, cell, top=True, in_latex=True)}"
        for label, node in _lines(cell)
    ]
    return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"


def expression(
    node: Node, cell: Cell | None = None, *, top: bool = False, in_latex: bool = False
) -> str:
    """One value in terms of the named ones; ``top`` writes out the node even if it has a name."""
    names = _labels(cell) if cell is not None else {}
    return _write(node, names, 0, top, in_latex, cell.input if cell is not None else "x")


def _labels(cell: Cell) -> dict[Node, str]:
    labels = dict(cell.names)
    for state, node in reversed(list(zip(cell.states, cell.next_states, strict=True))):
        if node.operands:
            labels[node] = f"{state}'"
    return labels


def _lines(cell: Cell) -> list[tuple[str, Node]]:
    labels = _labels(cell)
    lines = [(label, node) for node, label in labels.items()]
    written = set(labels.values())
    for state, node in zip(cell.states, cell.next_states, strict=True):
        if f"{state}'" not in written:
            lines.append((f"{state}'", node))
    return lines


def _write(
    node: Node, names: Mapping[Node, str], tightness: int, top: bool, in_latex: bool, x: str
) -> str:
    if node in names and not top:
        return _latex_name(names[node]) if in_latex else names[node]

    def inner(operand: Node, tightness: int = 0) -> str:
        return _write(operand, names, tightness, False, in_latex, x)

    if node.operation == "input":
        return f"{x}_t" if in_latex else x
    if node.operation == "state":
        return f"{node.attribute}_{{t-1}}" if in_latex else str(node.attribute)
    if node.operation in {"vector", "matrix"}:
        family, gate = node.attribute
        return f"{family}_{{{gate}}}" if in_latex else f"{family}.{gate}"
    if node.operation == "constant":
        number = f"{node.attribute:g}"
        return f"({number})" if tightness > 4 and node.attribute < 0 else number
    if node.operation == "adjoint":
        name = node.attribute[0]
        return rf"\partial L / \partial {name}" if in_latex else f"∂L/∂{name}"
    if node.operation in {"product", "block_product"}:
        operands = [inner(operand) for operand in node.operands[1:]]
        right = operands[0] if len(operands) == 1 else f"[{', '.join(operands)}]"
        if len(operands) == 1 and _precedence(node.operands[1], names) < 9:
            right = f"({right})"
        return f"{inner(node.operands[0])} {chr(92) + 'cdot' if in_latex else '·'} {right}"
    if node.operation == "transposed_product":
        sign = r"^{\top} \cdot " if in_latex else "ᵀ · "
        pairs = zip(node.operands[::2], node.operands[1::2], strict=True)
        return " + ".join([f"{inner(matrix)}{sign}{inner(g, 9)}" for matrix, g in pairs])
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


def _precedence(node: Node, names: Mapping[Node, str]) -> int:
    return 9 if node in names else OPERATIONS[node.operation].precedence


def _latex_name(name: str) -> str:
    """A name as mathematics: primes become the step's index, Greek letters themselves."""
    state = name.endswith("'")
    stem = name.rstrip("'")
    letter, _, rest = stem.partition("_")
    if letter in _GREEK:
        letter = f"\\{letter}"
    elif len(letter) > 1:
        letter = rf"\mathrm{{{letter}}}"
    indices = [part for part in (rest.replace("_", ","), "t" if state else "") if part]
    return letter + (f"_{{{','.join(indices)}}}" if indices else "")
