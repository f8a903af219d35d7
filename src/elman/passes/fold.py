"""Take matrices that a cell computes from its parameters as parameters.

``orthogonal(W.h) @ h`` becomes ``W.h @ h``, where W.h is a parameter with the computed values.
That suits whoever writes fixed weights down.  ``separate.py`` does more: it leaves an engine what
it can run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from elman.graph import Cell
from elman.graph.cell import Parameter
from elman.graph.node import Node
from elman.graph.rewrite import moved, rewrite
from elman.passes.separate import first_leaf, free_gate, is_computed_matrix


@dataclass(frozen=True, eq=False)
class Folded:
    """A cell without computed matrices, and the value of each of its parameters.

    A value is a node of the original cell: one of its parameters, or a computed matrix.
    """

    cell: Cell
    values: tuple[Node, ...]


def fold(cell: Cell) -> Folded:
    """The cell with a parameter for each matrix that it computes.

    >>> from elman.cells import orthogonal_rnn
    >>> folded = fold(orthogonal_rnn)
    >>> print(folded.cell)
    a = W.h · h + W.x · x
    h' = where(a > 0, 1, -1) * relu(abs(a) + b.h)
    >>> folded.values[0]
    orthogonal(matrix(('W', 'h')))
    """
    matrices = [node.operands[0] for node in cell.nodes if node.operation == "product"]
    computed = dict.fromkeys([matrix for matrix in matrices if is_computed_matrix(matrix)])
    read = {*matrices, *[node for node in cell.nodes if node.operation == "vector"]}
    made: dict[Node, Parameter] = {}
    for matrix in computed:
        origin = next(p for p in cell.parameters if p.leaf is first_leaf(matrix))
        others = [p for p in cell.parameters if p.leaf in read] + list(made.values())
        gate = free_gate(origin.gate, {p.gate for p in others if p.family == origin.family})
        made[matrix] = replace(origin, gate=gate, heads=1)

    def unfolded(node: Node, new: Mapping[Node, Node]) -> Node:
        return made[node].leaf if node in made else moved(node, new)

    new = rewrite(cell.next_states, unfolded)
    found: list[tuple[Parameter, Node]] = []
    for parameter in cell.parameters:
        if parameter.leaf in read:
            found.append((parameter, parameter.leaf))
        found += [(own, m) for m, own in made.items() if first_leaf(m) is parameter.leaf]
    parameters = tuple([parameter for parameter, _ in found])
    folded = replace(
        cell,
        next_states=tuple([new[node] for node in cell.next_states]),
        parameters=parameters,
        gates=tuple(dict.fromkeys([p.gate for p in parameters])),
        names={new[node]: name for node, name in cell.names.items() if node not in made},
        init={},
    )
    return Folded(folded, tuple([value for _, value in found]))
