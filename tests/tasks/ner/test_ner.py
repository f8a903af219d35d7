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
