"""What named entities do to find names that training never showed."""

from dataclasses import replace

import pytest
import torch

import elman
from elman.errors import OptionError
from elman.tasks import TASKS
from elman.tasks.ner.data import Sentence
from elman.tasks.ner.options import NerOptions
from elman.tasks.task import Fitted

ner = TASKS["ner"]

TAGGED = [
    Sentence(("Anna", "Lee", "went", "to", "Rome"), ("B-PER", "I-PER", "O", "O", "B-LOC")),
    Sentence(("It", "rained"), ("O", "O")),
]


def test_name_dropout_hides_words_of_names_in_training_and_no_others():
    options = NerOptions(min_count=1, name_dropout=0.5)
    symbols = ner.build_vocab(TAGGED, options, 0).symbols
    whole = ner.collate(TAGGED, symbols, options)
    name = whole["tags"] != symbols.labels.index("O")
    seen = torch.zeros(whole["words"].shape)
    for seed in range(400):
        batch = ner.collate(TAGGED, symbols, options, torch.Generator().manual_seed(seed))
        hidden = batch["words"] != whole["words"]
        assert (batch["words"][hidden] == 1).all()
        seen += hidden
        others = {key for key in batch if key != "words"}
        assert all(torch.equal(batch[key], whole[key]) for key in others), "letters are still read"
    assert (seen[~name] == 0).all()
    # 400 tosses: five standard errors are 50
    assert ((seen[name] - 200).abs() < 50).all()


def test_without_name_dropout_training_sees_every_word():
    options = NerOptions(min_count=1)
    symbols = ner.build_vocab(TAGGED, options, 0).symbols
    batch = ner.collate(TAGGED, symbols, options, torch.Generator().manual_seed(0))
    assert torch.equal(batch["words"], ner.collate(TAGGED, symbols, options)["words"])


def test_case_dropout_changes_case_in_training_and_nothing_else():
    sentences = [Sentence(("Anna", "McLee", "went", "to", "Rome"), TAGGED[0].tags)] * 600
    options = NerOptions(min_count=1, case_dropout=0.3)
    symbols = ner.build_vocab(sentences, options, 0).symbols
    plain = ner.collate(sentences, symbols, options)
    batch = ner.collate(sentences, symbols, options, torch.Generator().manual_seed(0))
    # the shapes tell how each sentence was read: as written, in lower case, or in capitals
    kinds = [tuple(each.tolist()) for each in batch["shapes"].T]
    written, lower, capitals = (5, 8, 1, 1, 5), (1, 1, 1, 1, 1), (6, 6, 6, 6, 6)
    assert set(kinds) == {written, lower, capitals}
    # of 600 draws, 120 and 60 are expected; four standard errors are 40 and 30
    assert abs(kinds.count(lower) - 120) < 40
    assert abs(kinds.count(capitals) - 60) < 30
    for name in ("words", "tags", "lengths"):
        assert torch.equal(batch[name], plain[name]), name
    off = ner.collate(
        sentences, symbols, replace(options, case_dropout=0.0), torch.Generator().manual_seed(0)
    )
    assert all(torch.equal(off[name], plain[name]) for name in plain)


def test_the_calibration_error_of_names_is_that_of_their_confidences(trained):
    run = elman.load(trained["ner"])
    texts = ["Anna went to Rome with a friend .", "It rained ."]
    found = ner.predict(run.fitted, [ner.as_input(each) for each in texts], ner.PredictOptions())
    confidences = [name.confidence for answer in found for name in answer.names]
    assert confidences
    # tags of no name: every name that was found is wrong
    wrong = [
        replace(ner.as_input(each), tags=("O",) * len(ner.as_input(each).words)) for each in texts
    ]
    score = ner.score(run.fitted, wrong, ner.PredictOptions())
    assert score["calibration_error"] == pytest.approx(
        sum(confidences) / len(confidences), abs=1e-3
    )


def test_what_is_taken_from_no_name_goes_to_names(trained):
    run = elman.load(trained["ner"])
    text = ["Anna went to Rome with a friend .", "It rained ."]

    def words_in_names(penalty):
        options = replace(run.options, outside_penalty=penalty)
        fitted = Fitted(run.model, run.symbols, options)
        found = ner.predict(fitted, [ner.as_input(each) for each in text], ner.PredictOptions())
        return sum(len(name.text.split()) for answer in found for name in answer.names)

    counts = [words_in_names(penalty) for penalty in (-1e4, 0.0, 1e4)]
    assert counts[0] == 0
    assert 0 < counts[1] < counts[2]
    assert counts[2] == sum(len(ner.as_input(each).words) for each in text)


def test_a_part_that_is_none_is_refused():
    with pytest.raises(OptionError, match=r"name_dropout is 1.0; it must be at least 0"):
        NerOptions(name_dropout=1.0)
