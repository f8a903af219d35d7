"""Help texts: what they cost, what they show, and what is said of a mistake."""

import json
import os
import subprocess
import sys

import pytest

import elman
from elman.tasks import TASKS
from tasks.conftest import needs

#: runs commands in one process, and says of each what it printed and whether torch is there by then
PROGRAM = """
import contextlib, io, json, os, sys
from elman.cli import main
said = []
for arguments, environment in json.loads(sys.argv[1]):
    sys.argv = ["elman", *arguments]
    os.environ.update(environment)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        with contextlib.suppress(SystemExit):
            main()
    said.append([printed.getvalue(), "torch" in sys.modules])
print(json.dumps(said))
"""


def run(lines):
    """What is printed, and whether torch has been imported, for each (arguments, environment)."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(lines)],
        env={**os.environ, "COLUMNS": "100"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_only_prints_a_text_imports_no_torch():
    lines = {
        "--help": "Usage: elman",
        "--version": elman.__version__,
        "train --help": "Usage: elman train",
        "check --help": "Usage: elman check",
        "train ner --help": "Usage: elman train ner",
        **{f"predict {task} --help": "Usage: elman predict" for task in TASKS},
        "train ner --hidden 3": "--hidden",
        "predict nowhere --beam 3": "nowhere",
    }
    done = run([(line.split(), {}) for line in lines])
    for (line, wanted), (printed, imported) in zip(lines.items(), done, strict=True):
        assert wanted in printed, line
        assert not imported, line


def test_the_shell_completes_commands_tasks_flags_and_choices_without_torch():
    completions = {
        "elman tr": {"train"},
        "elman train sen": {"sentiment"},
        "elman train ner --optim": {"--optimizer"},
        "elman train ner --optimizer ": {"adamw", "sgd"},
        "elman predict sent": {"sentiment"},
        "elman new ne": {"ner"},
    }
    if "translation" in TASKS:
        completions["elman predict translation --be"] = {"--beam"}
    environments = [
        {
            "_ELMAN_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split()) - (not line.endswith(" "))),
        }
        for line in completions
    ]
    done = run([([], environment) for environment in environments])
    for (line, wanted), (printed, imported) in zip(completions.items(), done, strict=True):
        assert set(printed.split()) == wanted, line
        assert not imported, line


def test_the_version_is_printed(command):
    assert command("--version")[:2] == (0, f"{elman.__version__}\n")


@pytest.mark.parametrize("verb", ["demo", "new", "check", "train", "evaluate", "predict", "cells"])
def test_the_root_lists_the_commands_in_the_order_of_their_use(verb, command):
    status, out, _ = command("--help")
    assert status == 0
    order = [out.index(f"│ {each} ") for each in ("demo", "new", "check", "train", "predict")]
    assert order == sorted(order)
    assert f"│ {verb} " in out


def test_flags_show_types_ranges_and_choices(command):
    _, out, _ = command("train", "ner", "--help")
    for shown in (
        "<int >= 1>",
        "<0 <= float < 1>",
        "<adamw|sgd>",
        "<yes|no>",
        "<auto|1 <= int <= 1024>",
    ):
        assert shown in out


@pytest.mark.parametrize(
    ("line", "status", "sentence"),
    [
        (
            "train ner --hiden-size 3",
            2,
            "elman train ner: there is no flag --hiden-size; did you mean --hidden-size?",
        ),
        (
            "predict ner --beam 3",
            2,
            "elman predict: there is no flag --beam; see elman predict --help.",
        ),
        (
            "predict ner --png",
            2,
            "elman predict: there is no flag --png; see elman predict --help.",
        ),
        ("train chess", 1, 'elman: there is no task "chess"; choose from '),
        (
            "trian ner",
            2,
            "elman: no such command 'trian'. Did you mean 'train'?; see elman --help.",
        ),
        ("predict", 2, "elman predict: missing argument 'RUN'; see elman predict --help."),
        (
            "train ner d/train.conll",
            2,
            "elman train ner: unexpected argument d/train.conll; name the training data with "
            "--train; see elman train ner --help.",
        ),
        (
            "cells lstm gru",
            2,
            "elman cells: unexpected argument gru; see elman cells --help.",
        ),
        (
            "export ner",
            2,
            "elman export: missing option '--to'. Choose from: c, onnx, torch; see elman export",
        ),
        ("predict nowhere --beam 3", 1, "elman: nowhere: there is no such run folder"),
        (
            "export ner --to tourch",
            2,
            "elman export: invalid value for '--to': 'tourch' is not one of",
        ),
        ("train ner --seed", 2, "elman: option '--seed' requires an argument"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_sentence(command, line, status, sentence):
    found, out, err = command(*line.split())
    assert (found, out) == (status, "")
    assert err.startswith(sentence)
    assert err.count("\n") == 1


def test_no_arguments_are_answered_with_the_help(command):
    _, out, err = command()
    assert "Usage: elman" in out + err


@needs("dna", "music")
def test_the_demo_names_each_file_that_it_wrote(command, tmp_path):
    status, out, _ = command("demo", "dna", "music", "--out", tmp_path / "d")
    assert status == 0
    for path in (tmp_path / "d").iterdir():
        assert str(path) in out.partition("Files written:")[2]
    assert len(list((tmp_path / "d").iterdir())) == 4
