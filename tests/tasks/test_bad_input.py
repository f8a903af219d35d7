"""Each mistake that a user can make: one sentence, an exit status, nothing saved before lost."""

import json
import shutil
import signal
import subprocess
import sys
import textwrap

import pytest
import torch

import elman
from elman.errors import DataError, RunError, TrainingError
from elman.tasks import TASKS, Data, train
from elman.tasks.ner.data import Sentence
from elman.tasks.sentiment.data import Review
from elman.training.progress import Silence
from tasks.conftest import SMALL, samples

ner = TASKS["ner"]
sentiment = TASKS["sentiment"]


def fails(command, *arguments):
    """The one sentence of a command that fails."""
    status, out, err = command(*arguments)
    assert status == 1
    assert out == ""
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if line.startswith("elman: ")]
    assert len(lines) == 1, err
    return lines[0].removeprefix("elman: ")


@pytest.fixture
def run(trained, tmp_path):
    """A copy of a trained sentiment run, to be damaged."""
    return shutil.copytree(trained["sentiment"], tmp_path / "run")


BAD_TABLES = {
    "empty": (b"", "the file is empty"),
    "header only": (b"text,label\n", "there are no rows"),
    "missing column": (b"review,label\nfine,good\n", 'no column "text"; the columns are'),
    "undecodable": (b"text,label\ncaf\xe9,good\n", "UTF-8"),
    "empty text": (b"text,label\n ,good\n", 'line 2: the text (column "text") is empty'),
    "one label": (b"text,label\nfine,good\nnice,good\n", "every training text has the label"),
}


