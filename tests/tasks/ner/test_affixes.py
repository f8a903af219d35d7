"""Affixes and shapes of the words around: which features there are, and where models have them."""

import json
import tomllib
from dataclasses import replace

import pytest

import elman
from elman.cli.export import export_to_onnx
from elman.errors import OptionError
from elman.tasks import TASKS, Data, train
from elman.tasks.ner.affixes import num_features, spelling_features
from elman.tasks.ner.data import LONGEST_WORD, Sentence
from elman.tasks.ner.options import NerOptions
from elman.tasks.word_model import TextSymbols
from elman.training.progress import Silence
from tasks.conftest import samples

ner = TASKS["ner"]
QUICK = {"epochs": 1, "threads": 1, "hidden_size": 6, "embedding_size": 6, "character_units": 4}
TAGGED = [
    Sentence(("Anna", "Lee", "went", "to", "Rome"), ("B-PER", "I-PER", "O", "O", "B-LOC")),
    Sentence(("It", "rained"), ("O", "O")),
]


def test_the_features_of_a_word_are_its_spelling_and_the_word_before_it():
    found = spelling_features(["In", "NY-10s"], 4)
    assert found[0][4:6] == ["pair  in", "place first"]
    assert found[1] == [
        "word NY-10s", "lower ny-10s", "shape XX-ddx", "form X-dx", "pair in ny-10s", "place last",
        "prefix ny", "suffix 0s", "prefix ny-", "suffix 10s", "prefix ny-1", "suffix -10s",
    ]  # fmt: skip
    assert [len(each) for each in found] == [num_features(4)] * 2
    assert spelling_features([], 4) == []


@pytest.mark.parametrize("longest", [1, 2, 5])
def test_every_word_has_as_many_features(longest):
    words = ["", "a", "it", "Hermione", "\u00c9cole", "x" * 100]
    assert {len(own) for own in spelling_features(words, longest)} == {num_features(longest)}


def test_a_batch_holds_the_features_that_training_has_seen():
    options = NerOptions(affixes=3)
    symbols = ner.build_vocab(TAGGED, options, 0).symbols
    new = Sentence(("Anne", "\u2603" * 2 * LONGEST_WORD))
    found = ner.collate([*TAGGED, new, Sentence(())], symbols, options)["affixes"]
    assert found.shape == (5, 4, num_features(3))
    names = symbols.affixes.words
    assert [names[k] for k in found[0, 0]] == spelling_features(TAGGED[0].words, 3)[0]
    assert found[:, :2].bool().all(-1).tolist() == [[True] * 2] * 2 + [[True, False]] * 3
    assert [names[k] for k in found[0, 2] if k] == [
        "shape Xxxx", "form Xx", "place first", "prefix an", "prefix ann",
    ]  # fmt: skip
    assert not found[:, 3].any()
    assert len(ner.collate([], symbols, options)["affixes"]) == 0


def test_symbols_without_affixes_are_saved_as_before():
    symbols = ner.build_vocab(TAGGED, NerOptions(), 0).symbols
    assert symbols.affixes is None
    assert "affixes" not in json.loads(symbols.to_json())
    assert "affixes" not in ner.collate(TAGGED, symbols, NerOptions())
    more = ner.build_vocab(TAGGED, NerOptions(affixes=2), 0).symbols
    assert TextSymbols.from_json(more.to_json()) == more != symbols
    assert replace(more, affixes=None) == symbols


def test_a_small_training_has_affixes_by_default_and_answers_the_same_when_loaded(tmp_path):
    folder = samples(tmp_path, "ner")
    data = Data(folder / ner.train_file, folder / ner.valid_file)
    trained, _ = train(ner, data, folder / "run", QUICK, progress=Silence())
    saved = tomllib.loads((folder / "run" / "run.toml").read_text())["options"]
    assert saved["affixes"] == ner.small_data["affixes"].small
    assert trained.model.direct.weight.abs().sum() > 0, "the weights are trained"
    loaded, scores = elman.load(folder / "run"), trained.evaluate(data.valid)
    assert loaded.evaluate(data.valid) == scores
    texts = ["Anna Lee went to Rome .", "It rained", "Harry"]
    assert loaded(texts) == [loaded([text])[0] for text in texts], "alone as in a batch"
    by_onnx = elman.load(export_to_onnx(str(folder / "run"), tmp_path)).evaluate(data.valid)
    assert by_onnx["loss"] == pytest.approx(scores["loss"], rel=1e-5)
    own = {**QUICK, "affixes": 0}
    plain, _ = train(ner, data, folder / "plain", own, progress=Silence())
    assert plain.model.direct is None
    with pytest.raises(OptionError, match="affixes comes from"):
        train(ner, data, folder / "on", {**QUICK, "affixes": 3}, start=plain, progress=Silence())
    further, _ = train(ner, data, folder / "on", QUICK, start=trained, progress=Silence())
    assert not further.model.direct.weight[0].any(), "no feature has no weight"
    more = Data(folder / "more.conll", data.valid)
    more.train.write_text(data.train.read_text() + "\nEmma\tB-WORK\n\n")
    anew, _ = train(ner, more, folder / "anew", QUICK, start=trained, progress=Silence())
    columns = [each.model.direct.weight.shape[1] for each in (trained, anew)]
    assert columns[1] == columns[0] + 10, "two tags more, in five places"


@pytest.mark.parametrize("model", ["window", "standard"])
def test_the_baselines_have_affixes_too(model, tmp_path):
    folder = samples(tmp_path, "ner")
    data = Data(folder / ner.train_file, folder / ner.valid_file)
    trained, _ = train(ner, data, folder / "run", {**QUICK, "model": model}, progress=Silence())
    assert trained.model.direct.weight.abs().sum() > 0
