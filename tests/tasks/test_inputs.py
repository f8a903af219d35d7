"""What `elman predict` is given comes back answered: each line, in whatever encoding it is shown."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import elman
from elman.errors import OptionError
from elman.tasks import TASKS, Data, train
from elman.training.progress import Silence
from tasks.conftest import needs

#: six lines to an editor that counts as `wc` does, and more to Python's `str.splitlines`
LINES = "Anna smiled.\n\nTom\u2028and\x0bMia\x0c left\x85 early\x1c.\r\n \nYes\rno.\nBye."


def predictions(command, monkeypatch, *arguments, given=None):
    if given is not None:
        stream = io.TextIOWrapper(io.BytesIO(given.encode()), encoding="utf-8")
        monkeypatch.setattr(sys, "stdin", stream)
    status, out, err = command("predict", *arguments, "--json")
    assert status == 0, err
    return json.loads(out)["predictions"]


@pytest.mark.parametrize("task", sorted({"sentiment", "ner", "translation"} & TASKS.keys()))
def test_there_are_as_many_answers_as_lines(command, monkeypatch, tmp_path, task):
    (tmp_path / "lines.txt").write_bytes(LINES.encode())
    from_file = predictions(command, monkeypatch, task, tmp_path / "lines.txt")
    from_input = predictions(command, monkeypatch, task, given=LINES)
    texts = LINES.replace("\r\n", "\n").split("\n")
    assert [each["text"] for each in from_file] == texts
    assert from_file == from_input


@pytest.mark.parametrize("task", sorted({"sentiment", "ner", "translation"} & TASKS.keys()))
@pytest.mark.parametrize("value", [3, None])
def test_an_input_that_is_no_text_is_refused(task, value):
    kind = type(value).__name__
    with pytest.raises(OptionError, match=f"{task}: an input has type {kind}; pass a string"):
        TASKS[task].as_input(value)


@needs("ner")
def test_evaluate_and_train_take_strings_as_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("d.conll").write_text(TASKS["ner"].samples()["valid.conll"])
    assert elman.load("ner").evaluate("d.conll", map="LOC=O")["examples"] == 8
    settings = {"epochs": 1, "hidden_size": 4, "threads": 1}
    train(TASKS["ner"], Data("d.conll", "d.conll"), "run", settings, progress=Silence())
    assert Path("run", "card.md").exists()


@needs("dna")
def test_a_blank_line_of_bases_has_an_answer_without_genes(command, monkeypatch):
    found = predictions(command, monkeypatch, "dna", given="ACGT\n\nAGCCCC\n")
    assert [each["length"] for each in found] == [4, 0, 6]
    assert found[1]["genes"] == []
    status, out, _ = command("predict", "dna", "ACGT")
    assert status == 0
    assert "4 bases" in out


@needs("sentiment")
def test_a_text_longer_than_any_name_is_a_text(command, monkeypatch):
    text = "a good film " * 30
    [answer] = predictions(command, monkeypatch, "sentiment", text)
    assert answer["text"] == text


@pytest.mark.parametrize("name", ["a" * 5000, "b" * 300, "none", "pipe"])
@pytest.mark.parametrize(
    ("verb", "task", "ending"),
    [
        pytest.param(*case, marks=needs(case[1]))
        for case in [
            ("check", "sentiment", ".csv"),
            ("check", "ner", ".conll"),
            ("check", "translation", ".tsv"),
            ("check", "dna", ".fa"),
            ("evaluate", "sentiment", ".csv"),
            ("evaluate", "dna", ".fa"),
        ]
    ],
)
def test_a_name_that_is_no_file_is_refused_and_never_waited_for(
    command, tmp_path, verb, task, ending, name
):
    for each in (ending, ".gff3"):
        os.mkfifo(tmp_path / f"pipe{each}")
    status, out, err = command(verb, task, tmp_path / f"{name}{ending}")
    assert status == 1
    assert "Traceback" not in out + err
    assert "a pipe" in out + err or "no such file" in out + err or "longer than" in out + err


def test_a_terminal_that_is_not_unicode_gets_escapes_and_json_stays_whole(tmp_path):
    where = {**os.environ, "PYTHONIOENCODING": "ascii", "LANG": "C", "PYTHONUTF8": "0"}

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "elman.cli", *arguments],
            env=where,
            capture_output=True,
            cwd=tmp_path,
            check=True,
        ).stdout.decode("ascii")

    file: Path = tmp_path / "caf\u00e9.txt"
    file.write_text("Zo\u00eb met \u6797\u8587 in \u0141\u00f3d\u017a.\n", encoding="utf-8")
    assert "Zo\\xeb" in run("predict", "ner", str(file))
    record = json.loads(run("predict", "ner", str(file), "--json"))
    assert record["predictions"][0]["text"] == "Zo\u00eb met \u6797\u8587 in \u0141\u00f3d\u017a."


def test_bytes_that_are_no_text_are_refused(command):
    status, _, err = command("predict", "sentiment", "caf\udce9")
    assert status == 1
    assert 'the input "caf\\udce9" is not UTF-8' in err
