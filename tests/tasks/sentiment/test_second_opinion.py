"""Naive Bayes has a say in answers and none in training."""

import torch

import elman
from elman.tasks import TASKS
from elman.tasks.sentiment.data import Review
from elman.tasks.sentiment.options import SentimentOptions
from elman.tasks.task import Fitted

sentiment = TASKS["sentiment"]

REVIEWS = [
    Review(text, tuple(text.split()), label)
    for text, label in (
        ("a fine film", "positive"),
        ("not a fine film", "negative"),
        ("a bore", "negative"),
        ("fun , and fine", "positive"),
    )
]


def test_epochs_are_judged_by_the_reader_alone_and_answers_by_both():
    torch.manual_seed(0)
    options = SentimentOptions(phrases=2, min_count=1, hidden_size=4, embedding_size=4)
    learned = sentiment.build_vocab(REVIEWS, options, 0)
    model = sentiment.build(options, elman.cells.gru, learned).eval()
    fitted = Fitted(model, learned.symbols, options)
    before = sentiment.validate(fitted, REVIEWS), sentiment.score(fitted, REVIEWS, None)
    model.bayes.evidence *= -1
    after = sentiment.validate(fitted, REVIEWS), sentiment.score(fitted, REVIEWS, None)
    assert before[0] == after[0]
    assert before[1]["accuracy"] == 1.0, "what was counted tells these apart"
    assert after[1]["accuracy"] < 1.0
