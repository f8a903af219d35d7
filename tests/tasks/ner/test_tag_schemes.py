"""Tags of every scheme become the same spans."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import (  # type: ignore[import-untyped, unused-ignore]
    get_entities,
)

from elman.errors import DataError
from elman.tasks.ner.tag_schemes import (
    Scheme,
    Span,
    bio_tags,
    illegal_tags,
    recognise_scheme,
    shape_fault,
    spans_of,
    to_bio,
)

TYPES = ("PER", "LOC", "creative-work")


@st.composite
def span_lists(draw: st.DrawFn) -> tuple[int, list[Span]]:
    """A sentence's length and spans in it: in order, apart or touching, of 1 to 4 words."""
    spans = []
    end = 0
    for gap, length, type in draw(
        st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), st.sampled_from(TYPES)))
    ):
        spans.append(Span(end + gap, end + gap + length, type))
        end += gap + length
    return end + draw(st.integers(0, 2)), spans


def as_bio(length: int, spans: Sequence[Span]) -> list[str]:
    tags = ["O"] * length
    for span in spans:
        tags[span.start : span.end] = [f"I-{span.type}"] * (span.end - span.start)
        tags[span.start] = f"B-{span.type}"
    return tags


def as_iob1(length: int, spans: Sequence[Span]) -> list[str]:
    tags = ["O"] * length
    for span in spans:
        touches = span.start > 0 and tags[span.start - 1].endswith(f"-{span.type}")
        tags[span.start : span.end] = [f"I-{span.type}"] * (span.end - span.start)
        if touches:
            tags[span.start] = f"B-{span.type}"
    return tags


def as_bioes(
    length: int, spans: Sequence[Span], letters: Sequence[str] = tuple("BIES")
) -> list[str]:
    tags = ["O"] * length
    begin, inside, end, single = letters
    for span in spans:
        tags[span.start : span.end] = [f"{inside}-{span.type}"] * (span.end - span.start)
        tags[span.start] = f"{begin}-{span.type}"
        tags[span.end - 1] = f"{end}-{span.type}"
        if span.end - span.start == 1:
            tags[span.start] = f"{single}-{span.type}"
    return tags


@given(span_lists())
def test_spans_come_back_from_bio(case: tuple[int, list[Span]]) -> None:
    length, spans = case
    assert spans_of(as_bio(length, spans)) == spans


@given(span_lists())
def test_spans_come_back_from_iob1(case: tuple[int, list[Span]]) -> None:
    length, spans = case
    assert spans_of(to_bio(as_iob1(length, spans), Scheme.IOB1)) == spans


@pytest.mark.parametrize("letters", ["BIES", "BILU", "BMES", "BMEW"])
@given(case=span_lists())
def test_spans_come_back_from_bioes_in_all_its_letters(
    letters: str, case: tuple[int, list[Span]]
) -> None:
    length, spans = case
    assert spans_of(to_bio(as_bioes(length, spans, letters), Scheme.BIOES)) == spans


@given(st.lists(span_lists(), min_size=1, max_size=5))
def test_a_file_in_any_scheme_is_recognised_or_means_the_same_in_the_one_found(
    cases: list[tuple[int, list[Span]]],
) -> None:
    for write in (as_bio, as_iob1, as_bioes):
        sentences = [write(length, spans) for length, spans in cases]
        scheme = recognise_scheme(sentences)
        assert [spans_of(to_bio(tags, scheme)) for tags in sentences] == [s for _, s in cases]


@given(st.lists(st.sampled_from(bio_tags(TYPES)), max_size=12))
def test_spans_agree_with_seqeval_even_where_tags_break_the_rules(tags: list[str]) -> None:
    theirs = [Span(start, last + 1, type) for type, start, last in get_entities(tags)]
    assert spans_of(tags) == theirs


@pytest.mark.parametrize(
    ("sentences", "scheme"),
    [
        ([["O", "O"]], Scheme.BIO),
        ([[]], Scheme.BIO),
        ([["B-PER", "I-PER", "B-PER"]], Scheme.BIO),
        ([["I-PER", "I-PER", "B-PER"]], Scheme.IOB1),
        ([["I-PER", "O", "I-LOC"]], Scheme.IOB1),
        ([["S-PER", "O"], ["B-LOC", "E-LOC"]], Scheme.BIOES),
        ([["U-PER", "B-LOC", "I-LOC", "L-LOC"]], Scheme.BIOES),
        # one mistake does not change what the file is
        ([["B-PER", "O", "I-PER"]], Scheme.BIO),
        ([["B-PER", "O"], ["O", "I-PER", "O", "I-PER"]], Scheme.BIO),
        ([["I-PER", "O"]] * 30 + [["B-PER", "O"]], Scheme.IOB1),
        ([["S-PER", "B-LOC", "E-LOC"]] * 5 + [["I-LOC"]], Scheme.BIOES),
        ([["S-PER", "B-PER"]], Scheme.BIOES),
        ([["B-PER", "I-PER"]] * 5 + [["B-PER", "E-PER"]], Scheme.BIO),
    ],
)
def test_the_scheme_is_the_one_that_the_file_keeps_to_or_breaks_least(
    sentences: list[list[str]], scheme: Scheme
) -> None:
    assert recognise_scheme(sentences) is scheme


