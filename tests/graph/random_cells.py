"""Random cells: valid equations with one to three states and every operation, by hypothesis.

A cell is drawn as the lines of a Python function, so that a failing example reads like a cell
that somebody wrote; ``random_cells`` shows them with ``note``.  Values stay small over many
steps, because whatever may grow goes through tanh.  Kinks (relu, where, maximum, minimum) meet
operands that differ by construction, so that only chance puts a number on one:
``numbers_away_from_kinks`` draws until none is.
"""

from collections.abc import Mapping

from hypothesis import HealthCheck, assume, note, settings
from hypothesis import strategies as st

import elman.graph
from elman.graph import Cell, cell
from graph.plain import Numbers, distance_from_kinks, draw_numbers

#: few examples (25, in ``make test`` 10) and no deadline: one is a whole layer, forward and backward
quick = settings(
    deadline=None,
    max_examples=settings().max_examples // 4,
    suppress_health_check=[HealthCheck.too_slow],
)

#: what a value may be at most before it goes through tanh
LARGE = 4.0

CONSTANTS = ("0.0", "1.0", "-1.0", "2.0", "0.5", "-0.25", "3")
STATES = ("h", "c", "n")

#: lines of one operand `a`, of two `a` and `b`; the bound of what they give
ONE_OPERAND = {
    "{a}": LARGE,
    "-{a}": LARGE,
    "sigmoid({a})": 1.0,
    "tanh({a})": 1.0,
    "exp(tanh({a}))": 3.0,
    "exp(-softplus({a}))": 1.0,
    "log(1.5 + tanh({a}))": 1.0,
    "softplus({a})": LARGE + 1,
    "sqrt(1.1 + tanh({a}))": 2.0,
    "abs(tanh({a}) + 0.29)": 2.0,
    "sin(3 * {a}) + cos({a})": 2.0,
    "tanh({a}) - floor(2.7 * tanh({a}) + 0.37)": 3.0,
    "relu(tanh({a}) - 0.31)": 1.0,
    "relu(tanh({a}) + 0.17)": 2.0,
    "layer_norm({a})": 2.0,
    "{k} * {a}": 3 * LARGE,
    "{a} + {k}": LARGE + 3,
    "{k} - {a}": LARGE + 3,
    "{a} / 1.6": LARGE,
    "where(tanh({a}) > 0.13, {a}, {k})": LARGE,
    "maximum(tanh({a}), 0.21)": 1.0,
    "W.{g} @ {a}": 2 * LARGE,
    "p.{g} * {a}": 2 * LARGE,
    "exp(-softplus(p.{g})) * {a}": LARGE,
    "W.{g} @ [{a}, x] + b.{g}": 2 * LARGE,
    "W.{g} @ [tanh(x), {a}]": 2 * LARGE,
    "W.{g} @ {a} + W.x{g} @ x + W.x{g} @ (0.5 * x)": 2 * LARGE,
}
TWO_OPERANDS = {
    "{a} + {b}": 2 * LARGE,
    "{a} - {b}": 2 * LARGE,
    "{a} * {b}": LARGE * LARGE,
    "{a} / (0.6 + exp(tanh({b})))": LARGE,
    "maximum(tanh({a}), tanh({b}) - 0.23)": 2.0,
    "minimum(tanh({a}), tanh({b}) + 0.19)": 2.0,
    "where(tanh({a}) > sigmoid({b}), {a}, {b})": LARGE,
    "where(tanh({b}) <= 0.11 - tanh({a}), {k}, {b})": LARGE,
    "sigmoid({a}) * {b} + (1 - sigmoid({a})) * p.{g}": LARGE,
    "W.{g} @ [{a}, {b}, x] + b.{g}": 2 * LARGE,
    "W.{g} @ {a} + b.{g} + W.{g} @ {b}": 2 * LARGE,
    "W.{g} @ (sigmoid({a}) * {b}) + {b}": 2 * LARGE,
    "{a} + {b} + W.{g} @ x + b.{g}": 3 * LARGE,
}
NO_OPERAND = {
    "W.{g} @ x": LARGE,
    "W.{g} @ [relu(x - 0.07), x] + b.{g}": 2 * LARGE,
    "W.{g} @ tanh(p.{g})": LARGE,
    "exp(p.{g})": LARGE,
    "layer_norm(b.{g}) + 0.5": LARGE,
}


