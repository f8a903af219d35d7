"""A cell as one line of JSON: what is written is read, and what is not a cell is refused."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.cells import CATALOGUE, cfc, diagonal_peephole_lstm, lstm, rnn
from elman.errors import CellError
from elman.graph import cell, layer_norm, read_cell, tanh, where, write_cell
from graph.random_cells import quick, random_cells


@pytest.mark.parametrize("written", CATALOGUE.values(), ids=list(CATALOGUE))
def test_the_catalogue_is_read_as_it_was_written(written):
    read = read_cell(written.text)
    assert read == written
    assert str(read) == str(written)
    assert read.latex() == written.latex()
    assert read.next_states == written.next_states  # the very nodes
    for name in ("name", "input", "states", "gates", "parameters", "init", "doc"):
        assert getattr(read, name) == getattr(written, name)
    assert read.names == written.names


@quick
@given(random_cells())
def test_random_cells_are_read_as_they_were_written(written):
    read = read_cell(write_cell(written))
    assert read == written
    assert read.next_states == written.next_states
    assert str(read) == str(written)
    assert write_cell(read) == written.text


def test_a_cell_is_one_line_whatever_its_docstring():
    @cell
    def documented(x, h):
        """Erste Zeile: "Größe" \\ and σ.

        More.
        """
        return tanh(h)

    assert "\n" not in documented.text
    assert read_cell(documented.text).doc == 'Erste Zeile: "Größe" \\ and σ.\n\nMore.'


@pytest.mark.parametrize("number", [0.1, 1e-300, 1 / 3, 2**60 + 1, math.inf])
def test_constants_keep_every_digit(number):
    @cell
    def constant(x, h):
        return number * h

    assert read_cell(constant.text).next_states == constant.next_states


def test_reading_runs_once_for_each_text():
    assert read_cell(lstm.text) is read_cell(lstm.text)


# what is not a cell


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        '"lstm"',
        "{}",
        lstm.text[:-1],
        lstm.text[1:],
        lstm.text[: len(lstm.text) // 2],
        "\x00\x01",
        "[" * 100_000,
    ],
    ids=lambda text: text[:10] or "empty",
)
def test_a_damaged_text_is_refused(text):
    with pytest.raises(CellError) as caught:
        read_cell(text)
    said = str(caught.value)
    assert said.startswith("a saved cell cannot be read (")
    assert said.endswith("); the file is damaged.")


def changed(**fields):
    return json.dumps({**json.loads(diagonal_peephole_lstm.text), **fields})


@pytest.mark.parametrize("size", ["memory", "head"])
def test_an_input_of_a_matrix_state_s_size_needs_one(size):
    text = cfc.text
    record = json.loads(text)
    (old,) = record["inputs"]
    changed = text.replace(json.dumps(old, separators=(",", ":")), json.dumps([old[0], size]))
    assert changed != text
    with pytest.raises(CellError, match=f"the size of {old[0]} needs a matrix state"):
        read_cell(changed)


def test_a_cell_of_a_future_format_is_refused():
    with pytest.raises(CellError) as caught:
        read_cell(changed(format=2))
    assert str(caught.value) == (
        "a saved cell has format 2, but this version of Elman reads format 1; upgrade Elman to "
        "read it."
    )


def with_nodes(*nodes, **fields):
    """A saved cell with one state, whose next state is the last of these nodes."""
    return changed(
        states=["h"],
        gates=["f"],
        parameters=[["W", "f", "matrix", ["hidden", "input"]], ["b", "f", "vector", []]],
        names={},
        init={},
        name="made",
        nodes=[["state", [], "h"], *nodes],
        next=[len(nodes)],
        **fields,
    )


def test_the_made_cell_of_these_tests_is_a_cell():
    made = read_cell(
        with_nodes(
            ["input", [], None],
            ["matrix", [], ["W", "f"]],
            ["product", [2, 0, 1], None],
            ["vector", [], ["b", "f"]],
            ["add", [3, 4], None],
            ["greater", [5, 0], None],
            ["constant", [], 0.5],
            ["where", [6, 5, 7], None],
        )
    )
    assert str(made) == "h' = where(W.f · [h, x] + b.f > h, W.f · [h, x] + b.f, 0.5)"


def test_a_cell_with_an_operation_of_the_future_is_refused():
    with pytest.raises(CellError) as caught:
        read_cell(with_nodes(["convolution", [0], None]))
    assert str(caught.value) == (
        "a saved cell uses the operation 'convolution', which this version of Elman does not "
        "support; upgrade Elman to read it."
    )


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([["add", [0], None]], "add takes 2 operands but has 1."),
        ([["tanh", [0, 0], None]], "tanh takes 1 operands but has 2."),
        ([["state", [0], "h"]], "state takes 0 operands but has 1."),
        ([["tanh", [0], "sideways"]], "tanh cannot have the attribute 'sideways'."),
        ([["state", [], "c"]], "c is not one of its states."),
        ([["vector", [], ["b", "g"]]], "b.g is not one of its parameters."),
        ([["vector", [], ["W", "f"]]], "W.f is not one of its parameters."),
        ([["vector", [], "b"]], "vector cannot have the attribute 'b'."),
        ([["greater", [0, 0], None]], "the next h is a comparison."),
        (
            [["greater", [0, 0], None], ["tanh", [1], None]],
            "a comparison can only be the first operand of where(condition, a, b).",
        ),
        (
            [["where", [0, 0, 0], None]],
            "the first operand of where is not a comparison; write where(a > b, ...).",
        ),
        (
            [["matrix", [], ["W", "f"]], ["product", [1, 0], None]],
            "W.f has columns for [hidden, input] but multiplies [hidden].",
        ),
        ([["input", [], None]], "the next h has size input, but a state has size hidden."),
        ([["constant", [], 1.0]], "the next h has size one, but a state has size hidden."),
        ([["adjoint", [], ["h", "hidden"]]], "a cell cannot contain adjoint."),
        ([["layer_norm_gradient", [0, 0], None]], "a cell cannot contain layer_norm_gradient."),
        (
            [["matrix", [], ["W", "f"]], ["block_product", [1, 0], None]],
            "a cell cannot contain block_product.",
        ),
    ],
)
def test_a_graph_that_breaks_the_grammar_is_refused(nodes, said):
    with pytest.raises(CellError) as caught:
        read_cell(with_nodes(*nodes))
    assert str(caught.value) == f"made: {said}"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"states": ["h"]}, "it has 1 states and 2 next states."),
        ({"states": [], "next": []}, "a cell needs at least one state after its input."),
        ({"parameters": []}, "W.o is not one of its parameters."),
        (
            {"parameters": json.loads(diagonal_peephole_lstm.text)["parameters"] * 2},
            "two of its parameters have the same name.",
        ),
    ],
)
def test_a_cell_whose_parts_do_not_fit_is_refused(fields, said):
    with pytest.raises(CellError) as caught:
        read_cell(changed(**fields))
    assert str(caught.value) == f"diagonal_peephole_lstm: {said}"


@pytest.mark.parametrize(
    "fields",
    [
        {"nodes": 3},
        {"nodes": [["add", [5, 6], None]]},
        {"nodes": [["add"]]},
        {"nodes": [["constant", [], [[1]]]]},
        {"nodes": [["tanh", [-1], None]]},
        {"next": [400, 2]},
        {"next": None},
        {"names": {"x": "f"}},
        {"names": []},
        {"parameters": [["W", "f"]]},
        {"parameters": [["W", "f", "tensor", []]]},
        {"start": None},
        {"start": {"b.f": "one"}},
        {"states": None},
        {"gates": 1},
    ],
    ids=str,
)
def test_fields_of_another_kind_are_damage(fields):
    with pytest.raises(CellError, match=r"^a saved cell cannot be read \(.*\); the file is damag"):
        read_cell(changed(**fields))


@quick
@given(st.data())
def test_any_change_of_a_text_is_read_or_refused(data):
    """Characters lost, doubled or exchanged: a cell or a ``CellError``, never anything else."""
    text = data.draw(st.sampled_from([rnn.text, lstm.text]))
    place = data.draw(st.integers(0, len(text) - 1))
    width = data.draw(st.integers(0, 3))
    put = data.draw(st.sampled_from(["", text[place], "0", "-1", '"', "[]", "null", "{", "9e999"]))
    damaged = text[:place] + put + text[place + width :]
    try:
        read = read_cell(damaged)
    except CellError:
        return
    assert str(read)
    assert read_cell(read.text) == read


def test_a_normalised_branch_survives_the_round_trip():
    @cell(gates="f", init={"p.f": 1.0})
    def normalised(x, h, *, W, b, p):
        u = p.f * layer_norm(W.f @ [h, x]) + b.f
        return where(u <= 0, 0.1 * u, u)

    read = read_cell(normalised.text)
    assert str(read) == ("u = p.f * layer_norm(W.f · [h, x]) + b.f\nh' = where(0 >= u, 0.1 * u, u)")


# cells that are too large


def steps(count, operation="tanh", operands=lambda k: [k]):
    """A saved cell whose values follow from one another."""
    return changed(
        states=["h"],
        gates=[],
        parameters=[],
        names={},
        start={},
        name="made",
        nodes=[["state", [], "h"], *[[operation, operands(k), None] for k in range(count)]],
        next=[count],
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (steps(2000), "a saved cell has 2,001 values; at most 500 can be compiled."),
        (
            steps(400),
            "made: 401 operations of a step depend on one another in a chain; at most 250 can be "
            "compiled; write a smaller step, or stack layers.",
        ),
        (
            '{"format":1,"nodes":' + "[" * 100_000,
            "a saved cell cannot be read (it is nested too deeply); the file is damaged.",
        ),
        (
            with_nodes(["tanh", [-1], None]),
            "a saved cell cannot be read (value -1 is used before it is defined); the file is "
            "damaged.",
        ),
        (
            with_nodes(["tanh", [1], None]),
            "a saved cell cannot be read (value 1 is used before it is defined); the file is "
            "damaged.",
        ),
        (with_nodes(["mask", [], ["drop", "a\nb", "step"]]), None),
        (
            changed(start={"b.q": 1.0}),
            "diagonal_peephole_lstm: it has an initial value for 'b.q', which is not a parameter.",
        ),
        (
            changed(start={"b.f": math.nan}),
            "diagonal_peephole_lstm: the initial value of b.f is nan, which is not finite.",
        ),
        (changed(doc="\ud800"), "diagonal_peephole_lstm: its description is not text."),
        (
            changed(name="a\nb"),
            "a cell: the name of a cell must be one line of 1 to 100 printable characters.",
        ),
    ],
)
def test_a_cell_that_cannot_be_run_is_refused_by_one_sentence(text, said):
    with pytest.raises(CellError) as caught:
        read_cell(text)
    assert "\n" not in str(caught.value)
    assert said is None or str(caught.value) == said


def test_a_traced_cell_that_is_too_large_is_refused():
    def long(x, h):
        for _ in range(600):
            h = tanh(h)
        return h

    with pytest.raises(CellError, match=r"^long: a step has 601 values; at most 500 can be"):
        cell(long)


@pytest.mark.parametrize("operands", [lambda k: [k, k], lambda k: [k, max(0, k - 1)]])
def test_a_short_cell_never_has_a_long_text(operands):
    """Written out, each value would be twice as long as the one before."""
    small, large = (read_cell(steps(n, "multiply", operands)) for n in (5, 140))
    assert "v_" not in str(small)
    assert max([len(line) for line in str(large).splitlines()]) < 40
    assert len(large.latex()) < 10_000
    read = read_cell(large.text)
    assert read.next_states == large.next_states