@pytest.mark.parametrize(
    ("scheme", "tags", "faults"),
    [
        (Scheme.BIO, ["B-PER", "I-PER", "O", "B-PER", "B-PER"], []),
        (
            Scheme.BIO,
            ["O", "I-PER"],
            [(1, 'the tag "I-PER" follows "O"; a span starts with "B-".')],
        ),
        (
            Scheme.BIO,
            ["I-PER", "I-LOC"],
            [
                (0, 'the tag "I-PER" starts the sentence; a span starts with "B-".'),
                (1, 'the tag "I-LOC" follows "I-PER"; a span starts with "B-".'),
            ],
        ),
        (
            Scheme.BIO,
            ["S-PER"],
            [
                (
                    0,
                    (
                        'the tag "S-PER" is not valid in BIO, the scheme of the rest of the file; '
                        "use one scheme for all tags."
                    ),
                )
            ],
        ),
        (Scheme.IOB1, ["I-PER", "B-PER", "I-PER", "I-LOC", "O", "I-LOC"], []),
        (
            Scheme.IOB1,
            ["O", "B-PER"],
            [
                (
                    1,
                    (
                        'the tag "B-PER" follows "O"; in IOB1, the scheme of the rest of the '
                        'file, a span starts with "I-" unless it follows another of its type.'
                    ),
                )
            ],
        ),
        (Scheme.BIOES, ["B-PER", "I-PER", "E-PER", "S-PER", "O", "S-LOC"], []),
        (
            Scheme.BIOES,
            ["O", "E-PER"],
            [(1, 'the tag "E-PER" follows "O"; a span starts with "B-" or is a single "S-".')],
        ),
        (
            Scheme.BIOES,
            ["B-PER", "O"],
            [
                (
                    1,
                    (
                        '"O" follows while the span of "B-PER" is open; in BIOES, the scheme of '
                        'the rest of the file, a span ends with "E-".'
                    ),
                )
            ],
        ),
        (
            Scheme.BIOES,
            ["S-PER", "B-PER"],
            [
                (
                    1,
                    (
                        'the sentence ends while the span of "B-PER" is open; in BIOES, the '
                        'scheme of the rest of the file, a span ends with "E-".'
                    ),
                )
            ],
        ),
    ],
)
def test_each_broken_rule_has_its_sentence(
    scheme: Scheme, tags: list[str], faults: list[tuple[int, str]]
) -> None:
    assert list(illegal_tags(tags, scheme)) == faults


def test_converting_illegal_tags_says_which_and_why() -> None:
    with pytest.raises(DataError) as caught:
        to_bio(["O", "I-PER"], Scheme.BIO)
    assert str(caught.value) == (
        'tag 2 of 2: the tag "I-PER" follows "O"; a span starts with "B-".'
    )


def test_spans_are_read_from_bio_only() -> None:
    with pytest.raises(DataError) as caught:
        spans_of(["O", "E-PER"])
    assert str(caught.value) == (
        'tag 2 of 2: "E-PER" is not "O", "B-TYPE" or "I-TYPE"; convert the tags with to_bio first.'
    )


@pytest.mark.parametrize("tag", ["O", "B-PER", "I-creative-work", "U-x", "W-ORG", "M-ORG"])
def test_proper_tags_have_no_fault(tag: str) -> None:
    assert shape_fault(tag) is None


@pytest.mark.parametrize("tag", ["PERSON", "o", "b-PER", "O-PER", "X-PER", "PER-B", "", "0"])
def test_a_tag_of_no_scheme_is_told_apart(tag: str) -> None:
    assert shape_fault(tag) == (
        f'the tag "{tag}" is not "O" or a tag such as "B-PER" or "I-PER"; '
        "the tag is the last column."
    )


@pytest.mark.parametrize("tag", ["B", "I-"])
def test_a_tag_without_a_type_is_told_apart(tag: str) -> None:
    assert shape_fault(tag) == (f'the tag "{tag}" has no type; add one, such as "{tag[0]}-NAME".')


def test_bio_has_o_and_two_tags_a_type() -> None:
    assert bio_tags(["PER", "LOC"]) == ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
    assert bio_tags([]) == ("O",)
