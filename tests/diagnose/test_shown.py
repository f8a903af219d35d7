"""What is shown of a diagnosis: gates, units, sentences, tables, pictures."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import elman
from diagnose.test_gradient_flow import layer_of, linear_layer, normal
from elman.diagnose.plot import figure_of


def identity(factor, size=3):
    return linear_layer(factor * torch.eye(size, dtype=torch.float64))


def test_gate_statistics_are_those_of_the_gates_values():
    layer, x = layer_of(elman.cells.gru), normal(9, 3, 3)
    lengths = [9, 4, 6]
    gates = {g.name: g for g in elman.diagnose(layer, x=x, lengths=lengths, exact=0)["gru"].gates}
    assert list(gates) == ["z", "r", "n"]
    own = layer.layers[0][0]
    values = []
    for b, length in enumerate(lengths):
        state = (torch.zeros(1, 1, 4, dtype=torch.float64),)
        for t in range(length):
            hx = torch.cat([state[0][0, 0], x[t, b]])
            values.append(torch.sigmoid(own.W["z"] @ hx + own.b["z"]).detach().numpy())
            _, state = layer.step(x[t, b : b + 1], state)
    values = np.array(values)
    np.testing.assert_allclose(gates["z"].mean, values.mean(0), rtol=1e-10)
    np.testing.assert_allclose(gates["z"].low, (values <= 0.1).mean(0))
    np.testing.assert_allclose(gates["z"].high, (values >= 0.9).mean(0))


def test_a_gate_held_open_is_said_to_be():
    layer = layer_of(elman.cells.lstm)
    with torch.no_grad():
        layer.layers[0][0].b["f"].fill_(50.0)
    found = elman.diagnose(layer)
    gate = next(g for g in found["lstm"].gates if g.name == "f")
    assert (gate.high == 1).all()
    assert any(
        "lstm: f is saturated in 100% of all steps (closed in 0%, open" in w for w in found.words
    )


def test_every_gate_of_every_cell_of_the_catalogue_is_found():
    for cell in elman.cells.CATALOGUE.values():
        kinds = [
            g.kind for g in elman.diagnose(cell, steps=3, hidden_size=2, exact=0)[cell.name].gates
        ]
        text = str(cell).replace("σ(s.", "")  # what depends on parameters alone is no gate
        wanted = {
            "sigmoid": text.count("σ("),
            "tanh": text.count("tanh("),
            "relu": text.count("relu("),
        }
        assert {kind: kinds.count(kind) for kind in wanted} == wanted


def test_dead_and_frozen_units_are_found():
    layer = layer_of(elman.cells.relu_rnn)
    with torch.no_grad():
        layer.layers[0][0].b["a"][:2] = -1e3
        layer.layers[0][0].b["a"][2:] = 1.0
    dead = elman.diagnose(layer, steps=9)["relu_rnn"]
    assert dead.units["a"].dead.tolist() == [0, 1]
    frozen = layer_of(elman.cells.rnn)
    with torch.no_grad():
        frozen.layers[0][0].b["a"][1] = 1e3
    found = elman.diagnose(frozen, steps=9)
    assert found["rnn"].units["a"].frozen.tolist() == [1]
    assert found["rnn"].units["a"].dead.tolist() == []
    assert "rnn: 1 of 4 units of a is frozen (never changing)." in found.words


@pytest.mark.parametrize(
    ("factor", "sentence"),
    [
        (0.5, "The gradient of linear halves every 1 step; after 20 steps it is below 1e-6."),
        (0.84, "The gradient of linear halves every 4 steps; after 80 steps it is below 1e-6."),
        (0.98, "The gradient of linear halves every 34 steps; after 100 steps, 0.13 of it "
         "remains."),
        (1.0, "The gradient of linear keeps its norm; after 100 steps, 1 of it remains."),
        (2.0, "The gradient of linear doubles every 1 step; after 100 steps its norm is 1.3e+30 "
         "times as large."),
        (0.0, "The gradient of linear ends; after 1 step it is below 1e-6."),
    ],
)  # fmt: skip
def test_words_follow_from_the_numbers(factor, sentence):
    assert elman.diagnose(identity(factor), exact=0).words[0] == sentence


def test_the_horizon_is_said_for_each_state():
    words = elman.diagnose(identity(0.9), steps=50, exact=0).words
    assert words[1] == "More than a tenth of it remains over 21 steps through h."
    words = elman.diagnose(identity(1.0), steps=50, exact=0).words
    assert words[1] == "More than a tenth of it remains over all 50 steps through h."


def test_layers_are_compared_in_a_last_sentence():
    found = elman.diagnose(identity(0.5), identity(0.9), names=("short", "long"), steps=10, exact=0)
    assert found.words[-1] == (
        "After 10 steps, 3.5e-01 of the gradient of long remains, but only 9.8e-04 of that of "
        "short."
    )


def test_the_table_has_a_row_for_each_state_and_gate():
    text = str(elman.diagnose(elman.cells.lstm, elman.cells.rnn, steps=12, hidden_size=8))
    rows = [line.split() for line in text.splitlines()]
    assert [row[:2] for row in rows[2:5]] == [["lstm", "h"], ["c", rows[3][1]], ["rnn", "a"]]
    for gate in ("f", "i", "g", "o", "tanh(c')", "a'"):
        assert any(gate in row for row in rows)


def test_the_picture_is_readable_without_colours(tmp_path):
    eleven = [*elman.cells.CATALOGUE.values()][:11]
    found = elman.diagnose(*eleven, steps=12, hidden_size=4)
    figure = figure_of(found)
    for axes in figure.axes[:3]:
        marks = [
            (line.get_linestyle(), line.get_marker(), line.get_markerfacecolor() == "white")
            for line in axes.get_lines()
            if line.get_label()[0] != "_"
        ]
        assert len(set(marks)) == len(marks) > 0
    assert found.plot(tmp_path / "deep" / "picture.png")[:4] == b"\x89PNG"
    assert (tmp_path / "deep" / "picture.png").stat().st_size > 10_000
    text = "".join(part.get_text() for part in figure.texts).replace("\n", "").replace(" ", "")
    assert all(sentence.replace(" ", "") in text for sentence in found.words)


def test_the_record_is_json_without_what_json_has_not():
    record = elman.diagnose(elman.cells.lstm, steps=12, hidden_size=4).record()
    again = json.loads(json.dumps(record, allow_nan=False))
    assert len(again["layers"]["lstm"]["states"]["c"]["gradient"]) == 13


def test_diagnosing_is_there_with_elman_and_costs_nothing_until_used():
    program = (
        "import sys, elman; elman.diagnose; import elman.diagnose.flow; "
        "print(callable(elman.diagnose), [n for n in ('matplotlib', 'rich', 'sklearn')"
        " if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "True []"
