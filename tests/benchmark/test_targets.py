"""benchmarks/: whether a target is met, and what is written down."""

import json

import pytest
import torch
from rich.console import Console

import elman
import engine
import report
import sections
from elman.backends.native.llvm.target import chosen_target
from elman.benchmark import Result, Shape, Timing
from report import Row, row_of, summaries
from sections import SECTIONS, Asked, Job, Skipped
from targets import TARGETS, Bound, Target, summarise, verdict
from thorough import few

SMALL = Asked((Shape(3, 2, 4, 5), Shape(3, 1, 4, 5)), (4,), (Shape(5, 4, 3, 4),), (1,))


@pytest.mark.parametrize(
    ("value", "bound", "at_most", "expected"),
    [
        (0.99, Bound(1.0, 1.2), False, "missed"),
        (1.0, Bound(1.0, 1.2), False, "met"),
        (1.2, Bound(1.0, 1.2), False, "hoped for"),
        (9.0, Bound(1.0), False, "met"),
        (9.0, Bound(), False, ""),
        (5.1, Bound(5.0, 1.0), True, "missed"),
        (5.0, Bound(5.0, 1.0), True, "met"),
        (0.5, Bound(5.0, 1.0), True, "hoped for"),
        (float("nan"), Bound(1.0), False, "missed"),
        (float("nan"), Bound(1.0), True, "missed"),
    ],
)
def test_a_bound_is_missed_met_or_what_was_hoped_for(value, bound, at_most, expected):
    assert verdict(value, bound, at_most) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.9, 9.0], "missed"),  # one value below what each must reach
        ([1.05, 1.05], "missed"),  # the mean below
        ([1.0, 1.3], "met"),
        ([1.1, 1.5], "hoped for"),
    ],
)
def test_each_value_and_their_mean_must_reach_their_bounds(values, expected):
    found = summarise(Target("t", Bound(1.0), Bound(1.1, 1.2)), 1, values)
    assert (found.verdict, found.worst) == (expected, min(values))


def test_the_worst_of_what_should_be_small_is_the_largest():
    found = summarise(Target("t", Bound(5.0), at_most=True), 1, [1.0, 6.0])
    assert (found.worst, found.verdict) == (6.0, "missed")


def test_every_required_bound_is_within_what_is_hoped_for():
    for target in TARGETS.values():
        for bound in (target.each, target.mean):
            if bound.hoped is not None:
                assert verdict(bound.hoped, bound, target.at_most) == "hoped for"
                assert verdict(bound.required, bound, target.at_most) == "met"


def row(value, target="lstm training", threads=1):
    times = (
        {} if value is None else {"ours": Timing(1.0, 1.0, 3), "theirs": Timing(value, value, 3)}
    )
    return Row("training", "lstm", "1×1×1×1", threads, "torch", value, value, target, **times)


def test_targets_are_summed_up_for_each_number_of_threads():
    found = summaries([row(1.3), row(0.5, threads=2), row(1.2), row(7.0, target="")])
    assert [(one.threads, one.values, one.verdict) for one in found] == [
        (1, 2, "hoped for"),
        (2, 1, "missed"),
    ]


def test_wrong_values_miss_their_target_however_fast():
    wrong = Result("lstm", "training", "torch", Shape(1, 1, 1, 1), 1, 0.5, None, None)
    made = row_of("training", wrong, "lstm training")
    assert made.verdict == "missed"
    assert "differ by 5e-01" in made.note
    [one] = summaries([row(9.0), made, row(4.0)])
    assert (one.verdict, one.values, one.differing) == ("missed", 2, 1)
    assert (one.worst, one.mean) == (4.0, pytest.approx(6.0))  # of those that agree
    [one] = summaries([row(None, "ragged")])
    assert (one.verdict, one.values, one.differing) == ("missed", 0, 1)
    assert (one.worst, one.mean) == (None, None)


def test_the_json_holds_rows_targets_and_what_was_skipped(tmp_path):
    path = tmp_path / "engine.json"
    rows = [row(1.3), row(None)]
    report.write_json(path, {"cores": 2}, {"quick": True}, rows, ["Skipped."], ["reference"])
    record = json.loads(path.read_text())
    assert record["rows"][0]["value"] == record["rows"][0]["theirs"]["median"] == 1.3
    assert [r["verdict"] for r in record["rows"]] == ["met", "missed"]
    assert record["targets"][0]["verdict"] == "missed"
    assert (record["skipped"], record["engines"]) == (["Skipped."], ["reference"])


