import io
import json
import subprocess
import sys

import pytest
import torch

import elman
from tasks.conftest import samples


def test_a_run_file_trains_and_flags_come_before_it(command, tmp_path):
    command("new", "sentiment", tmp_path / "d")
    status, _, err = command(
        "train", "sentiment", "--run-file", tmp_path / "d" / "run.toml", "--out", tmp_path / "r",
        "--epochs", 1, "--hidden-size", 4, "--threads", 1,
    )  # fmt: skip
    assert status == 0, err
    settings = elman.load(tmp_path / "r").folder.settings()
    assert settings["training"]["epochs"] == 1
    assert settings["data"]["valid_examples"] == 20


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("job = 'ner'", 'this is for the task "ner", not for "sentiment"'),
        ("[options]\nhiden_size = 3", 'no option "hiden_size"; did you mean "hidden_size"?'),
        ("colour = 1", 'unknown key "colour"; choose from task, train'),
        ("job = ", "this is not TOML"),
        (
            "[options]\nhidden_size = 'big'",
            "[options]: hidden_size is 'big'; it must be an integer",
        ),
        ("[training]\nepochs = 0", "[training]: epochs is 0; it must be at least 1"),
    ],
)
def test_a_run_file_that_cannot_be_obeyed_is_refused(command, tmp_path, text, sentence):
    file = tmp_path / "run.toml"
    file.write_text(text)
    status, _, err = command("train", "sentiment", "--run-file", file)
    assert status == 1
    assert sentence in err
    assert str(file) in err


def test_a_run_file_that_does_not_exist_is_named(command, tmp_path):
    status, _, err = command("train", "sentiment", "--run-file", tmp_path / "nope.toml")
    assert status == 1
    assert err == (
        f"elman: {tmp_path / 'nope.toml'}: there is no such file; check its name and folder.\n"
    )


def test_new_never_overwrites(command, tmp_path):
    (tmp_path / "train.conll").write_text("mine")
    status, _, err = command("new", "ner", tmp_path)
    assert status == 1
    assert "train.conll: this file already exists" in err
    assert (tmp_path / "train.conll").read_text() == "mine"
    assert not (tmp_path / "run.toml").exists()


def test_training_never_overwrites_a_run_and_names_the_next_folder(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command("new", "sentiment", "d")
    arguments = ("train", "sentiment", "--train", "d/train.csv", "--epochs", 1, "--threads", 1)
    assert command(*arguments)[0] == 0
    assert command(*arguments)[0] == 0
    assert (tmp_path / "runs" / "sentiment-2" / "model.safetensors").exists()
    before = (tmp_path / "runs" / "sentiment" / "model.safetensors").read_bytes()
    status, _, err = command(*arguments, "--out", "runs/sentiment")
    assert status == 1
    assert "--resume" in err
    assert (tmp_path / "runs" / "sentiment" / "model.safetensors").read_bytes() == before


def test_the_catalogue_and_the_equations_are_printed(command):
    status, out, _ = command("cells")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == [*elman.cells.ALL]
    assert command("cells", "lstm")[1].splitlines()[4:] == [
        "c' = f * c + i * g",
        "h' = o * tanh(c')",
    ]
    assert command("cells", "lstm", "--latex")[1].startswith(r"\begin{aligned}")
    status, _, err = command("cells", "lstn")
    assert status == 1
    assert 'there is no cell "lstn"; choose from rnn' in err


def test_a_cell_of_ones_own_trains_and_its_run_needs_the_file_no_more(command, tmp_path):
    file = tmp_path / "my_cells.py"
    file.write_text(
        "from elman import cell, sigmoid, tanh\n"
        "@cell(gates='f g')\n"
        "def mgu(x, h, *, W, b):\n"
        "    f = sigmoid(W.f @ [h, x] + b.f)\n"
        "    g = tanh(W.g @ [f * h, x] + b.g)\n"
        "    return (1 - f) * h + f * g\n"
    )
    command("new", "sentiment", tmp_path / "d")
    status, _, err = command(
        "train", "sentiment", "--train", tmp_path / "d/train.csv", "--out", tmp_path / "r",
        "--cell", f"{file}:mgu", "--epochs", 1, "--hidden-size", 4, "--threads", 1,
    )  # fmt: skip
    assert status == 0, err
    file.unlink()
    model = elman.load(tmp_path / "r")
    assert model.cell.name == "mgu"
    assert str(model.cell).startswith("f = σ(W.f · [h, x] + b.f)")
    for wrong, sentence in ((f"{file}:mgu", "no Python file"), ("lstn", "not in the catalogue")):
        status, _, err = command(
            "train", "sentiment", "--train", tmp_path / "d/train.csv", "--out", tmp_path / "q",
            "--cell", wrong,
        )  # fmt: skip
        assert status == 1
        assert sentence in err


def test_standard_input_files_and_folders_are_read(trained, command, tmp_path, monkeypatch):
    lines = "Anna is here .\n\n  Tom too .\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    _, out, _ = command("predict", trained["ner"], "--json")
    found = [each["text"] for each in json.loads(out)["predictions"]]
    assert found == ["Anna is here .", "", "  Tom too ."], "an answer for each line"
    text = tmp_path / "a.txt"
    text.write_text(lines)
    _, out, _ = command("predict", trained["ner"], text, "--json")
    assert [each["text"] for each in json.loads(out)["predictions"]] == found
    columns = tmp_path / "a.conll"
    columns.write_text("Anna\nsmiled\n\nTom\n")
    _, out, _ = command("predict", trained["ner"], columns, "--json")
    assert [each["text"] for each in json.loads(out)["predictions"]] == ["Anna smiled", "Tom"]
    table = tmp_path / "a.csv"
    table.write_text("text\nA fine film .\n")
    _, out, _ = command("predict", trained["sentiment"], table, text, "--json")
    assert len(json.loads(out)["predictions"]) == 4


def test_names_are_found_at_their_places_in_the_text(trained):
    model = elman.load(trained["ner"])
    text = "[PER] “Anna Berg”   met Tom in Paris."
    [answer] = model([text])
    assert answer.text == text
    for name in answer.names:
        assert text[name.start : name.end] == name.text
    [words] = model([["Anna", "Berg", "met", "Tom"]])
    assert words.text == "Anna Berg met Tom"


def test_probabilities_sum_to_one_and_the_rating_is_the_largest(trained):
    for rating in elman.load(trained["sentiment"])(["A wonderful film", "", "☃ 字"]):
        assert sum(rating.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert rating.probability == max(rating.probabilities.values())


def test_small_samples_are_learned(trained):
    """Not a claim about quality: a training that learns nothing at all would not pass."""
    folder = trained["sentiment"].parent
    assert elman.load(trained["sentiment"]).evaluate(folder / "train.csv")["accuracy"] > 0.9
    folder = trained["ner"].parent
    assert elman.load(trained["ner"]).evaluate(folder / "train.conll")["f1"] > 0.8


def test_json_goes_to_standard_output_alone(trained, command):
    _, out, _ = command("check", "ner", trained["ner"].parent / "train.conll", "--json")
    assert json.loads(out)["problems"] == []
    assert out.count("\n") == 1


def test_the_module_runs_as_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "elman.cli", "cells", "rnn"], capture_output=True, text=True
    )
    assert done.stdout.strip() == "a' = tanh(W.a · [a, x] + b.a)"


