"""What every task promises, walked through for each: files, training, answers, options, help.

A task adds ``tests/tasks/<task>/contract.py`` with SETTINGS that make its model tiny, INPUTS to
ask a trained model about (files of its samples, or texts), and, where it streams, a STREAM.
"""

import importlib.util
import io
import json
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import elman
from elman.errors import ElmanError, OptionError
from elman.options import DeclaredOptions, choices_of, parse, with_settings
from elman.tasks import TASKS, Data, train
from elman.tasks.recurrent_options import RecurrentOptions
from elman.tasks.registry import OWN
from elman.training import LoopOptions
from elman.training.progress import Silence
from elman.training.toml import to_toml
from tasks.conftest import samples

FILES = {path.parent.name: path for path in sorted(Path(__file__).parent.glob("*/contract.py"))}
LOOP = {"epochs": 1, "threads": 1, "batch_size": 8, "schedule": "constant"}


def contract(task):
    spec = importlib.util.spec_from_file_location(f"contract_{task}", FILES[task])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def flags(settings):
    flags = {k: f"--{k.replace('_', '-')}" for k in settings}
    # the one option whose flag has no value
    return [part for k, v in settings.items() for part in (flags[k], v)[: 2 - (k == "skip_bad")]]


@pytest.fixture(scope="module", params=sorted(OWN))
def walked(request, tmp_path_factory):
    """(task, its contract, the folder of its samples, a run of one epoch)."""
    task = TASKS[request.param]
    folder = samples(tmp_path_factory.mktemp(task.name), task.name)
    # the few examples for validation are enough to train on here
    data = Data(folder / task.valid_file, folder / task.valid_file, "samples", "Apache-2.0")
    tiny = contract(task.name)
    train(task, data, folder / "run", {**LOOP, **tiny.SETTINGS}, progress=Silence())
    return task, tiny, folder, folder / "run"


def test_every_task_has_a_contract():
    assert FILES.keys() == OWN.keys()


def test_class_data_fit_together(walked):
    task, _, _, run = walked
    assert TASKS[task.name] is task
    assert {"cell", "longest"} < {each.name for each in fields(task.Options)}
    assert issubclass(task.Options, RecurrentOptions)
    assert issubclass(task.PredictOptions, DeclaredOptions)
    assert set(task.reads_once) <= {each.name for each in fields(task.Options)}
    assert {file for file in task.samples() if file.startswith(task.train_file)}
    layers = elman.load(run).model.state_dict()
    if task.label_layers:
        assert any(layer.startswith(task.label_layers) for layer in layers)
    assert task.demo
    assert task.title


def test_the_command_line_goes_the_whole_way(walked, command, tmp_path, monkeypatch):
    task, tiny, _, _ = walked
    monkeypatch.chdir(tmp_path)
    assert command("new", task.name, "d")[0] == 0
    status, out, _ = command("check", task.name, f"d/{task.train_file}", "--run-file", "d/run.toml")
    assert status == 0, out
    assert "ready to train" in out
    small = ["--train", f"d/{task.valid_file}", *flags({**LOOP, **tiny.SETTINGS})]
    status, out, err = command(
        "train", task.name, "--run-file", "d/run.toml", "--out", "whole", *small, "--epochs", 2
    )
    assert status == 0, err
    assert out == "", "training reports on standard error"
    assert "epoch 2 of 2" in err
    files = {path.name for path in Path("whole").iterdir()}
    assert files >= {
        "model.safetensors", "run.toml", "card.md", "history.jsonl", "curves.png", "symbols.json",
        "cell.json",
    }  # fmt: skip

    parts = ("train", task.name, "--run-file", "d/run.toml", "--out", "parts", *small)
    assert command(*parts)[0] == 0
    status, _, err = command(*parts, "--epochs", 2, "--resume")
    assert status == 0, err
    weights = [Path(run, "model.safetensors").read_bytes() for run in ("whole", "parts")]
    assert weights[0] == weights[1], "resumed, a run ends with the weights of an unbroken one"

    status, _, err = command(
        "train", task.name, "--train", f"d/{task.valid_file}", "--out", "more", "--init-from", "whole",
        *flags(LOOP),
    )  # fmt: skip
    assert status == 0, err
    assert elman.load("more").options == elman.load("whole").options

    status, out, _ = command("evaluate", "whole", f"d/{task.valid_file}", "--json")
    assert status == 0
    assert json.loads(out).keys() >= {task.metric, "examples"}
    inputs = [f"d/{each}" if Path("d", each).exists() else each for each in tiny.INPUTS]
    status, out, err = command("predict", "whole", *inputs, "--json")
    assert status == 0, err
    assert len(json.loads(out)["predictions"]) == len(inputs)
    assert out.count("\n") == 1, "JSON stands alone on standard output"
    assert command("predict", "whole", *inputs)[0] == 0


def test_a_loaded_model_answers_as_the_trained_one(walked):
    task, tiny, folder, run = walked
    model = elman.load(run)
    inputs = [folder / each if (folder / each).exists() else each for each in tiny.INPUTS]
    first, again = [[task.record(answer) for answer in model(inputs)] for _ in range(2)]
    assert first == again == [task.record(answer) for answer in elman.load(run)(inputs)]
    symbols = task.load_symbols(model.symbols.to_json())
    assert symbols.to_json() == model.symbols.to_json()


