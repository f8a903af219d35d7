"""Wrong examples can be left out, counted and listed, and labels read as others."""

import json

import pytest

import elman
from elman.errors import DataError, DataWarning, OptionError
from elman.tasks import TASKS, Data, train
from elman.tasks.label_map import label_map
from elman.training.progress import Silence
from tasks.conftest import SMALL, samples

#: a wrong example for the end of each task's training file, and what is said of it
WRONG = {
    "sentiment": ("no label,\n", 'the label (column "label") is empty'),
    "ner": ("\nX M-ORG\n", 'the tag "M-ORG" is not valid in BIO'),
    "translation": ("only one column\n", "there is 1 column"),
}
WRONG = {name: wrong for name, wrong in WRONG.items() if name in TASKS}


def spoilt(folder, name):
    folder = samples(folder, name)
    path = folder / TASKS[name].train_file
    path.write_text(path.read_text(encoding="utf-8") + WRONG[name][0], encoding="utf-8")
    return path


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_example_is_refused_or_left_out_and_listed(tmp_path, name, command):
    path, task = spoilt(tmp_path, name), TASKS[name]
    with pytest.raises(DataError) as caught:
        task.read(path, task.Options())
    assert WRONG[name][1] in str(caught.value)
    rows = task.read(path, task.Options(skip_bad=True))
    samples(tmp_path / "whole", name)
    assert len(rows) == len(task.read(tmp_path / "whole" / task.train_file, task.Options()))
    assert [str(fault) for fault in rows.skipped] == [str(caught.value)]

    status, out, _ = command("check", name, path)
    assert (status, "1 problems left out" in out) == (1, False)
    status, out, _ = command("check", name, path, "--skip-bad", "--json")
    report = json.loads(out)
    assert (status, report["problems"]) == (0, [])
    assert report["warnings"][-2:] == ["1 problems left out (skip_bad):", str(caught.value)]


def test_training_and_evaluation_leave_out_what_is_wrong(tmp_path, command):
    path = spoilt(tmp_path, "sentiment")
    arguments = ("train", "sentiment", "--train", path, "--valid", tmp_path / "valid.csv")
    small = [f"--set={key}={value}" for key, value in {**SMALL, "epochs": 1}.items()]
    status, _, err = command(*arguments, "--out", tmp_path / "a", *small)
    assert status == 1
    assert WRONG["sentiment"][1] in err
    status, _, err = command(*arguments, "--out", tmp_path / "run", *small, "--skip-bad")
    assert status == 0
    assert f"note: {path}: 1 problem left out (skip_bad)" in err
    assert WRONG["sentiment"][1] in err

    status, _, err = command("evaluate", tmp_path / "run", path, "--json")
    assert status == 1, "what training left out, an evaluation does not leave out unasked"
    status, out, err = command("evaluate", tmp_path / "run", path, "--json", "--skip-bad")
    assert status == 0
    assert json.loads(out)["skipped"] == 1
    assert WRONG["sentiment"][1] in err
    assert "skipped" not in elman.load(tmp_path / "run").evaluate(tmp_path / "valid.csv")


def test_a_file_of_which_nothing_is_left_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\nfine,\n")
    task = TASKS["sentiment"]
    with pytest.raises(DataError, match='line 2: the label \\(column "label"\\) is empty'):
        task.read(path, task.Options(skip_bad=True))


def test_many_problems_are_counted_and_some_of_them_listed(tmp_path):
    folder = samples(tmp_path, "sentiment")
    with open(folder / "train.csv", "a") as stream:
        stream.write("bad,\n" * 50)
    data, settings = Data(folder / "train.csv"), {**SMALL, "epochs": 1, "skip_bad": True}
    with pytest.warns(DataWarning, match=r"50 problems left out[^$]*and 30 more\."):
        train(TASKS["sentiment"], data, folder / "run", settings, progress=Silence())


def test_labels_that_a_model_does_not_know_are_read_as_others(trained, tmp_path, command):
    path = tmp_path / "test.conll"
    path.write_text("Tom B-PERSON\nHill I-PERSON\n\nMonday B-DATE\n")
    model = elman.load(trained["ner"])
    with pytest.raises(DataError, match=r"map \(PERSON=O\)"):
        model.evaluate(path)
    scores = model.evaluate(path, map="PERSON=PER,DATE=O")
    assert set(scores["per_type"]) <= {"PER", "LOC", "ORG"}
    status, out, _ = command(
        "evaluate", trained["ner"], path, "--map", "PERSON=PER,DATE=O", "--json"
    )
    assert status == 0
    assert json.loads(out) == scores
    [first, second] = TASKS["ner"].read(path, TASKS["ner"].Options(map="PERSON=PER,DATE=O"))
    assert (first.value.tags, second.value.tags) == (("B-PER", "I-PER"), ("O",))

    table = tmp_path / "test.csv"
    table.write_text("text,label\nfine,positive\nso so,mixed\n")
    model = elman.load(trained["sentiment"])
    with pytest.raises(DataError, match=r"map \(mixed=...\)"):
        model.evaluate(table)
    assert model.evaluate(table, map="mixed=negative")["accuracy"] in (0, 0.5, 1)


def test_columns_are_chosen_for_evaluation_and_prediction_too(trained, tmp_path, command):
    path = tmp_path / "test.conll"
    path.write_text("B-PER x Tom\nO x slept\n")
    model = elman.load(trained["ner"])
    assert model.evaluate(path, token_column=3, tag_column=1)["examples"] == 1
    [answer] = model.predict_file(path, token_column=3)
    assert answer.text == "Tom slept"
    status, out, _ = command("predict", trained["ner"], path, "--token-column", 3, "--json")
    assert (status, json.loads(out)["predictions"][0]["text"]) == (0, "Tom slept")
    table = tmp_path / "test.csv"
    table.write_text("review,stars\nfine,positive\n")
    scores = elman.load(trained["sentiment"]).evaluate(
        table, text_column="review", label_column="stars"
    )
    assert scores["examples"] == 1 if "examples" in scores else scores["accuracy"] in (0, 1)


@pytest.mark.parametrize("text", ["MISC", "=O", "MISC=", "A=B,A=C"])
def test_a_map_of_another_form_is_refused(text):
    with pytest.raises(OptionError, match="map: "):
        label_map(text)
    with pytest.raises(OptionError, match="map: "):
        TASKS["ner"].Options(map=text)


def test_words_in_capitals_take_vectors_of_small_letters_with_a_warning(tmp_path):
    folder = samples(tmp_path, "sentiment")
    (folder / "train.csv").write_text("text,label\n" + "Great Film,good\nDull film,bad\n" * 4)
    (folder / "vectors.txt").write_text("film 0.5 -1.5\ngreat 2 3\n  1 2\nzebra 4 5\n")
    settings = {
        **SMALL,
        "vectors": str(folder / "vectors.txt"),
        "lowercase": False,
        "frozen_vectors": True,
        "min_count": 99,
        "epochs": 1,
        "phrases": 0,
    }
    with pytest.warns(DataWarning) as caught:
        model, _ = train(
            TASKS["sentiment"],
            Data(folder / "train.csv", folder / "train.csv"),
            folder / "run",
            settings,
            progress=Silence(),
        )
    said = [str(each.message) for each in caught]
    assert any("line 3: the word is a space; 1 line skipped" in each for each in said)
    assert any(
        "2 words of the text take the vector of their lower-case form" in each for each in said
    )
    weight, words = model.model.embedding.weight, model.symbols.words
    assert weight[words.index("Great")].tolist() == [2, 3]