def test_a_result_survives_json():
    result = Result(
        "gru", "training", "JAX scan", Shape(1, 2, 3, 4), 2, 0.0,
        Timing(1.0, 0.5, 3), Timing(2.0, 1.5, 3),
    )  # fmt: skip
    assert report.read_result(json.loads(json.dumps(result.record()))) == result


def test_the_plot_is_drawn_where_there_is_a_ratio(tmp_path):
    report.draw(tmp_path / "a.png", [row(1.3), row(0.7, threads=2), row(None)], "a machine")
    report.draw(tmp_path / "b.png", [row(None)], "a machine")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_tasks_share_the_time_by_weight_and_the_skipped_say_why():
    now, given = [0.0], []

    def job(weight, takes):
        def run(seconds):
            given.append(seconds / engine.TIMED)
            now[0] += takes
            return [row(1.0)]

        return Job("job", weight, run)

    def refuse(seconds):
        raise Skipped("no such rival.")

    planned = {"one": [job(1, 40.0), job(1, 20.0)], "two": [Job("no", 0, refuse), job(2, 9.0)]}
    console = Console(quiet=True)
    rows, skipped = engine.measure(planned, 100.0, console, clock=lambda: now[0])
    # the first takes longer than its quarter, and the others share what is left
    assert given == pytest.approx([25.0, 20.0, 40.0])
    assert len(rows) == 3
    assert skipped == ["Skipped, two: no such rival."]


@pytest.mark.parametrize(
    "name",
    few(
        [name for name in SECTIONS if name not in {"jax", "compile"}],
        keep=lambda name: name != "training",
    ),
)
def test_every_section_runs_and_agrees_with_its_rivals(name):
    torch.manual_seed(0)
    try:
        rows = [row for job in SECTIONS[name](SMALL) for row in job.run(0.0)]
    except Skipped as reason:
        if "primitive descriptor" not in str(reason) and chosen_target().multiplies_bfloat16:
            raise
        pytest.skip(f"no bfloat16 LSTM for this processor: {reason}")
    assert rows
    assert [row.note for row in rows if row.value is None] == []
    assert {row.target for row in rows} <= {*TARGETS, ""}


@pytest.mark.slow
def test_jax_computes_what_the_layer_computes():
    pytest.importorskip("jax")
    [job] = SECTIONS["jax"](SMALL)
    assert all([row.value is not None for row in job.run(0.0)])


def test_compiling_is_what_a_first_call_takes_beyond_a_later_one(monkeypatch):
    def child(script, wanted, environment):
        folder = environment["ELMAN_CACHE_DIR"]
        first = 4.0 if sections.Path(folder, "kernel.o").exists() else 200.0
        sections.Path(folder, "kernel.o").touch()
        return [{"first": first, "later": 1.0, "report": "native"} for _ in json.loads(wanted)]

    monkeypatch.setattr(sections, "_child", child)
    [job] = SECTIONS["compile"](SMALL)
    rows = job.run(0.0)
    assert {(row.target, row.value) for row in rows if row.target} == {
        ("compile", 199.0),
        ("load", 3.0),
    }


def test_without_a_compiler_compiling_is_skipped(monkeypatch):
    def child(script, wanted, environment):
        return [{"first": 2.0, "later": 1.0, "report": "the reference engine"}]

    monkeypatch.setattr(sections, "_child", child)
    [job] = SECTIONS["compile"](SMALL)
    with pytest.raises(Skipped, match="nothing was compiled: the reference engine"):
        job.run(0.0)


def test_a_rival_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(sections, "find_spec", lambda name: None)
    for name in ("jax", "onnx"):
        job = next(SECTIONS[name](SMALL))
        with pytest.raises(Skipped, match="not installed"):
            job.run(0.0)


def test_a_users_own_cell_is_the_catalogues_under_other_names():
    assert sections.a_users_own != elman.cells.lstm
    assert len(sections.a_users_own.nodes) == len(elman.cells.lstm.nodes)