def test_benchmark_prints_figures_and_json(command, monkeypatch):
    from elman.benchmark import Shape, short

    one = [Shape(3, 2, 4, 5)]
    measure = short.short_benchmark
    monkeypatch.setattr(
        short, "short_benchmark", lambda *a, **k: measure(*a, **k, shapes=one, seconds=0.0)
    )
    status, out, _ = command("benchmark", "--threads", 1)
    assert status == 0
    assert "torch.nn.LSTM" in out
    assert "Recurrent(lstm): " in out, "it says which engine ran"
    status, out, _ = command("benchmark", "--cell", "gru", "--threads", 1, "--json")
    assert status == 0
    assert {r["rival"] for r in json.loads(out)["results"]} == {"eager loop"}
    status, out, _ = command("benchmark", "--cell", "scrn", "--sizes", "context=3", "--threads", 1)
    assert status == 0
    assert "context 3." in out
    heads = ("--heads", 1, "--key-size", 3)
    status, out, _ = command("benchmark", "--cell", "mlstm", *heads, "--threads", 1, "--json")
    assert status == 0
    assert json.loads(out)["options"] == {"heads": 1, "key_size": 3}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--threads", 0], "--threads is 0"),
        (["--cell", "lstn"], "lstn"),
        (["--cell", "lstmp"], "lstmp: the cell has the size projection; give its number, as in"),
        (["--cell", "gru", "--sizes", "rank=3"], "sizes names rank, but the cell has no sizes"),
    ],
)
def test_benchmark_refuses_what_cannot_be(command, arguments, sentence):
    status, out, err = command("benchmark", *arguments)
    assert (status, out) == (1, "")
    assert sentence in err


def test_the_plan_of_a_cell_is_a_page_for_the_sizes_asked_for(command):
    status, out, _ = command("cells", "gru", "--plan", "--input-size", 5, "--hidden-size", 7)
    assert status == 0
    assert out.startswith("gru, input 5, hidden 7, float32: the plan of the native engine\n")
    assert "phase 2 of 2" in out
    assert command("cells", "gru", "--plan", "--hidden-size", 0)[0] == 2
    status, out, err = command("cells", "--plan")
    assert (status, out) == (1, "")
    assert "--plan needs the name of a cell" in err