#: lines with the inputs beside x, of every size: ``SIDES``
SIDE_OPERAND = {
    "dt * {a}": LARGE,
    "exp(-dt) * {a} + dt": LARGE + 1,
    "where(dt > 0.37, {a}, {k})": LARGE,
    "W.{g} @ [{a}, v] + b.{g} + u": 2 * LARGE,
    "W.{g} @ [v * x, {a}, u] + W.{g} @ [x, u, {a}]": 3 * LARGE,
    "W.{g} @ (dt * v) + {a}": 2 * LARGE,
    "tanh(u) * {a} + layer_norm(u)": 2 * LARGE,
}
SIDES = {"u": "hidden", "dt": "one", "v": "input"}


@st.composite
def cell_sources(draw: st.DrawFn, *, most_lines: int = 7, sides: bool = False) -> str:
    """The text of a function that ``@cell`` takes, called ``random_cell``."""
    states = STATES[: draw(st.integers(1, 3))]
    bounds = dict.fromkeys([*states, *(["u"] if sides else [])], LARGE)

    def operand() -> str:
        name = draw(st.sampled_from(list(bounds)))
        return name if bounds[name] <= LARGE else f"tanh({name})"

    arguments = [*states, *(SIDES if sides else ())]
    lines = [f"def random_cell(x, {', '.join(arguments)}, *, W, b, p):"]
    tables = [NO_OPERAND, ONE_OPERAND, TWO_OPERANDS, TWO_OPERANDS]
    tables += [SIDE_OPERAND] * 3 if sides else []
    for number in range(draw(st.integers(1, most_lines))):
        table = draw(st.sampled_from(tables))
        template = draw(st.sampled_from(list(table)))
        constant = draw(st.sampled_from(CONSTANTS))
        right = template.format(a=operand(), b=operand(), k=constant, g=f"g{number}")
        # a name that is used again, or a state's name, is what authors write too
        name = draw(st.sampled_from([*(["w"] if sides else ["u", "v", "w"]), *states]))
        lines.append(f"    {name} = {right}")
        bounds[name] = table[template]
    following = [draw(st.sampled_from(["", "b.last"])) or operand() for _ in states]
    if sides:  # each must be used
        following[0] += " + 0.1 * u * dt + W.last @ v"
    lines.append(f"    return {', '.join(following)}")
    return "\n".join(lines)


def cell_from_source(source: str, inputs: Mapping[str, str] | None = None) -> Cell:
    """The cell whose equations these lines are."""
    names = {name: getattr(elman.graph, name) for name in elman.graph.__all__}
    exec(compile(source, "<random cell>", "exec"), names)
    return cell(inputs=inputs)(names["random_cell"])


@st.composite
def random_cells(draw: st.DrawFn, *, most_lines: int = 7, sides: bool = False) -> Cell:
    """A valid cell with one to three states, and with the inputs ``SIDES`` beside x."""
    source = draw(cell_sources(most_lines=most_lines, sides=sides))
    note(source)
    return cell_from_source(source, SIDES if sides else None)


def numbers_away_from_kinks(cell: Cell, **options: object) -> Numbers:
    """Numbers such that small changes of them move none over a kink; for ``draw_numbers``."""
    for seed in range(60):
        numbers = draw_numbers(cell, seed, **options)  # type: ignore[arg-type]
        if distance_from_kinks(cell, numbers) > 1e-3:
            return numbers
    assume(False)
    raise AssertionError("assume does not return")
