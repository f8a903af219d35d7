"""Files in CoNLL columns are read exactly, and every mistake in one has its line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.errors import DataError
from elman.tasks.ner.conll import TaggedSentence, read_conll

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "ner"


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "train.conll"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_sentences_end_at_empty_lines_however_many(tmp_path: Path) -> None:
    path = written(tmp_path, "\n\nHarry B-PER\nsmiled O\n\n \t\n\nSo O\n  \n")
    assert read_conll(path) == [
        TaggedSentence(("Harry", "smiled"), ("B-PER", "O")),
        TaggedSentence(("So",), ("O",)),
    ]


@pytest.mark.parametrize(
    "content",
    [
        "Harry B-PER\nPotter I-PER\n",
        "Harry\tB-PER\nPotter\tI-PER",
        "Harry   B-PER\r\nPotter  \t I-PER \r\n\r\n",
        "Harry NNP B-NP B-PER\nPotter NNP I-NP I-PER\n",
        "Harry\t_\t\tB-PER\nPotter\t_\t\tI-PER\n",
        "\ufeffHarry B-PER\nPotter I-PER\n",
        "-DOCSTART- -X- O O\n\nHarry B-PER\nPotter I-PER\n",
        "# id = 3 domain = en\nHarry B-PER\nPotter I-PER\n",
        "Harry I-PER\nPotter I-PER\n",
        "Harry B-PER\nPotter E-PER\n",
        "Harry B-PER\rPotter I-PER\r",
    ],
    ids=[
        "blanks",
        "tabs",
        "crlf",
        "columns",
        "empty columns",
        "byte order mark",
        "docstart",
        "comment",
        "iob1",
        "bioes",
        "cr",
    ],
)
def test_every_way_to_write_two_words_gives_the_same_sentence(tmp_path: Path, content: str) -> None:
    assert read_conll(written(tmp_path, content)) == [
        TaggedSentence(("Harry", "Potter"), ("B-PER", "I-PER"))
    ]


def test_words_that_look_like_comments_or_blanks_are_words(tmp_path: Path) -> None:
    content = "#farms\tO\n#\tO\n# O\n-\tO\n\tO\nke s\tO\nwe\u200bb\u2028x\xa0y\x85z O\n"
    [sentence] = read_conll(written(tmp_path, content))
    assert sentence.tokens == (
        "#farms", "#", "#", "-", "", "ke s", "we\u200bb\u2028x\xa0y\x85z",
    )  # fmt: skip


def test_docstart_ends_a_sentence(tmp_path: Path) -> None:
    path = written(tmp_path, "a O\n-DOCSTART- O\nb O\n")
    assert [sentence.tokens for sentence in read_conll(path)] == [("a",), ("b",)]


def test_words_alone_are_read_with_or_without_tags(tmp_path: Path) -> None:
    plain = read_conll(written(tmp_path, "#new\nHarry\n\nPotter\n"), tagged=False)
    assert plain == [TaggedSentence(("#new", "Harry"), None), TaggedSentence(("Potter",), None)]
    # only blanks and tabs are no part of a word
    assert read_conll(written(tmp_path, "\xa0a\xa0 \t\n"), tagged=False)[0].tokens == ("\xa0a\xa0",)
    # what stands in the other columns is then no mistake
    tagged = read_conll(written(tmp_path, "Harry I-PER\nsaw\nit PERSON\n"), tagged=False)
    assert tagged == [TaggedSentence(("Harry", "saw", "it"), None)]


word = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1).filter(
    lambda text: not text.startswith(("-DOCSTART-", "\ufeff"))
)


@given(st.lists(st.lists(st.tuples(word, st.sampled_from(["O", "B-PER"])), min_size=1), min_size=1))
def test_any_words_come_back_as_written(
    tmp_path_factory: pytest.TempPathFactory, sentences: list[list[tuple[str, str]]]
) -> None:
    content = "\n\n".join(
        "\n".join(f"{token}\t{tag}" for token, tag in sentence) for sentence in sentences
    )
    read = read_conll(written(tmp_path_factory.mktemp("conll"), content))
    assert [list(zip(s.tokens, s.tags or (), strict=True)) for s in read] == sentences


def test_a_sentence_of_100_000_words_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, "Harry B-PER\nPotter I-PER\n" * 50_000)
    [sentence] = read_conll(path)
    assert len(sentence.tokens) == 100_000
    assert sentence.tags == ("B-PER", "I-PER") * 50_000


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        ("", "", "the file is empty; give one with at least one example."),
        (" \n\n", "", "the file is empty; give one with at least one example."),
        (
            "-DOCSTART- O\n\n",
            "",
            "the file has no sentences; write one word per line, with its tag in the last column.",
        ),
        (
            "a B-PER\n\nb O\nc I-PER\n",
            ", line 4",
            'the tag "I-PER" follows "O"; a span starts with "B-".',
        ),
        (
            "a O\n\n\nb I-PER\nc O\n\nd B-PER\n",
            ", line 4",
            'the tag "I-PER" starts the sentence; a span starts with "B-".',
        ),
        (
            "# id = 1\na B-LOC\n# id = 2\nb I-PER\n",
            ", line 4",
            'the tag "I-PER" follows "B-LOC"; a span starts with "B-".',
        ),
        (
            "a S-PER\nb B-PER\n\nc O\n",
            ", line 2",
            (
                'the sentence ends while the span of "B-PER" is open; in BIOES, the scheme of the '
                'rest of the file, a span ends with "E-".'
            ),
        ),
        (
            "a O\nLondon\n",
            ", line 2",
            (
                '"London" has no tag; a line is a word, a tab or spaces, and a tag, such as "O" '
                'or "B-PER".'
            ),
        ),
        (
            "a O\nb PERSON\n",
            ", line 2",
            (
                'the tag "PERSON" is not "O" or a tag such as "B-PER" or "I-PER"; '
                "the tag is the last column."
            ),
        ),
        (
            "# a comment\na O\n# b\tPERSON\n",  # a line with a tab is no comment
            ", line 3",
            (
                'the tag "PERSON" is not "O" or a tag such as "B-PER" or "I-PER"; '
                "the tag is the last column."
            ),
        ),
        ("a O\nb B\n", ", line 2", 'the tag "B" has no type; add one, such as "B-NAME".'),
        (
            b"a O\ncaf\xe9 O\n",
            ", line 2",
            "byte 4 of the line, 0xe9, is not UTF-8; save the file as UTF-8.",
        ),
        (
            b"a O\n\x00\x00 O\n",
            ", line 2",
            "byte 1 of the line is zero, so this is not a text file in UTF-8; save it as UTF-8.",
        ),
        ("a O\n".encode("utf-16"), "", "the file is UTF-16; save it as UTF-8."),
    ],
)
def test_each_mistake_has_its_sentence(
    tmp_path: Path, content: str | bytes, place: str, message: str
) -> None:
    path = written(tmp_path, content)
    with pytest.raises(DataError) as caught:
        read_conll(path)
    assert str(caught.value) == f"{path}{place}: {message}"


def test_a_missing_file_and_a_folder_have_their_sentences(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_conll(tmp_path / "none.conll")
    assert str(caught.value) == (
        f"{tmp_path / 'none.conll'}: there is no such file; check its name and folder."
    )
    with pytest.raises(DataError) as caught:
        read_conll(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: this is a folder, but a file is expected; name a file."
    )


@pytest.mark.data
@pytest.mark.skipif(not SHARED.is_dir(), reason="the corpora of ../shared/data are not here")
@pytest.mark.parametrize(
    ("name", "sentences", "words", "spans"),
    [
        ("btc/CONLL-format/data/a.conll", 1000, 16612, 521),
        ("btc/CONLL-format/data/b.conll", 2000, 30825, 1610),
        ("btc/CONLL-format/data/e.conll", 200, 3981, 325),
        ("btc/CONLL-format/data/f.conll", 2000, 35427, 4376),
        ("btc/CONLL-format/data/g.conll", 2138, 34062, 4685),
        ("btc/CONLL-format/data/h.conll", 2001, 29480, 3368),
        ("wnut17/wnut17train.conll", 3394, 62730, 1975),
        ("wnut17/emerging.dev.conll", 1009, 15733, 836),
        ("wnut17/emerging.test.annotated", 1287, 23394, 1079),
    ],
)
def test_published_corpora_are_read_to_the_last_word(
    name: str, sentences: int, words: int, spans: int
) -> None:
    read = read_conll(SHARED / name)
    tags = [tag for sentence in read for tag in sentence.tags or ()]
    assert len(read) == sentences
    assert sum(len(sentence.tokens) for sentence in read) == len(tags) == words
    assert sum(tag.startswith("B-") for tag in tags) == spans
