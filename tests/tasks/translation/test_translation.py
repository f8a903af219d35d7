import io
import json
import sys

import pytest
import torch

import elman
from elman.errors import DataError, OptionError
from elman.files import write_whole
from elman.tasks import TASKS, Data, train
from elman.tasks.task import Fitted
from elman.tasks.translation.data import Pair, most_subwords
from elman.training.progress import Silence

translation = TASKS["translation"]

#: options with which the samples train in two seconds
SMALL = {
    "cell": "gru", "hidden_size": 24, "embedding_size": 24, "vocabulary": 400, "dropout": 0.0,
    "label_smoothing": 0.0, "epochs": 32, "learning_rate": 0.015, "warmup_steps": 0, "patience": 40,
    "average_weights": 0.0, "threads": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The samples and a run that was trained on them."""
    folder = tmp_path_factory.mktemp("translation")
    for name, text in translation.samples().items():
        write_whole(folder / name, text)
    data = Data(folder / "train.tsv", folder / "train.tsv", "samples", "Apache-2.0")
    train(translation, data, folder / "run", SMALL, progress=Silence())
    return folder


@pytest.mark.thorough
def test_small_samples_are_learned_by_heart(folder):
    model = elman.load(folder / "run")
    assert model.evaluate(folder / "train.tsv")["bleu"] > 90
    [answer] = model(["Où est le chat?"])
    assert answer.translation == "Where is the cat?"
    assert model("Où est le chat\u00a0?")[0].translation == answer.translation


def test_new_check_train_evaluate_predict_and_resume_go_through(command, tmp_path):
    data, run = tmp_path / "d", tmp_path / "run"
    assert command("new", "translation", data)[0] == 0
    status, out, _ = command("check", "translation", data / "train.tsv")
    assert (status, "ready to train" in out) == (0, True)
    arguments = (
        "train", "translation", "--train", data / "train.tsv", "--valid", data / "valid.tsv",
        "--out", run, "--set", "hidden_size=8", "--set", "embedding_size=8", "--vocabulary", 300,
        "--threads", 1, "--seed", 2,
    )  # fmt: skip
    status, out, err = command(*arguments, "--epochs", 1)
    assert status == 0, err
    status, _, err = command(*arguments, "--epochs", 2, "--resume")
    assert status == 0, err
    assert "Resuming in epoch 2" in err
    status, out, _ = command("evaluate", run, data / "valid.tsv", "--json", "--beam", 2)
    scores = json.loads(out)
    assert status == 0
    assert scores.keys() >= {"bleu", "chrf", "loss", "examples"}
    assert "tok:13a" in scores["bleu_signature"]
    status, out, _ = command("evaluate", run, data / "valid.tsv")
    assert "version:" in out
    status, out, _ = command("predict", run, "Bonjour !", "Oui.", "--json", "--n-best", 2)
    answers = json.loads(out)["predictions"]
    assert [each["text"] for each in answers] == ["Bonjour !", "Oui."]
    assert [len(each["n_best"]) for each in answers] == [2, 2]
    assert answers[0]["n_best"][0]["score"] >= answers[0]["n_best"][1]["score"]


def test_two_aligned_files_train_evaluate_and_are_known_again(command, folder, tmp_path):
    rows = [line.split("\t") for line in translation.samples()["train.tsv"].splitlines()]
    for name, side in (("fr", 0), ("en", 1)):
        write_whole(tmp_path / f"t.{name}", "".join([row[side] + "\n" for row in rows]))
    both = f"{tmp_path / 't.fr'},t.en"
    assert command("check", "translation", both)[0] == 0
    arguments = ("train", "translation", "--train", both, "--out", tmp_path / "run", "--threads", 1,
                 "--set", "hidden_size=4", "--set", "embedding_size=4")  # fmt: skip
    status, _, err = command(*arguments, "--epochs", 1)
    assert status == 0, err
    _, out, _ = command("evaluate", folder / "run", both, "--json")
    scores = json.loads(out)
    assert scores["bleu"] == elman.load(folder / "run").evaluate(folder / "train.tsv")["bleu"]
    write_whole(tmp_path / "t.en", "".join([row[1] + "!\n" for row in rows]))
    status, _, err = command(*arguments, "--epochs", 2, "--resume")
    assert status == 1
    assert "started with other training data" in err


def test_check_finds_sentences_of_either_side_in_another_split(command, tmp_path):
    (tmp_path / "a.tsv").write_text("Oui.\tYes.\nNon.\tNo.\nSi !\tOh yes!\nEt ?\tAnd?\n")
    (tmp_path / "b.tsv").write_text("Allez.\tGo.\nsi\tIf.\nBien sûr.\tYES\n")
    arguments = ("check", "translation", tmp_path / "a.tsv", "--against", tmp_path / "b.tsv")
    status, out, _ = command(*arguments, "--json")
    assert status == 1
    problems = json.loads(out)["problems"]
    assert [each.partition(": this")[0].rpartition(" ")[2] for each in problems] == ["1", "3"]
    assert f"({tmp_path / 'b.tsv'}, line 3)" in problems[0]
    (tmp_path / "b.tsv").write_text("Allez.\tGo.\n")
    assert command(*arguments)[0] == 0


def test_all_translations_of_a_sentence_are_its_references(folder, tmp_path):
    model = elman.load(folder / "run")
    [answer] = model(["Le chat dort."])
    path = tmp_path / "test.tsv"
    write_whole(
        path, f"Le chat dort.\tNo, not at all, my friend.\nLe chat dort.\t{answer.translation}\n"
    )
    scores = model.evaluate(path)
    assert (scores["bleu"], scores["chrf"]) == (pytest.approx(100), pytest.approx(100))
    assert (scores["examples"], scores["references"]) == (1, 2)


def test_attention_is_shown_in_the_terminal_as_json_and_as_a_picture(command, folder, tmp_path):
    run = folder / "run"
    _, out, _ = command("predict", run, "Le chat dort.", "--show", "attention")
    first, sources, *targets = out.splitlines()
    symbols = elman.load(run).symbols
    pieces = [
        [*side.pieces(side.encode(text)), "end"]
        for side, text in ((symbols.source, "Le chat dort."), (symbols.target, first))
    ]
    assert sources.split() == pieces[0]
    assert [line.split()[0] for line in targets] == pieces[1]
    picture = tmp_path / "a.png"
    _, out, _ = command(
        "predict", run, "Le chat dort.", "Bonjour, Anna !", "--png", picture, "--json"
    )
    weights = torch.tensor(json.loads(out)["predictions"][0]["attention"]["weights"])
    assert weights.shape == (len(pieces[1]), len(pieces[0]))
    torch.testing.assert_close(weights.sum(1), torch.ones(len(weights)), atol=1e-3, rtol=0)
    for path in (picture, tmp_path / "a-2.png"):
        assert path.read_bytes().startswith(b"\x89PNG")


def test_standard_input_tables_and_long_or_empty_sentences_are_answered(
    command, folder, tmp_path, monkeypatch
):
    run = folder / "run"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Bonjour !\n\n  Oui.\n")))
    _, out, _ = command("predict", run, "--json")
    assert [each["text"] for each in json.loads(out)["predictions"]] == ["Bonjour !", "", "  Oui."]
    _, out, _ = command("predict", run, folder / "valid.tsv", "--json")
    assert len(json.loads(out)["predictions"]) == 10
    _, out, _ = command("predict", run, "Le chat dort. " * 200)
    assert out.count("cat") == 200, "a text of any length is translated to its end"
    assert "note" not in out
    empty, other = elman.load(run)(["", "Bonjour !"])
    assert (empty.translation, empty.n_best[0][0]) == ("", "")
    assert other.translation
    unknown = elman.load(run)(["字 ☃ 🙂 [bold]"], show="attention")
    assert isinstance(translation.show(unknown[0]), str)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--beam", 0), "beam is 0; it must be at least 1"),
        (("--n-best", 9), "n_best is 9; it must be from 1 to the beam size, 5"),
        (("--length-penalty", -1), "length_penalty is -1"),
        (("--show", "everything"), "show is 'everything'"),
    ],
)
def test_flags_that_cannot_be_end_with_a_sentence(command, folder, flags, sentence):
    status, out, err = command("predict", folder / "run", "Bonjour !", *flags)
    assert (status, out) == (1, "")
    assert sentence in err


def test_bad_files_and_options_are_refused_before_training(command, tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("Oui.\tYes.\nNon.\n")
    status, _, err = command("train", "translation", "--train", path, "--out", tmp_path / "r")
    assert status == 1
    assert f"{path}, line 2: there is 1 column" in err
    path.write_text("Oui.\tYes.\n")
    with pytest.raises(DataError, match="one example is too few"):
        train(translation, Data(path), tmp_path / "r", {}, progress=Silence())
    with pytest.raises(OptionError, match="vocabulary is 20"):
        train(translation, Data(path), tmp_path / "r", {"vocabulary": 20}, progress=Silence())
    assert not (tmp_path / "r").exists()


def test_training_is_the_same_again_by_its_seed_and_every_option_builds(folder, tmp_path):
    data = Data(folder / "train.tsv", folder / "valid.tsv")
    small = {**SMALL, "epochs": 1, "hidden_size": 6, "embedding_size": 6, "dropout": 0.3}
    runs = [
        train(translation, data, tmp_path / str(k), small, progress=Silence())[0] for k in (0, 1)
    ]
    first, second = [each.model.state_dict() for each in runs]
    assert all(torch.equal(first[name], second[name]) for name in first)
    others = {
        "joint": True, "input_feeding": True, "attention": "additive",
        "cell": "coupled_lstm", "label_smoothing": 0.1, "encoder_layers": 2,
    }  # fmt: skip
    train(translation, data, tmp_path / "other", {**small, **others}, progress=Silence())
    assert elman.load(tmp_path / "other")(["Bonjour !"])[0].n_best


def test_a_batch_holds_the_target_after_a_start_and_up_to_an_end(folder):
    model = elman.load(folder / "run")
    pairs = [Pair("Oui.", "Yes."), Pair("", "")]
    batch = translation.collate(pairs, model.symbols, model.options)
    yes = model.symbols.target.encode("Yes.")
    assert batch["target"][:, 0].tolist() == [2, *yes]
    assert batch["following"][:, 0].tolist() == [*yes, 3]
    assert batch["target_lengths"].tolist() == [len(yes) + 1, 1]
    assert batch["lengths"].tolist()[1] == 1
    fitted = Fitted(model.model, model.symbols, model.options)
    assert translation.validate(fitted, pairs).keys() == {"bleu", "chrf", "loss", "answers"}


def test_a_word_of_many_letters_is_cut_after_a_bound_of_sub_words(folder):
    model = elman.load(folder / "run")
    most = most_subwords(model.options)
    long = "x\u0439" * most
    [answer] = model([long], beam=1)
    assert answer.note == f"only its first {most} subwords were translated"
    batch = translation.collate(
        [Pair(long, long), Pair("Oui.", "Yes.")],
        model.symbols,
        model.options,
    )
    assert batch["source"].shape == batch["target"].shape == (most + 1, 2)
    assert model(["Oui."])[0].note == ""