def test_a_stream_is_answered_where_the_task_claims_to(walked, command, monkeypatch):
    task, tiny, _, run = walked
    assert task.streams == hasattr(tiny, "STREAM")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(getattr(tiny, "STREAM", b""))))
    status, out, err = command("predict", run, "--stream")
    if task.streams:
        assert status == 0, err
        assert out
    else:
        assert status == 1
        assert "this task cannot stream; omit --stream" in err
    assert ("--stream" in command("predict", run, "--help")[1]) == task.streams


class Recorded(Exception):
    """Ends a command where training would begin."""


def test_every_option_is_taken_by_flag_by_set_and_by_run_file(walked, command, monkeypatch):
    task, _, folder, _ = walked
    wanted = {**others(task.Options()), **others(task.training)}
    found = []

    def record(task, data, folder, settings, **more):
        found.append(
            (with_settings(task.Options(), settings), with_settings(LoopOptions(), settings))
        )
        raise Recorded

    monkeypatch.setattr(elman.tasks, "train", record)
    own = {each.name for each in fields(task.Options)}
    tables = {"options": {k: v for k, v in wanted.items() if k in own}}
    tables["training"] = {k: v for k, v in wanted.items() if k not in own}
    file = folder / "all.toml"
    file.write_text(to_toml({"task": task.name, "train": task.train_file, **tables}))
    start = ("train", task.name, "--train", folder / task.train_file)
    ways = [
        [*start, *flags(wanted)],
        [*start, *[part for k, v in wanted.items() for part in ("--set", f"{k}={v}")]],
        ["train", task.name, "--run-file", file],
    ]
    for way in ways:
        with pytest.raises(Recorded):
            command(*way)
    assert found[0] == found[1] == found[2]
    for values in found[0]:
        names = {each.name for each in fields(values)} & wanted.keys()
        assert all(getattr(values, name) == wanted[name] for name in names)


def others(options):
    """A value that is not the default for each option, and that goes with the others."""
    found = {}
    for each in fields(options):
        default = getattr(options, each.name)
        choices = [choice for choice in choices_of(type(options), each.name) if choice != default]
        numbers = default if isinstance(default, int | float) else 1
        tried = [*choices, *[numbers + k for k in (1, 2, 8)], 3, 0.5, 0.25, 0.75, "x", "x=y"]
        if isinstance(default, bool):
            tried = [not default]
        for value in tried:
            try:
                with_settings(options, {each.name: value})
            except OptionError:
                continue
            found[each.name] = parse(type(options), each.name, value)
            if found[each.name] != default:
                break
        assert found[each.name] != default, each.name
    return found


class OnlyDataOptions:
    """Options of which only those that are declared to decide how data are read can be seen."""

    def __init__(self, options):
        self.options = options
        self.known = {e.name for e in fields(options) if e.metadata["reads_data"]}

    def __getattr__(self, name):
        declared = {each.name for each in fields(self.options)}
        assert name not in declared - self.known, f"{name} is not declared with reads_data"
        if name in declared:
            return getattr(self.options, name)
        # what is made of several options, by the same rule
        return getattr(type(self.options), name).fget(self)


def test_check_takes_every_option_that_reading_uses(walked, command):
    task, _, folder, _ = walked
    seen = OnlyDataOptions(task.Options())
    assert task.read(folder / task.train_file, seen)
    assert not task.check(folder / task.train_file, seen).problems
    _, out, _ = command("check", task.name, "--help")
    for name in seen.known:
        assert f"--{name.replace('_', '-')}" in out


def test_help_shows_every_flag_of_the_task_and_none_of_others(walked, command):
    task, _, _, run = walked
    status, out, _ = command("train", task.name, "--help")
    assert status == 0
    assert "Example: elman train" in out
    for kind in (task.Options, LoopOptions):
        for each in fields(kind):
            assert f"--{each.name.replace('_', '-')} " in out
    own = {each.name for each in fields(task.PredictOptions)}
    others = {e.name for t in TASKS.values() for e in fields(t.PredictOptions)} - own
    for verb in ("predict", "evaluate"):
        status, out, _ = command(verb, run, "--help")
        assert status == 0
        assert "Example: elman" in out
        # predict has --out for every task, with --in
        foreign = others - {"out"} if verb == "predict" else others
        assert not [name for name in foreign if f"--{name.replace('_', '-')} " in out]
        for each in fields(task.PredictOptions):
            shown = f"--{each.name.replace('_', '-')} " in out
            assert shown == (verb == "predict" or each.metadata["scored"]), each.name


def test_an_option_that_decides_the_symbols_is_never_overridden_by_those_of_init_from(walked):
    """What the other model's symbols decide is refused, not recorded and left unused."""
    task, _, folder, run = walked
    start = elman.load(run)
    examples = [row.value for row in task.read(folder / task.train_file, start.options)]
    whole = task.build_vocab(examples, start.options, 0).symbols.to_json()
    for name, value in others(start.options).items():
        changed = with_settings(start.options, {name: value})
        try:
            found = task.build_vocab(examples, changed, 0).symbols.to_json()
        except (ElmanError, OSError):
            continue
        if found != whole:
            assert name in task.symbol_options, f"{name} changes what build_vocab gives"
    for name in task.symbol_options:
        value = others(start.options)[name]
        data = Data(folder / task.train_file)
        with pytest.raises(OptionError, match=rf"init_from: {name} comes from"):
            train(
                task, data, folder / "other", {**LOOP, name: value}, start=start,
                progress=Silence(),
            )  # fmt: skip
        assert not (folder / "other").exists()
