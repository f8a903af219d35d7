"""Predicts, evaluates and shows ratings of texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.markup import escape
from torch import Tensor

from elman.data.languages import notice
from elman.tasks.inference import in_batches
from elman.tasks.sentiment.data import Review, collate
from elman.tasks.sentiment.model import WithPhrases
from elman.tasks.sentiment.options import RatingOptions, SentimentOptions
from elman.tasks.task import Fitted
from elman.tasks.word_model import (
    TextSymbols,
)
from elman.training.metrics import class_scores
from elman.training.watch import symptoms


@dataclass(frozen=True)
class Rating:
    """The predicted label, its probability, and the probabilities of all labels.

    ``label`` is None if the probability of the most likely one is below ``abstain``.  ``note``
    is a sentence if the text is in a language that the model does not know, else "".
    """

    text: str
    label: str | None
    probability: float
    probabilities: dict[str, float]
    note: str = ""


def predict(
    fitted: Fitted[TextSymbols, SentimentOptions],
    inputs: Sequence[Review],
    wanted: RatingOptions,
) -> list[Rating]:
    """Rates each text."""
    ratings = []
    for example, row in zip(inputs, _probabilities(fitted, inputs), strict=True):
        each = dict(zip(fitted.symbols.labels, row.tolist(), strict=True))
        label = max(each, key=lambda name: each[name])
        sure = each[label] >= wanted.abstain
        note = notice(example.words, fitted.symbols.languages)
        ratings.append(Rating(example.text, label if sure else None, each[label], each, note))
    return ratings


def trained_part(
    fitted: Fitted[TextSymbols, SentimentOptions],
) -> Fitted[TextSymbols, SentimentOptions]:
    """The network without naive Bayes, which is counted and not trained."""
    if not isinstance(fitted.model, WithPhrases):
        return fitted
    return Fitted(fitted.model.reader, replace(fitted.symbols, phrases=None), fitted.options)


def validate(
    fitted: Fitted[TextSymbols, SentimentOptions], examples: Sequence[Review]
) -> dict[str, Any]:
    """The metrics of the network, and symptoms of failed training.

    Excludes naive Bayes: with it, early stopping would end training before the network has
    learned.
    """
    expected, probabilities = _answers(trained_part(fitted), examples)
    predicted = [int(row.argmax()) for row in probabilities]
    return {**class_scores(expected, probabilities), **symptoms(expected, predicted)}


def score(
    fitted: Fitted[TextSymbols, SentimentOptions],
    examples: Sequence[Review],
    wanted: RatingOptions,
) -> dict[str, Any]:
    """Accuracy, macro F1 and the mean loss."""
    return class_scores(*_answers(fitted, examples))


def _answers(
    fitted: Fitted[TextSymbols, SentimentOptions], examples: Sequence[Review]
) -> tuple[list[int], list[Tensor]]:
    """The indices of the expected labels, and all probabilities."""
    symbols: TextSymbols = fitted.symbols
    expected = [symbols.labels.index(str(example.label)) for example in examples]
    return expected, _probabilities(fitted, examples)


def _probabilities(
    fitted: Fitted[TextSymbols, SentimentOptions], examples: Sequence[Review]
) -> list[Tensor]:
    def answer(batch: Sequence[Review]) -> list[Tensor]:
        tensors = collate(batch, fitted.symbols, fitted.options)
        tensors.pop("labels", None)
        return list(fitted.model(**tensors).softmax(-1))

    return in_batches(fitted.model, examples, len, answer)


def show(prediction: Rating) -> str:
    """The label, its probability, and the text."""
    likely = max(prediction.probabilities, key=lambda name: prediction.probabilities[name])
    shown = f"[dim]not sure ({escape(likely)})[/]"
    if prediction.label is not None:
        colours = {"positive": "green", "negative": "red"}
        shown = f"[bold {colours.get(likely, 'cyan')}]{escape(likely)}[/]"
    return f"{shown} {prediction.probability:4.0%}   {escape(prediction.text)}"


def record(prediction: Rating) -> dict[str, Any]:
    """The rating as a JSON object, with ``note`` if there is one."""
    found = {
        "text": prediction.text,
        "label": prediction.label,
        "probability": round(prediction.probability, 6),
        "probabilities": {k: round(p, 6) for k, p in prediction.probabilities.items()},
    }
    return found | {"note": prediction.note} if prediction.note else found
