"""Metrics agree with scikit-learn and seqeval on whatever hypothesis thinks of."""

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import classification_report
from sklearn.metrics import accuracy_score, f1_score

from elman.errors import DataError, ShapeError
from elman.training.metrics import accuracy, macro_f1, span_scores


class Span(NamedTuple):
    start: int
    end: int
    type: str


labels = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcde")), min_size=1)


@settings(deadline=None)
@given(labels)
def test_accuracy_and_macro_f1_agree_with_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    expected, predicted = [e for e, _ in pairs], [p for _, p in pairs]
    assert accuracy(expected, predicted) == pytest.approx(accuracy_score(expected, predicted))
    assert macro_f1(expected, predicted) == pytest.approx(
        f1_score(expected, predicted, average="macro", zero_division=0)
    )


def spans_of(pieces: list[tuple[int, int, str]]) -> list[Span]:
    """Spans that do not overlap, from (words before, words within, type)."""
    spans, place = [], 0
    for gap, length, type in pieces:
        spans.append(Span(place + gap, place + gap + length, type))
        place += gap + length
    return spans


def tags_of(spans: list[Span], length: int) -> list[str]:
    tags = ["O"] * length
    for span in spans:
        tags[span.start] = f"B-{span.type}"
        tags[span.start + 1 : span.end] = [f"I-{span.type}"] * (span.end - span.start - 1)
    return tags


pieces = st.tuples(st.integers(0, 1), st.integers(1, 2), st.sampled_from(["PER", "LOC", "ORG"]))
sentence = st.lists(pieces, max_size=4).map(spans_of)
corpus = st.lists(st.tuples(sentence, sentence), min_size=1, max_size=5)


@settings(deadline=None)
@given(corpus)
def test_span_scores_agree_with_seqeval(pairs: list[tuple[list[Span], list[Span]]]) -> None:
    expected, predicted = [e for e, _ in pairs], [p for _, p in pairs]
    scores = span_scores(expected, predicted)
    if not any(expected) and not any(predicted):
        assert (scores.precision, scores.recall, scores.f1, scores.per_type) == (0, 0, 0, {})
        return  # seqeval divides by nothing here
    report = classification_report(
        [tags_of(spans, 12) for spans in expected],
        [tags_of(spans, 12) for spans in predicted],
        output_dict=True,
        zero_division=0,
    )
    micro = report["micro avg"]
    assert scores.precision == pytest.approx(micro["precision"])
    assert scores.recall == pytest.approx(micro["recall"])
    assert scores.f1 == pytest.approx(micro["f1-score"])
    assert scores.per_type.keys() == {name for name in report if "avg" not in name}
    for name, score in scores.per_type.items():
        assert score.precision == pytest.approx(report[name]["precision"])
        assert score.recall == pytest.approx(report[name]["recall"])
        assert score.f1 == pytest.approx(report[name]["f1-score"])


def test_a_span_counts_only_when_start_end_and_type_agree() -> None:
    there = [[Span(2, 4, "PER")]]
    for guess, f1 in (
        (Span(2, 4, "PER"), 1.0),
        (Span(1, 4, "PER"), 0.0),
        (Span(2, 5, "PER"), 0.0),
        (Span(2, 4, "LOC"), 0.0),
    ):
        assert span_scores(there, [[guess]]).f1 == f1
    assert span_scores(there, [{Span(2, 4, "PER"), Span(7, 8, "PER")}]).precision == 0.5


def test_the_same_span_in_another_sentence_does_not_count() -> None:
    span = Span(0, 1, "PER")
    assert span_scores([[span], []], [[], [span]]).f1 == 0


@pytest.mark.parametrize("score", [accuracy, macro_f1, span_scores])
def test_lists_that_do_not_match_are_said(score) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ShapeError, match=r": there are 2 expected values but 1 predictions; give"):
        score([[], []], [[]])
    with pytest.raises(DataError, match=r": there are no examples to score; give at least one\."):
        score([], [])
