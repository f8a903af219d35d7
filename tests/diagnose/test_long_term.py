"""Cells side by side: fair, resumable, the same in any number of processes, truly told."""

import json
import math
from dataclasses import replace

import pytest
import torch

import elman
from elman.diagnose import long_term
from elman.diagnose.long_term import (
    CHANGES,
    TABLE,
    Budget,
    Contestant,
    Course,
    compete,
    contests,
    train,
)
from elman.diagnose.problems import PROBLEMS, temporal_order
from elman.diagnose.standings import figure_of, record, sentences, tables
from elman.errors import OptionError

SHORT = Budget(steps=4, every=2, batch=4, hidden_size=8)


def test_a_gated_cell_solves_a_short_problem_and_training_ends_then():
    budget = Budget(steps=600, every=25)
    course = train(temporal_order(20), TABLE[-1], budget)
    assert course.solved
    assert course.test > 0.99
    assert course.steps[-1] < 600
    assert all(score >= 0.99 for score in course.scores[-2:])
    assert not all(score >= 0.99 for score in course.scores[-3:-1])


def test_every_cell_sees_the_same_batches(monkeypatch):
    seen = []
    problem = temporal_order(20)

    def draw(batch, generator, part):
        x, wanted = problem.draw(batch, generator, part)
        seen.append((part, float(x[:, :, 0].sum()), wanted.sum().item()))
        return x, wanted

    for contestant in TABLE:
        train(replace(problem, draw=draw), contestant, SHORT)
    each = len(seen) // len(TABLE)
    assert [part for part, *_ in seen[:each]] == ["valid", *["train"] * 4, "test"]
    assert all(seen[k * each : (k + 1) * each] == seen[:each] for k in range(len(TABLE)))
    assert len({(zeros, answers) for _, zeros, answers in seen[:each]}) > 3  # no draw is another


def first_values(contestant, time=50):
    layer = elman.Recurrent(contestant.cell, 2, 6)
    long_term._start(layer, contestant, time)
    return layer.layers[0][0]


def test_contestants_begin_as_they_say():
    own = first_values(Contestant(elman.cells.lstm, {"b.f": 3}))
    assert (own.b["f"] == 3).all()
    assert (own.b["i"] == 0).all()
    own = first_values(Contestant(elman.cells.lstm, {"b.f": "log T", "b.i": "-log T"}))
    assert (own.b["f"] >= 0).all()
    assert (own.b["f"] <= math.log(49)).all()
    assert (own.b["i"] <= 0).all()
    assert len(set(own.b["f"].tolist())) == 6
    own = first_values(Contestant(elman.cells.relu_rnn, states="identity"))
    assert torch.equal(own.W["a"][:, :6], torch.eye(6))
    own = first_values(Contestant(elman.cells.rnn, states="glorot"))
    assert own.W["a"][:, :6].abs().max() <= math.sqrt(6 / 12)
    block = first_values(Contestant(elman.cells.rnn)).W["a"][:, :6]
    torch.testing.assert_close(block @ block.T, torch.eye(6))


def test_no_two_contestants_have_one_name():
    names = [contestant.name for contestant in (*TABLE, *CHANGES)]
    assert len(set(names)) == len(names)
    with pytest.raises(OptionError, match='unknown problem "adding-3"; choose from adding-100'):
        contests(["adding-3"])


def without_seconds(courses):
    return [{**vars(course), "seconds": 0} for course in courses]


def test_what_is_done_is_not_done_again(tmp_path, monkeypatch):
    trainings = contests(["copying-20"])[:2]
    heard = []
    options = {"budget": SHORT, "out": tmp_path, "workers": 1}
    one = compete(trainings[:1], tell=lambda *about: heard.append(about), **options)
    two = compete(trainings, tell=lambda *about: heard.append(about), **options)
    assert [(done, of) for done, of, *_ in heard] == [(1, 1), (2, 2)]
    assert two[0] == one[0]
    monkeypatch.setattr(long_term, "train", None)  # it would be called in vain
    assert compete(trainings, **options) == two
    monkeypatch.undo()
    longer = compete(trainings[:1], **{**options, "budget": replace(SHORT, steps=6)})
    assert longer[0].steps[-1] == 6


@pytest.mark.thorough
def test_two_processes_do_what_one_does(tmp_path):
    trainings = contests(["copying-20"])[1:3]
    one, two = (compete(trainings, budget=SHORT, workers=count) for count in (1, 2))
    assert without_seconds(one) == without_seconds(two)


def course(problem, contestant, solved, steps=(0, 50), scores=(0.2, 0.5), test=0.5, **more):
    return Course(problem, contestant, 0, steps, scores, test, solved, False, 1.0, 2.0, **more)


COURSES = [
    course("copying-50", "rnn", False),
    course("copying-50", "gru, chrono", True, test=1.0),
    course("adding-200", "rnn", False, test=0.17),
    course("adding-200", "gru, chrono", True, test=0.001),
    course("adding-200", "lstm, b.f = 0", False, test=0.166),
]


def test_what_has_grown_beyond_all_bounds_is_short():
    [table] = tables([course("adding-200", "rnn", False, test=4.7615e17)])
    assert list(table.columns[1].cells) == ["✗ 5e+17"]


def test_the_table_and_the_sentences_say_who_solved_what():
    side_by_side, changes = tables(COURSES)
    columns = {c.header: list(c.cells) for c in side_by_side.columns}
    assert columns["cell"] == ["rnn", "gru, chrono"]
    assert columns["adding-200"] == ["✗ 0.17", "✓ 50 steps"]
    assert columns["solved"] == ["0 of 2", "2 of 2"]
    assert list(changes.columns[0].cells) == ["lstm, b.f = 0"]
    assert sentences(COURSES) == [
        "rnn: solves 0 of 2 problems.",
        "gru, chrono: solves 2 of 2 problems.",
        "With the same budget, other cells solve adding-200, copying-50, but the plain rnn does "
        "not.",
    ]
    assert json.loads(json.dumps(record(COURSES)))["problems"]["copying-50"]["chance"] == 0.25


def test_every_problem_has_its_curves_and_changes_theirs():
    figure = figure_of(COURSES)
    titles = [axes.get_title() for axes in figure.axes if axes.get_visible()]
    assert titles == [
        PROBLEMS["adding-200"].title,
        PROBLEMS["copying-50"].title,
        PROBLEMS["adding-200"].title + ": ablations",
    ]
