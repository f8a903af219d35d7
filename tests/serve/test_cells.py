"""/v1/cell: equations are shown and examined, within limits, and never executed."""

import json
import os
import signal
import time
from urllib.request import Request, urlopen

import pytest

import elman
from elman.backends.native.describe import describe
from elman.cells import ALL, CATALOGUE
from elman.errors import CellError
from elman.graph import read_equations
from elman.graph.sizes import Sizes
from elman.serve import experiments
from elman.serve.cells import MOST_CHARACTERS, accepted, formula, source_of
from elman.serve.experiments import ExperimentOptions

LIGHTER = """
@cell(init={"b.f": 1.0})
def lighter(x, h, *, W, b):
    f = sigmoid(W.f @ [h, x] + b.f)
    h = f * h + (1 - f) * tanh(W.g @ x)
    return h
"""


@pytest.mark.parametrize("name", ALL)
def test_the_catalogue_is_offered_as_one_would_write_it(name):
    assert read_equations(source_of(ALL[name])) == ALL[name]
    assert accepted(source_of(ALL[name])) == ALL[name]
    assert max([len(line) for line in source_of(ALL[name]).splitlines()]) <= 100


def test_a_cell_is_shown_and_examined_as_the_library_does(client):
    service = client("ner")

    def ask(experiment, **options):
        body = {"equations": LIGHTER, "options": options}
        answer = service.post(f"/v1/cell/{experiment}", json=body)
        assert answer.status_code == 200, answer.json()
        return answer.json()

    lighter = read_equations(LIGHTER)
    shown = ask("formula", input_size=3, hidden_size=5)
    assert (shown["text"], shown["latex"]) == (str(lighter), lighter.latex())
    assert shown["mathml"].startswith("<math")
    shapes = {each["key"]: tuple(each["shape"]) for each in shown["parameters"]}
    assert shapes == {each.key: each.shape(Sizes(3, 5)) for each in lighter.parameters}
    assert shown["count"] == 5 * 8 + 5 * 3 + 5
    assert ask("plan", input_size=3, hidden_size=5) == {"plan": describe(lighter, 3, 5)}
    found = ask("gradients", hidden_size=8, input_size=4, steps=20)
    expected = elman.diagnose(
        lighter, *[CATALOGUE[name] for name in ("rnn", "lstm", "gru")],
        steps=20, batch=4, losses=8, exact=0, hidden_size=8, input_size=4,
    )  # fmt: skip
    assert found["words"] == list(expected.words)
    for layer in found["layers"]:
        record = expected[layer["name"]].record()
        assert {**layer, "name": record["cell"]} == {
            "name": record["cell"],
            **{key: record[key] for key in ("gradient", "horizon", "half_life", "states")},
        }


def test_speed_is_measured_beside_the_other_cells(monkeypatch):
    monkeypatch.setattr(experiments, "SECONDS", 0.02)
    monkeypatch.setattr(experiments, "BESIDE", ("rnn",))
    options = ExperimentOptions(input_size=4, hidden_size=8, steps=5)
    found = experiments.speed(read_equations(LIGHTER), options)
    assert [each["name"] for each in found["times"]] == ["lighter", experiments.LOOP, "rnn"]
    assert all([each["training"] > 0 and each["inference"] > 0 for each in found["times"]])
    assert found["agrees"]


def test_an_experiment_that_takes_too_long_ends_and_the_next_one_runs(client):
    service = client("ner")
    laboratory = service.service.cells.laboratory
    body = {"equations": LIGHTER, "options": {"hidden_size": 4, "input_size": 4, "steps": 3}}
    assert service.post("/v1/cell/plan", json=body).status_code == 200
    process = laboratory._process
    laboratory._seconds = 0.05
    slow = {**body, "options": {"hidden_size": 128, "steps": 200}}
    start = time.monotonic()
    answer = service.post("/v1/cell/gradients", json=slow)
    assert answer.status_code == 408
    assert "the experiment took 0.05 seconds, the limit" in answer.json()["error"]
    assert time.monotonic() - start < 10
    assert process.poll() is not None
    laboratory._seconds = 60.0
    assert service.post("/v1/cell/plan", json=body).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ({"equations": "import os"}, 422, "this is not an equation"),
        ({"equations": "def a(x, h): return eval('h')"}, 422, "there is no function eval"),
        ({"equations": "#" * (MOST_CHARACTERS + 1)}, 422, "the service takes 4,000."),
        ({"equations": LIGHTER, "options": {"hidden_size": 4096}}, 422, "hidden_size is 4096"),
        ({"equations": LIGHTER, "options": {"steps": "many"}}, 422, "steps must be an integer"),
        ({"equations": LIGHTER, "options": {"seed": 1}}, 422, "seed"),
        ({"equations": LIGHTER, "option": {}}, 400, 'the key "option"'),
        ({"equations": 3}, 400, 'the body needs "equations", a string'),
        ({"equations": LIGHTER, "options": []}, 400, "options must be a JSON object"),
        ([], 400, "the body must be a JSON object"),
    ],
)
def test_wrong_requests_are_refused_in_a_sentence(client, body, status, sentence):
    service = client("ner")
    for experiment in ("formula", "plan", "gradients", "speed"):
        answer = service.post(f"/v1/cell/{experiment}", json=body)
        assert (answer.status_code, sentence in answer.json()["error"]) == (status, True)
    assert service.service.cells.laboratory._process is None  # none of it reached an experiment
    counted = f'elman_requests_total{{model="cell/plan",status="{status}"}} 1'
    assert counted in service.get("/metrics").text


