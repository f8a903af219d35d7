"""Defaults for small data: the values that the rules promise, where they are recorded and shown, and
that a value which the user gives always wins.
"""

import json
import tomllib
from dataclasses import replace
from typing import Any

import pytest

from elman.options import with_settings
from elman.tasks import TASKS, Data, load, train
from elman.tasks.run_file import run_file
from elman.tasks.small_data import SmallData, amounts, for_small_data
from elman.training import LoopOptions
from elman.training.progress import Silence
from tasks.conftest import needs, samples

RULES = [(task, name) for task in TASKS.values() for name in task.small_data]


def ordinary(task: Any) -> dict[str, Any]:
    return {**vars(task.Options()), **vars(task.training)}


@pytest.mark.parametrize(("task", "name"), RULES, ids=lambda each: getattr(each, "name", each))
def test_a_rule_gives_valid_values_between_those_for_small_and_for_large_data(task, name):
    rule, large = task.small_data[name], ordinary(task)[name]
    end = rule.large or rule.most + 1
    assert rule.value(large, 1) == rule.value(large, rule.most) == rule.small != large
    assert rule.value(large, end) == rule.value(large, 100 * end) == large
    middle = [rule.value(large, rule.most + k * (end - rule.most) // 7) for k in range(8)]
    assert middle in (sorted(middle), sorted(middle, reverse=True))
    for value in middle:
        options = [task.Options(), task.training]
        changed = [with_settings(each, {name: value}) for each in options]
        assert value in [getattr(each, name, None) for each in changed]
        assert isinstance(value, type(large))


def test_every_rule_is_of_an_option_and_none_of_one_that_reading_needs():
    for task, name in RULES:
        assert name in ordinary(task)
        declared = {**task.Options.__dataclass_fields__, **LoopOptions.__dataclass_fields__}
        assert not declared[name].metadata["reads_data"], "the data are read before"


@pytest.mark.parametrize(
    ("task", "amount", "values"),
    [
        ("sentiment", {"examples": 3_000}, {"phrases": 2, "phrase_weight": 1.0}),
        ("sentiment", {"examples": 5_001}, {"phrases": 0, "phrase_weight": 0.5}),
        ("ner", {"examples": 1_200}, {"affixes": 4}),
        ("ner", {"examples": 2_501}, {"affixes": 0}),
        ("video", {"examples": 265}, {"balance": 0.5}),
        ("video", {"examples": 1_000}, {"balance": 0.0}),
        ("music", {"steps": 55_000}, {"longest": 96, "choice_size": 128}),
        ("music", {"steps": 1_000_000}, {"longest": 640, "choice_size": 256}),
    ],
)
def test_the_defaults_for_an_amount_of_data_are_the_promised_ones(task, amount, values):
    if task not in TASKS:
        pytest.skip(f"there is no task {task}")
    rules = TASKS[task].small_data
    found = {"examples": 1, "steps": 1, **amount}
    chosen = for_small_data(TASKS[task].Options(), rules, {}, found)
    assert {name: getattr(chosen, name) for name in values} == values


@needs("sentiment")
def test_phrases_are_not_counted_by_default_beside_made_negations():
    rules = TASKS["sentiment"].small_data
    options = TASKS["sentiment"].Options(negation=0.5)
    assert for_small_data(options, rules, {}, {"examples": 100, "steps": 900}) == options
    assert "without negation" in rules["phrases"].text(0)


@needs("ner")
def test_affixes_are_not_read_by_default_beside_word_vectors():
    rules, amount = TASKS["ner"].small_data, {"examples": 1_200, "steps": 20_000}
    options = TASKS["ner"].Options(vectors="words.txt")
    assert for_small_data(options, rules, {}, amount) == options


def test_a_given_value_wins_over_the_rule_even_if_it_is_the_ordinary_default():
    rules = {"epochs": SmallData(90, most=100), "patience": SmallData(30, most=100)}
    amount = amounts([5] * 100)
    assert amount == {"examples": 100, "steps": 500}
    chosen = for_small_data(LoopOptions(), rules, {"epochs": LoopOptions().epochs}, amount)
    assert chosen == replace(LoopOptions(), patience=30)


@needs("sentiment")
def test_a_run_records_the_values_that_it_was_trained_with(tmp_path):
    task, folder = TASKS["sentiment"], samples(tmp_path, "sentiment")
    data = Data(folder / task.train_file, folder / task.valid_file)
    quick = {"epochs": 1, "threads": 1, "hidden_size": 8, "embedding_size": 8}
    trained, _ = train(task, data, folder / "run", quick, progress=Silence())
    saved = tomllib.loads((folder / "run" / "run.toml").read_text())["options"]
    assert trained.options.phrases == saved["phrases"] == 2
    assert load(folder / "run").options == trained.options
    own = {**quick, "phrases": "0"}
    trained, _ = train(task, data, folder / "own", own, progress=Silence())
    assert trained.options.phrases == 0
    assert trained.options.phrase_weight == 1.0, "the rules are separate"
    resumed, _ = train(task, data, folder / "own", {"epochs": 2}, resume=True, progress=Silence())
    assert resumed.options == trained.options
    further, _ = train(task, data, folder / "further", quick, start=trained, progress=Silence())
    assert further.options.phrases == 0, "its layers are those of the other model"


@needs("music")
def test_tunes_are_cut_into_the_windows_of_the_rule(tmp_path):
    task = TASKS["music"]
    scale = [60, 62, 64, 65, 67, 69, 71, 72]
    tunes = {"train": [[[scale[(k + t) % 8]] for t in range(200)] for k in range(3)]}
    for part, pieces in (("train", tunes), ("valid", {"valid": [tunes["train"][0][:20]]})):
        (tmp_path / f"{part}.json").write_text(json.dumps(pieces))
    data = Data(tmp_path / "train.json", tmp_path / "valid.json")
    quick = {"epochs": 1, "threads": 1, "hidden_size": 8, "batch_size": 1}
    folder = tmp_path / "run"
    trained, _ = train(task, data, folder, quick, progress=Silence())
    assert trained.options.longest == task.small_data["longest"].small
    [line] = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert line["step"] == 3 * -(-200 // trained.options.longest)


def test_a_run_file_shows_the_rules_and_leaves_them_in_force():
    for task in TASKS.values():
        text = run_file(task)
        settings = tomllib.loads(text)
        for name, rule in task.small_data.items():
            assert name not in {**settings["options"], **settings["training"]}
            assert rule.text(ordinary(task)[name]) in text