@pytest.mark.parametrize(("content", "sentence"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_bad_tables_are_refused_with_their_place(command, tmp_path, content, sentence):
    file = tmp_path / "train.csv"
    file.write_bytes(content)
    said = fails(command, "train", "sentiment", "--train", file, "--out", tmp_path / "r")
    assert sentence in said
    if "every training" not in sentence:
        assert str(file) in said
    assert not (tmp_path / "r").exists()


BAD_COLUMNS = {
    "illegal tags": (
        "Anna B-PER\nis O\nin I-LOC\n\nRome B-LOC\n",
        'line 3: the tag "I-LOC" follows "O"',
    ),
    "no tag": ("Anna B-PER\nis\n", 'line 2: "is" has no tag'),
    "only blank lines": ("\n\n\n", "the file is empty"),
    "no names": ("Anna O\nis O\n\nTom O\n", 'every word of the training data has the tag "O"'),
}


@pytest.mark.parametrize(("content", "sentence"), BAD_COLUMNS.values(), ids=BAD_COLUMNS)
def test_bad_columns_are_refused_with_their_place(command, tmp_path, content, sentence):
    file = tmp_path / "train.conll"
    file.write_text(content)
    assert sentence in fails(command, "train", "ner", "--train", file, "--out", tmp_path / "r")


def test_a_label_that_the_model_does_not_know_is_named_with_its_line(command, run, tmp_path):
    file = tmp_path / "test.csv"
    file.write_text("text,label\nfine,positive\nso so,mixed\n")
    said = fails(command, "evaluate", run, file)
    assert f'{file}, line 3: the model has no label "mixed"' in said
    assert "negative, positive" in said


def test_a_type_that_the_model_does_not_know_is_named_with_its_line(command, trained, tmp_path):
    file = tmp_path / "test.conll"
    file.write_text("Tom B-PER\n\nMonday B-DATE\n")
    said = fails(command, "evaluate", trained["ner"], file)
    assert f"{file}, line 3" in said
    assert 'the tag "B-DATE"' in said
    assert "LOC, ORG, PER" in said


def test_an_empty_input_is_refused_and_an_empty_sentence_is_answered(command, trained):
    assert "an input is empty" in fails(command, "predict", trained["ner"], " ")
    assert "an input is empty" in fails(command, "predict", trained["ner"], "")
    [answer] = elman.load(trained["ner"])([""])
    assert answer.names == ()


def test_a_file_that_is_not_there_is_not_taken_for_a_text(command, trained):
    assert "there is no such file" in fails(command, "predict", trained["sentiment"], "revews.csv")


@pytest.mark.parametrize("task", ["sentiment", "ner"])
def test_a_sentence_of_a_hundred_thousand_words_is_answered(trained, task):
    model = elman.load(trained[task])
    answers = model(["word " * 100_000, "Anna smiled ."])
    assert len(answers) == 2
    [alone] = model(["Anna smiled ."])
    if task == "ner":
        assert answers[1].names == alone.names
    else:
        assert answers[1].probability == pytest.approx(alone.probability, abs=1e-5)


def test_training_cuts_long_texts_and_never_inside_a_name():
    words = tuple(f"w{k}" for k in range(10))
    tags = ("O", "O", "B-PER", "I-PER", "I-PER", "O", "O", "O", "B-LOC", "I-LOC")

    pieces = ner.cut([Sentence(words, tags, "", ((0, 0),) * 10)], 4)
    assert [word for piece in pieces for word in piece.words] == list(words)
    assert all(len(piece.words) <= 4 for piece in pieces)
    assert not any(piece.tags[0].startswith("I-") for piece in pieces)
    [short] = sentiment.cut([Review("", words, "good")], 4)
    assert short.words == words[:4]


def test_a_loss_that_is_not_a_number_ends_training_and_keeps_the_best_weights(
    tmp_path, monkeypatch
):
    folder = samples(tmp_path, "sentiment")
    batches = []
    collate = sentiment.collate

    class Spoilt(torch.nn.Module):
        pass

    build = sentiment.build

    def spoiled_build(options, cell, learned):
        model = build(options, cell, learned)
        loss = model.loss

        def spoiled_loss(**batch):
            batches.append(batch)
            value = loss(**batch)
            return value * torch.nan if len(batches) > 25 else value

        model.loss = spoiled_loss
        return model

    monkeypatch.setattr(sentiment, "build", spoiled_build)
    monkeypatch.setattr(sentiment, "collate", collate)
    with pytest.raises(TrainingError, match=r"the loss is nan.*learning_rate"):
        train(sentiment, Data(folder / "train.csv"), folder / "run", SMALL, progress=Silence())
    assert (folder / "run" / "model.safetensors").exists()
    assert elman.load(folder / "run")(["fine"])


def test_foreign_damaged_and_future_run_folders_are_refused(command, run, tmp_path):
    assert "no such run folder" in fails(command, "predict", tmp_path / "nowhere", "text")
    (tmp_path / "foreign").mkdir()
    assert "not an Elman run folder" in fails(command, "predict", tmp_path / "foreign", "text")
    toml = (run / "run.toml").read_text()

    (run / "run.toml").write_text(toml.replace("format = 1", "format = 7"))
    said = fails(command, "predict", run, "text")
    assert "format 7" in said
    assert "Upgrade Elman" in said

    (run / "run.toml").write_text(toml.replace('job = "sentiment"', 'job = "chess"'))
    assert "the task is 'chess'" in fails(command, "predict", run, "text")

    (run / "run.toml").write_text("format = ")
    assert "this is not TOML" in fails(command, "predict", run, "text")

    (run / "run.toml").write_text(toml.replace("hidden_size = 12", "hidden_size = 13"))
    assert "model.safetensors" in fails(command, "predict", run, "text")
    (run / "run.toml").write_text(toml)

    weights = (run / "model.safetensors").read_bytes()
    (run / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    assert "model.safetensors" in fails(command, "predict", run, "text")
    (run / "model.safetensors").write_bytes(weights)

    symbols = (run / "symbols.json").read_text()
    (run / "symbols.json").write_text(symbols[:100])
    assert "symbols.json cannot be read" in fails(command, "predict", run, "text")
    (run / "symbols.json").write_text(symbols)

    (run / "cell.json").write_text('{"format": 9}')
    assert "a saved cell has format 9" in fails(command, "predict", run, "text")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [("the 1 2 3\nof 1 2\n", "line 2"), ("the 1 2 x\n", "line 1"), ("", "empty")],
)
def test_a_vector_file_with_a_wrong_line_is_refused(command, tmp_path, content, sentence):
    folder = samples(tmp_path, "sentiment")
    (folder / "vectors.txt").write_text(content)
    said = fails(
        command, "train", "sentiment", "--train", folder / "train.csv",
        "--out", folder / "r", "--vectors", folder / "vectors.txt",
    )  # fmt: skip
    assert sentence in said
    assert "vectors.txt" in said


def test_word_vectors_are_read_or_trained_and_start_the_embedding(tmp_path):
    folder = samples(tmp_path, "sentiment")
    (folder / "vectors.txt").write_text("film 0.5 -1.5\nwonderful 2 3\nzebra 4 5\n")
    settings = {
        **SMALL,
        "vectors": str(folder / "vectors.txt"),
        "frozen_vectors": True,
        "epochs": 1,
        "phrases": 0,
    }
    data = Data(folder / "train.csv")
    model, _ = train(sentiment, data, folder / "a", settings, progress=Silence())
    weight = model.model.embedding.weight
    assert weight[model.symbols.words.index("zebra")].tolist() == [4, 5]
    assert weight[model.symbols.words.index("film")].tolist() == [0.5, -1.5]
    again = elman.load(folder / "a").model.embedding.weight
    assert torch.equal(again, weight), "a run folder needs the vectors' file no more"
    trained, _ = train(
        sentiment,
        data,
        folder / "b",
        {**SMALL, "vectors": "train", "epochs": 1, "phrases": 0},
        progress=Silence(),
    )
    assert trained.model.embedding.weight.shape[1] == SMALL["embedding_size"]


def test_options_that_cannot_be_are_refused(command, tmp_path):
    folder = samples(tmp_path, "sentiment")
    start = ("train", "sentiment", "--train", folder / "train.csv", "--out", folder / "r")
    for flag, sentence in {
        "hidden_sise=3": 'no option "hidden_sise"; did you mean "hidden_size"?',
        "hidden_size=many": "hidden_size is 'many'; it must be an integer",
        "dropout=1.5": "dropout is 1.5",
        "pooling=first": "pooling is 'first'",
        "epochs=0": "epochs is 0; it must be at least 1",
        "epochs": "is not of the form key=value",
    }.items():
        assert sentence in fails(command, *start, "--set", flag)
    assert "--train is missing" in fails(command, "train", "sentiment")
    assert 'there is no task "chess"' in fails(command, "new", "chess", tmp_path / "x")
    assert not (folder / "r").exists()


@pytest.mark.thorough
def test_a_run_that_was_killed_goes_on_to_the_same_weights(tmp_path):
    """Killed from outside, at whatever moment that is; `tests/training` kills inside a save."""
    folder = samples(tmp_path, "ner")
    program = textwrap.dedent("""
        import sys
        from elman import cli
        sys.argv = ["elman", "train", "ner", *sys.argv[1:]]
        cli.main()
    """)
    flags = ["--train", "train.conll", "--valid", "valid.conll", "--epochs", "6", "--threads", "1"]
    flags += ["--hidden-size", "8", "--checkpoint-seconds", "0", "--average-weights", "0.9"]

    def run(*more, kill_after=None):
        with subprocess.Popen(
            [sys.executable, "-c", program, *flags, *more],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            for line in process.stderr:
                if kill_after is not None and line.startswith(f"epoch {kill_after} "):
                    process.send_signal(signal.SIGKILL)
        return process.returncode

    assert run("--out", "whole") == 0
    assert run("--out", "parts", kill_after=2) == -signal.SIGKILL
    assert run("--out", "parts", "--resume", kill_after=4) == -signal.SIGKILL
    assert run("--out", "parts", "--resume") == 0
    whole, parts = [(folder / run / "model.safetensors").read_bytes() for run in ("whole", "parts")]
    assert whole == parts
    lines = [
        [
            {key: value for key, value in json.loads(line).items() if key != "seconds"}
            for line in (folder / run / "history.jsonl").read_text().splitlines()
        ]
        for run in ("whole", "parts")
    ]
    assert lines[0] == lines[1]
    assert len(lines[0]) == 6


def test_a_seed_reproduces_and_another_does_not(tmp_path):
    folder = samples(tmp_path, "sentiment")
    weights = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        settings = {**SMALL, "epochs": 2, "seed": seed, "dropout": 0.3}
        train(sentiment, Data(folder / "train.csv"), folder / name, settings, progress=Silence())
        weights.append((folder / name / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]


def test_resuming_with_other_data_or_options_is_refused(tmp_path):
    folder = samples(tmp_path, "sentiment")
    data = Data(folder / "train.csv")
    settings = {**SMALL, "epochs": 1}
    train(sentiment, data, folder / "r", settings, progress=Silence())
    with pytest.raises(Exception, match="started with hidden_size 12, and resuming cannot change"):
        train(
            sentiment, data, folder / "r", {**settings, "hidden_size": 13}, resume=True,
            progress=Silence(),
        )  # fmt: skip
    with open(folder / "train.csv", "a") as stream:
        stream.write("a further film,positive\n")
    with pytest.raises(RunError, match="started with other training data"):
        train(sentiment, data, folder / "r", settings, resume=True, progress=Silence())


def test_a_full_disk_leaves_the_old_model(tmp_path, monkeypatch):
    folder = samples(tmp_path, "sentiment")
    data = Data(folder / "train.csv")
    train(sentiment, data, folder / "r", {**SMALL, "epochs": 1}, progress=Silence())
    before = (folder / "r" / "model.safetensors").read_bytes()
    import os

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"No space left on device.*untouched"):
        train(
            sentiment, data, folder / "r", {**SMALL, "epochs": 3}, resume=True, progress=Silence()
        )
    monkeypatch.undo()
    assert (folder / "r" / "model.safetensors").read_bytes() == before
    assert elman.load(folder / "r")(["fine"])
    assert not list((folder / "r").rglob(".*.part"))


def test_too_few_examples_are_refused(tmp_path):
    (tmp_path / "train.csv").write_text("text,label\nfine,good\n")
    with pytest.raises(DataError, match="too few to train on"):
        train(sentiment, Data(tmp_path / "train.csv"), tmp_path / "r", SMALL, progress=Silence())