def test_a_cell_with_many_values_is_refused():
    lines = "\n".join([f"    h = tanh(h + {k})" for k in range(60)])
    with pytest.raises(CellError, match="a step has 181 values; the service takes 120"):
        accepted(f"def a(x, h):\n{lines}\n    return h")


SMALL = ExperimentOptions(input_size=4, hidden_size=8, steps=5, heads=2, key_size=3, own_size=6)


@pytest.mark.parametrize(
    ("name", "uses", "inputs"),
    [
        ("gru_d", [], [{"name": "m", "size": "input"}, {"name": "d", "size": "input"}]),
        ("cfc", [], [{"name": "dt", "size": "one"}]),
        ("orthogonal_rnn", [], []),
        ("mlstm", ["heads", "key_size"], []),
        ("mamba", ["heads", "key_size"], []),
        ("lstmp", ["own_size"], []),
    ],
)
def test_cells_of_every_kind_are_shown_and_examined(name, uses, inputs, monkeypatch):
    monkeypatch.setattr(experiments, "SECONDS", 0.02)
    monkeypatch.setattr(experiments, "BESIDE", ("rnn",))
    cell = accepted(source_of(ALL[name]))
    shown = formula(cell, SMALL)
    assert (shown["uses"], shown["inputs"]) == (uses, inputs)
    layer = experiments.layer_of(cell, SMALL)
    assert {p["key"]: tuple(p["shape"]) for p in shown["parameters"]} == {
        key.removeprefix("layers.0.0."): tuple(p.shape) for key, p in layer.named_parameters()
    }
    assert shown["count"] == sum([p.numel() for p in layer.parameters()])
    assert name in experiments.plan(cell, SMALL)["plan"]
    gradients = experiments.gradients(cell, SMALL)
    assert [each["name"] for each in gradients["layers"]] == [name, "rnn"]
    speed = experiments.speed(cell, SMALL)
    assert speed["agrees"]
    assert [each["name"] for each in speed["times"]] == [name, experiments.LOOP, "rnn"]


def test_heads_of_a_matrix_state_that_do_not_divide_the_units_are_refused():
    options = ExperimentOptions(hidden_size=9, heads=2)
    with pytest.raises(CellError, match="the hidden size 9 is not divisible by 2 heads"):
        formula(ALL["mlstm"], options)


def test_a_size_that_is_a_large_number_is_refused():
    text = '@cell(sizes={"W.d": 100000})\ndef a(x, h, *, W):\n    return W.u @ tanh(W.d @ [h, x])'
    with pytest.raises(CellError, match="the size 100,000 is more than the service takes, 128"):
        accepted(text)


def test_heads_that_do_not_divide_the_units_are_refused():
    cell = accepted("def a(x, h, *, W): return tanh(W.x @ x + heads(W.h, 3) @ h)")
    with pytest.raises(CellError, match="has 3 heads, but the hidden size 64 is not divisible"):
        formula(cell, ExperimentOptions(hidden_size=64))


def test_the_speed_of_a_cell_without_parameters_is_refused_in_a_sentence():
    asked = {"experiment": "speed", "options": {"hidden_size": 4, "input_size": 4, "steps": 3}}
    cell = read_equations("def still(x, h): return tanh(h)")
    answer = experiments.answer(json.dumps({**asked, "cell": cell.text}))
    assert answer["error"].startswith("still: the cell has no parameters, so its training cannot")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to handle")
def test_the_kernels_of_visitors_go_with_the_service(serve, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    process, port = serve("ner")
    body = json.dumps({"equations": LIGHTER, "options": {"hidden_size": 4, "input_size": 4}})
    headers = {"content-type": "application/json"}
    asked = Request(f"http://127.0.0.1:{port}/v1/cell/plan", body.encode(), headers)
    with urlopen(asked) as answer:
        assert answer.status == 200
    assert list(tmp_path.glob("elman-cells-*"))
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    assert not list(tmp_path.glob("elman-cells-*"))


def test_what_goes_wrong_in_an_experiment_is_said(monkeypatch):
    def fail(cell, options):
        raise RuntimeError("out of memory\nat line 3")

    monkeypatch.setitem(experiments.EXPERIMENTS, "plan", fail)
    asked = {"experiment": "plan", "cell": CATALOGUE["rnn"].text, "options": {}}
    expected = {"error": "the experiment failed (out of memory); choose smaller sizes."}
    assert experiments.answer(json.dumps(asked)) == expected
