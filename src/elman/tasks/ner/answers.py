"""Predicts, evaluates and shows the names in texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from rich.markup import escape
from torch import Tensor

from elman.data.languages import notice
from elman.decode import bio_constraints, viterbi
from elman.models import StandardTagger, Tagger, WindowTagger
from elman.tasks.inference import in_batches
from elman.tasks.ner.data import Sentence, collate
from elman.tasks.ner.formats import FORMATS
from elman.tasks.ner.options import NameOptions, NerOptions
from elman.tasks.ner.span_probabilities import span_probabilities
from elman.tasks.ner.tag_schemes import Span, spans_of
from elman.tasks.task import Fitted
from elman.tasks.word_model import TextSymbols
from elman.training.metrics import calibration_error, span_scores


@dataclass(frozen=True)
class Names:
    """A text and the names in it; ``places`` are the starts and ends of its words.

    ``format`` is how it is shown.  ``note`` is a sentence if the text is in a language that the
    model does not know, else "".
    """

    text: str
    names: tuple[Name, ...]
    places: tuple[tuple[int, int], ...] = ()
    format: str = "text"
    note: str = ""


@dataclass(frozen=True)
class Name:
    """A name of a type: characters ``start`` to ``end`` (exclusive) of a text.

    ``confidence`` is the probability of exactly these words and this type, from 0 to 1.
    """

    text: str
    type: str
    start: int
    end: int
    confidence: float


def predict(
    fitted: Fitted[TextSymbols, NerOptions], inputs: Sequence[Sentence], wanted: NameOptions
) -> list[Names]:
    """Finds the names in each text."""

    def answer(batch: Sequence[Sentence]) -> list[list[tuple[Span, float]]]:
        tensors = collate(batch, fitted.symbols, fitted.options)
        found = _names_found(fitted, batch, tensors)
        return [list(zip(*each, strict=True)) for each in zip(*found, strict=True)]

    found = in_batches(fitted.model, inputs, len, answer)
    return [
        _names(sentence, spans, wanted, notice(sentence.words, fitted.symbols.languages))
        for sentence, spans in zip(inputs, found, strict=True)
    ]


def _names(
    sentence: Sentence, spans: Sequence[tuple[Span, float]], wanted: NameOptions, note: str
) -> Names:
    names = []
    for span, probability in spans:
        start, end = sentence.places[span.start][0], sentence.places[span.end - 1][1]
        if probability >= wanted.abstain:
            text = sentence.text[start:end]
            names.append(Name(text, span.type, start, end, round(probability, 4)))
    return Names(sentence.text, tuple(names), tuple(sentence.places), wanted.format, note)


def score(
    fitted: Fitted[TextSymbols, NerOptions], examples: Sequence[Sentence], wanted: NameOptions
) -> dict[str, Any]:
    """Precision, recall and F1 of exact spans, overall and per type, and the mean loss.

    The calibration error is that of the confidences of the names that were found.
    """
    spans: list[list[Span]] = []
    sure: list[float] = []
    losses: list[float] = []

    def answer(batch: Sequence[Sentence]) -> list[tuple[list[Span], list[float], float]]:
        tensors = collate(batch, fitted.symbols, fitted.options)
        loss = float(fitted.model.loss(**tensors))  # type: ignore[operator]
        found, probabilities = _names_found(fitted, batch, tensors)
        return [(*each, loss) for each in zip(found, probabilities, strict=True)]

    for found, probabilities, loss in in_batches(fitted.model, examples, len, answer):
        spans.append(found)
        sure += probabilities
        losses.append(loss)
    expected = [spans_of(example.tags or ()) for example in examples]
    scores = span_scores(expected, spans)
    right = [span in own for found, own in zip(spans, expected, strict=True) for span in found]
    return {
        "precision": scores.precision,
        "recall": scores.recall,
        "f1": scores.f1,
        "per_type": {
            name: {"precision": each.precision, "recall": each.recall, "f1": each.f1}
            for name, each in sorted(scores.per_type.items())
        },
        "loss": sum(losses) / len(losses),
        "calibration_error": calibration_error(sure, right),
        "examples": len(examples),
    }


def _tagger(fitted: Fitted[TextSymbols, NerOptions]) -> Tagger | WindowTagger | StandardTagger:
    assert isinstance(fitted.model, Tagger | WindowTagger | StandardTagger)
    return fitted.model


def _names_found(
    fitted: Fitted[TextSymbols, NerOptions], batch: Sequence[Sentence], tensors: dict[str, Tensor]
) -> tuple[list[list[Span]], list[list[float]]]:
    """The spans of each sentence, and their probabilities."""
    scores, spans = _scores_and_spans(fitted, tensors)
    lengths, labels = [len(each) for each in batch], fitted.symbols.labels
    return spans, span_probabilities(scores, lengths, spans, labels, _tagger(fitted).crf)


def _scores_and_spans(
    fitted: Fitted[TextSymbols, NerOptions], tensors: dict[str, Tensor]
) -> tuple[Tensor, list[list[Span]]]:
    """The scores of all tags, and the spans of the best valid tag sequence of each sentence."""
    model, symbols = fitted.model, fitted.symbols
    inputs = {name: tensor for name, tensor in tensors.items() if name != "tags"}
    allowed, allowed_start = bio_constraints(symbols.labels)
    crf = _tagger(fitted).crf
    penalty = torch.zeros(len(symbols.labels))
    penalty[symbols.labels.index("O")] = fitted.options.outside_penalty
    scores: Tensor = model(**inputs)
    paths, _ = viterbi(
        scores - penalty,
        tensors["lengths"],
        transitions=None if crf is None else crf.transitions,
        start=None if crf is None else crf.start,
        end=None if crf is None else crf.end,
        allowed=allowed,
        allowed_start=allowed_start,
    )
    return scores, [spans_of([symbols.labels[k] for k in path]) for path in paths]


_COLOURS = {"PER": "magenta", "LOC": "green", "ORG": "blue"}


def show(prediction: Names) -> str:
    """The text, with names in colour and followed by their types; or in the format asked for."""
    if prediction.format != "text":
        return escape(FORMATS[prediction.format](prediction))
    parts, last = [], 0
    for name in prediction.names:
        colour = _COLOURS.get(name.type[:3].upper(), "cyan")
        parts.append(escape(prediction.text[last : name.start]))
        parts.append(f"[bold {colour}]{escape(name.text)}[/] [{colour}]({name.type})[/]")
        last = name.end
    return "".join([*parts, escape(prediction.text[last:])])


def record(prediction: Names) -> dict[str, Any]:
    """The text and its names as a JSON object, with ``note`` if there is one."""
    names = [
        {
            "text": name.text,
            "type": name.type,
            "start": name.start,
            "end": name.end,
            "confidence": name.confidence,
        }
        for name in prediction.names
    ]
    found = {"text": prediction.text, "names": names}
    return found | {"note": prediction.note} if prediction.note else found
