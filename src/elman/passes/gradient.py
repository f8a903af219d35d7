"""Reverse-mode differentiation of one step: a graph from a graph.

Backpropagation through time runs this adjoint step from the last time step to the first: it maps
dL/d(next states) to dL/d(states), dL/d(input) and each parameter's contribution.  The derivatives
come from the table of operations.  The gradient of a matrix is a sum of outer products over all
steps; the pass only lists them, and engines compute them as one large product.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from elman.graph import Cell
from elman.graph.node import OPERATIONS, Node, ancestors, intern, name_of, sum_of
from elman.graph.sizes import Block, columns_of
from elman.passes.simplify import simplify

ParameterKey = tuple[str, str]


@dataclass(frozen=True)
class OuterProduct:
    """A term of a matrix's gradient: dW[:, block] += gradient ⊗ operand, summed over steps."""

    matrix: ParameterKey
    block: Block
    gradient: Node
    operand: Node


@dataclass(frozen=True)
class Gradient:
    """The adjoint step.

    ``seeds`` are the leaves that stand for dL/d(next states).  ``states`` and ``input`` are
    dL/d(previous states) and dL/dx, ``None`` where nothing depends on them; ``sides`` are dL/d(side
    inputs) by leaf.  ``vectors`` are the terms of each vector's gradient, to be summed over steps
    and rows.  ``adjoints`` has dL/dv for every value v of the step, which gives names to them.
    """

    seeds: tuple[Node, ...]
    states: tuple[Node | None, ...]
    input: Node | None
    sides: Mapping[Node, Node]
    vectors: Mapping[ParameterKey, Node]
    products: tuple[OuterProduct, ...]
    adjoints: Mapping[Node, Node]

    def of_sides(self, cell: Cell) -> list[Node | None]:
        """dL/d(side inputs) in the order of the cell's; ``None`` for one that only decides."""
        return [self.sides.get(intern("side", (), leaf)) for leaf in cell.inputs]

    @property
    def roots(self) -> tuple[Node, ...]:
        """The outputs of the adjoint step."""
        outputs = [*self.states, self.input, *self.sides.values(), *self.vectors.values()]
        outputs += [product.gradient for product in self.products]
        return tuple(dict.fromkeys([node for node in outputs if node is not None]))


def differentiate(states: Sequence[Node], next_states: Sequence[Node]) -> Gradient:
    """The adjoint of the step that computes ``next_states`` from the leaves ``states``.

    >>> from elman.cells import rnn
    >>> from elman.graph.show import expression
    >>> adjoint = differentiate(rnn.state_leaves, rnn.next_states)
    >>> expression(adjoint.vectors["b", "a"])
    '∂L/∂a * (1 - tanh(W.a · [a, x] + b.a) * tanh(W.a · [a, x] + b.a))'
    """
    seeds = tuple([intern("adjoint", (), (name_of(state), state.size)) for state in states])
    contributions: dict[Node, list[Node]] = {}
    for node, seed in zip(next_states, seeds, strict=True):
        contributions.setdefault(node, []).append(seed)
    adjoints: dict[Node, Node] = {}
    products: list[tuple[ParameterKey, Block, Node, Node]] = []
    for node in reversed(ancestors(next_states)):
        if node not in contributions or node.size == "one":
            continue
        g = _sum(contributions.pop(node))
        adjoints[node] = g
        if not node.operands:
            continue
        rule = OPERATIONS[node.operation].derivative
        assert rule is not None, f"{node.operation} has no derivative"
        for operand, term in zip(node.operands, rule(g, node, node.operands), strict=True):
            if operand.operation == "matrix":
                products += [(*part, g, v) for part, v in _blocks(node)]
            elif term is not None:
                contributions.setdefault(operand, []).append(term)

    # one call, so that subexpressions stay shared
    keys = list(adjoints)
    simple = simplify([*adjoints.values(), *[g for _, _, g, _ in products]])
    adjoints = dict(zip(keys, simple[: len(keys)], strict=True))
    return Gradient(
        seeds=seeds,
        states=tuple([adjoints.get(state) for state in states]),
        input=adjoints.get(intern("input", (), None)),
        sides={n: g for n, g in adjoints.items() if n.operation == "side"},
        vectors={n.attribute[:2]: g for n, g in adjoints.items() if n.operation == "vector"},
        products=tuple(
            [
                OuterProduct(matrix, block, g, operand)
                for (matrix, block, _, operand), g in zip(
                    products, simple[len(keys) :], strict=True
                )
            ]
        ),
        adjoints=adjoints,
    )


def _blocks(product: Node) -> list[tuple[tuple[ParameterKey, Block], Node]]:
    """The columns of the matrix that multiply each operand of a product."""
    matrix, *vectors = product.operands
    if product.operation == "block_product":
        return [((matrix.attribute[:2], product.attribute), vectors[0])]
    blocks = columns_of([vector.size for vector in vectors], product.attribute)
    pairs = zip(blocks, vectors, strict=True)
    return [((matrix.attribute[:2], block), vector) for block, vector in pairs]


def _sum(terms: Sequence[Node]) -> Node:
    """The sum, with all transposed products of the same size merged into one."""
    gathered: dict[str, list[Node]] = {}
    rest: list[Node] = []
    for term in terms:
        if term.operation == "transposed_product":
            gathered.setdefault(term.size, []).append(term)
        else:
            rest.append(term)
    for parts in gathered.values():
        operands = tuple([operand for part in parts for operand in part.operands])
        blocks = tuple([block for part in parts for block in part.attribute])
        rest.append(intern("transposed_product", operands, blocks))
    return sum_of(rest)
