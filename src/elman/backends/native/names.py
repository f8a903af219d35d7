"""Names for the values of a cell's programs, for readers of a plan or a kernel.

Passes rewrite a cell's equations; this module maps the values of programs back to the author's
names, with a prime for a state's next value.  Other names are:

    Σf       the sum of products with W.f, if the author did not name it
    ∂f       dL/df, the gradient of the loss L
    later.h  the contribution of later steps to dL/dh'
    output.h the contribution of this step's output to dL/dh'
    projected.f  the terms of Σf that need only the input
    norm(s)  s, normalised over its row
    1/sd(s)  one over the standard deviation of s over its row

All other values are written as expressions.
"""

from __future__ import annotations

from collections.abc import Iterable

from elman.backends.native.phases import Accumulator
from elman.backends.native.programs import INPUT, Outer, Programs, outer_gradient
from elman.graph.cell import Cell
from elman.graph.node import Node, ancestors
from elman.graph.show import expression, labels
from elman.passes import hoist, lower, simplify
from elman.passes.gradient import ParameterKey

Names = dict[Node, str]
Sum = tuple[ParameterKey, Node]


def names_of(programs: Programs) -> Names:
    """The names of the values of all programs but ``projected``."""
    names = _forward_names(programs)
    names.update(_adjoint_names(programs, names))
    return names


def projection_names(programs: Programs, names: Names) -> Names:
    """The names including the values of ``projected``."""
    found = dict(names)
    for node in programs.hoisted:
        _name_once(found, node, "projected.", _gates(ancestors([node])))
    return found


def comments_of(programs: Programs) -> dict[Node | Outer | Sum, str]:
    """An equation for each named value and for each parameter's gradient."""
    names = names_of(programs)
    found: dict[Node | Outer | Sum, str] = {
        node: f"{name} = {expression(node, programs.cell, names=names, top=True)}"
        for node, name in names.items()
        if node.operands
    }
    return found | outer_texts(programs, names)


def outer_texts(programs: Programs, names: Names) -> dict[Outer | Sum, str]:
    """The term of a parameter's gradient for each outer product and each sum."""
    left = {node: expression(node, programs.cell, names=names) for node in programs.adjoint[1]}
    found: dict[Outer | Sum, str] = {}
    for product in programs.outer:
        met = expression(product.operand, programs.cell, names=names)
        met = met if product.operand in names or not product.operand.operands else f"({met})"
        found[product] = f"∂{'.'.join(product.matrix)} += {left[product.gradient]} ⊗ {met}"
    for key, node in programs.sums:
        found[key, node] = f"∂{'.'.join(key)} += {left[node]}"
    return found


def sum_text(total: Accumulator, names: Names) -> str:
    """The right side of a sum of products, in the order of summation."""
    parts = [] if total.start is None else [expression(total.start, names=names)]
    for term in total.terms:
        operand = expression(term.operand, names=names)
        if term.operand not in names and term.operand.operands:
            operand = f"({operand})"
        sign = "ᵀ" if term.transposed else ""
        parts.append(f"{'.'.join(term.matrix.attribute[:2])}{sign} · {operand}")
    parts += [expression(term, names=names) for term in total.rest]
    return " + ".join(parts)


def _forward_names(programs: Programs) -> Names:
    cell = programs.cell
    names: Names = {INPUT: cell.input}
    for node, name in labels(cell).items():
        # a separate pass for each, because another root would change the order of sums
        *_, found = hoist(simplify([*cell.next_states, node])).roots
        if found.operands:
            names.setdefault(lower([found])[0], name)
    for phase in programs.forward(save=True, hoisted=False).phases:
        for total in phase.accumulators:
            _name_once(names, total.value, "Σ", _gates([term.matrix for term in total.terms]))
    names.update(_normalised(cell, names))
    return names


def _normalised(cell: Cell, names: Names) -> Names:
    """Names for the parts of layer normalisation: (s - mean(s)) * rsqrt(...)."""
    found: Names = {}
    for node in ancestors(cell.next_states):
        if node.operation != "layer_norm":
            continue
        # as above: rewritten together with the cell, one at a time
        *_, rewritten = hoist(simplify([*cell.next_states, node])).roots
        (whole,) = lower([rewritten])
        centred, scale = whole.operands
        total = centred.operands[0]
        matrices = [each for each in total.operands if each.operation == "matrix"]
        if matrices and total not in names:  # its gate has another sum
            found.setdefault(total, f"Σ{'.'.join(matrices[0].attribute[:2])}")
        value = expression(total, cell, names={**names, **found})
        found.setdefault(whole, f"norm({value})")
        found.setdefault(scale, f"1/sd({value})")
    return {node: name for node, name in found.items() if node not in names}


def _adjoint_names(programs: Programs, forward: Names) -> Names:
    gradient, cell = programs.plan.gradient, programs.cell
    names: Names = {outer_gradient(cell): f"output.{cell.states[0]}"}
    for seed, state in zip(gradient.seeds, cell.states, strict=True):
        names[seed] = f"later.{state}"
    named = dict(forward)
    named |= dict(zip(programs.states, cell.states, strict=True))
    adjoints = {lower([node])[0]: g for node, g in gradient.adjoints.items()}
    operands = lower([product.operand for product in gradient.products])
    for node in dict.fromkeys([*named, *operands]):
        if node not in adjoints:
            continue
        (found,) = programs.in_adjoint([adjoints[node]])
        if found.operands:
            name = named.get(node) or f"({expression(node, cell, names=forward)})"
            names.setdefault(found, f"∂{name}")
    return names


def _gates(nodes: Iterable[Node]) -> list[str]:
    return [node.attribute[1] for node in nodes if node.operation == "matrix"]


def _name_once(names: Names, node: Node, mark: str, gates: list[str]) -> None:
    """Name a value by its first gate, unless it has a name or the name is taken."""
    if node not in names and gates and f"{mark}{gates[0]}" not in names.values():
        names[node] = f"{mark}{gates[0]}"