@pytest.mark.parametrize("model", ["recurrent", "bag_of_words"])
def test_phrases_stand_beside_a_model_on_the_whole_way(model, command, tmp_path):
    command("new", "sentiment", tmp_path / "d")
    run = tmp_path / "run"
    status, _, err = command(
        "train", "sentiment", "--train", tmp_path / "d" / "train.csv", "--out", run,
        "--valid", tmp_path / "d" / "valid.csv", "--epochs", 2, "--hidden-size", 4,
        "--threads", 1, "--phrases", 2, "--model", model,
    )  # fmt: skip
    assert status == 0, err
    trained = elman.load(run)
    assert trained.model.bayes.evidence.any(), "what was counted is saved with the weights"
    assert any(" " in phrase for phrase in trained.symbols.phrases.words)
    [plain, capitals] = trained(["I hated it , a bore .", "I Hated it , A BORE ."])
    assert plain.probabilities == capitals.probabilities
    status, out, _ = command("evaluate", run, tmp_path / "d" / "valid.csv", "--json")
    assert status == 0
    assert json.loads(out)["accuracy"] > 0.5, "what was counted tells more than chance"
    status, _, err = command("train", "sentiment", "--train", tmp_path / "d", "--phrases", -1)
    assert status == 1
    assert "phrases is -1; it must be at least 0." in err


def test_a_run_begins_with_the_weights_of_another(command, tmp_path):
    folder = samples(tmp_path, "sentiment")
    arguments = ("train", "sentiment", "--train", folder / "train.csv", "--threads", 1)
    first, second = tmp_path / "first", tmp_path / "second"
    assert command(*arguments, "--out", first, "--hidden-size", 6, "--epochs", 1)[0] == 0
    follow = (*arguments, "--init-from", first, "--out", second, "--learning-rate", "1e-9")
    status, _, err = command(*follow, "--epochs", 1)
    assert status == 0, err
    a, b = elman.load(first), elman.load(second)
    assert b.options == a.options
    assert b.symbols.to_json() == a.symbols.to_json()
    for mine, theirs in zip(b.model.parameters(), a.model.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)
    assert f"initial weights: {first}" in (second / "card.md").read_text()
    status, _, err = command(*follow, "--epochs", 2, "--resume")
    assert status == 0, err
    assert "epoch 2 of 2" in err


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (
            ("--init-from", "sentiment", "--hidden-size", 7),
            "init_from: the weights of sentiment do not fit a model with these options "
            "(for example encoder.layers.0.0.W.z); omit options that change the layers of the model.",
        ),
        (("--init-from", "ner"), "init_from: ner is a model for ner, not for sentiment."),
        (("--init-from", "nowhere"), "nowhere: there is no such run folder"),
    ],
)
def test_weights_that_cannot_be_begun_with_are_one_sentence(command, tmp_path, flags, sentence):
    folder = samples(tmp_path, "sentiment")
    out = tmp_path / "run"
    status, _, err = command(
        "train", "sentiment", "--train", folder / "train.csv", "--out", out, *flags
    )
    assert status == 1
    assert sentence in " ".join(err.split())


def test_labels_that_are_new_to_a_model_begin_anew_and_all_else_is_kept(command, tmp_path):
    texts = [f"film {k} is {word},{word}\n" for k in range(9) for word in ("good", "bad")]
    more = [f"film {k} is middling,middling\n" for k in range(9)]
    path, other = tmp_path / "a.csv", tmp_path / "b.csv"
    path.write_text("".join(["text,label\n", *texts]))
    other.write_text("".join(["text,label\n", *texts, *more]))
    sizes = ("--hidden-size", 6, "--learning-rate", "1e-9", "--epochs", 1, "--threads", 1)
    sizes += ("--phrases", 0)
    for out, more in (("one", ()), ("two", ("--init-from", tmp_path / "one"))):
        data = path if out == "one" else other
        arguments = ("train", "sentiment", "--train", data, "--out", tmp_path / out, *sizes, *more)
        status, _, err = command(*arguments)
        assert status == 0, err
    one, two = elman.load(tmp_path / "one"), elman.load(tmp_path / "two")
    assert two.symbols.labels == ("bad", "good", "middling")
    assert two.symbols.words.words == one.symbols.words.words
    weights = one.model.state_dict()
    for name, mine in two.model.state_dict().items():
        if name.startswith("output."):
            assert len(mine) == 3
        else:
            torch.testing.assert_close(mine, weights[name], rtol=1e-5, atol=1e-6)


def test_the_old_name_of_init_from_still_works(command, tmp_path):
    folder = samples(tmp_path, "sentiment")
    start = ("train", "sentiment", "--epochs", 1, "--threads", 1)
    data = ("--train", folder / "valid.csv")
    assert command(*start, *data, "--out", folder / "a", "--hidden-size", 5)[0] == 0
    (folder / "run.toml").write_text(
        f"job = 'sentiment'\ntrain = 'valid.csv'\nstart = '{folder / 'a'}'"
    )
    assert command(*start, *data, "--out", folder / "b", "--start", folder / "a")[0] == 0
    assert command(*start, "--run-file", folder / "run.toml", "--out", folder / "c")[0] == 0
    assert [elman.load(folder / name).options.hidden_size for name in "abc"] == [5, 5, 5]
    assert "--start" not in command("train", "sentiment", "--help")[1]


def test_a_missing_file_has_no_statistics(command, tmp_path):
    status, out, _ = command("check", "sentiment", tmp_path / "none.csv")
    assert status == 1
    (line,) = out.replace("\n", " ").strip().split("problem:")[1:]
    assert out.startswith("problem:")
    assert "none.csv" in line
