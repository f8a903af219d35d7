"""The words of a CoNLL file are words, whatever columns stand beside them."""

import pytest

from elman.errors import DataError, OptionError
from elman.tasks.ner.conll import TaggedSentence, read_conll
from elman.tasks.ner.report import check_conll

EXPECTED = [
    TaggedSentence(
        ("Ada", "Lovelace", "lived", "in", "London"), ("B-PER", "I-PER", "O", "O", "B-LOC")
    ),
    TaggedSentence(("Max", "left"), ("B-PER", "O")),
]
ROWS = [list(zip(each.tokens, each.tags, strict=True)) for each in EXPECTED]


def written(folder, template, *, head="", name="a.conll", between="\n"):
    """A file with a line of the template for each word."""
    sentences = [
        "".join(
            template.format(k=k, word=word, tag=tag) + "\n" for k, (word, tag) in enumerate(row, 1)
        )
        for row in ROWS
    ]
    path = folder / name
    path.write_text(head + (between + head).join(sentences), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "template",
    [
        "{word} {tag}",
        "{word}\t{tag}",
        "{word} NNP B-NP {tag}",
        "{k}\t{word}\t{tag}",
        "{k} {word} {tag}",
        "{k}\t{word}\t{tag}\t-\t-",
        "{k}\t{word}\t_\tPROPN\t_\t_\t0\troot\t_\t{tag}",
    ],
)
@pytest.mark.parametrize(
    "head",
    ["", "-DOCSTART- -X- O O\n\n", "# sent_id = 7\n# text = x\n"],
    ids=["", "doc", "comment"],
)
def test_every_way_to_write_two_sentences_gives_the_same(tmp_path, template, head):
    path = written(tmp_path, template, head=head)
    assert read_conll(path) == EXPECTED
    words = [TaggedSentence(each.tokens, None) for each in EXPECTED]
    assert read_conll(path, tagged=False) == words
    report = check_conll(path)
    assert report.problems == ()
    assert report.facts["token_column"] == (2 if template.startswith("{k}") else 1)


def test_numbers_that_are_words_stay_words(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("1 CD O\n\nAnna NNP B-PER\nleft VBD O\n\n2 CD O\n3 CD O\n")
    assert [each.tokens for each in read_conll(path)] == [("1",), ("Anna", "left"), ("2", "3")]
    path.write_text("1 O\n2 O\n")
    assert [each.tokens for each in read_conll(path)] == [("1", "2")]
    assert [each.tokens for each in read_conll(path, tagged=False)] == [("1", "2")]


def test_ranges_and_words_left_unsaid_are_passed_over(tmp_path):
    path = tmp_path / "a.conllu"
    rows = ["1-2\tzum\t_", "1\tzu\tO", "2\tdem\tO", "3\tMax\tB-PER", "3.1\tist\t_"]
    path.write_text("\n".join(["#\thttp://x 2009", *rows, "", "1\tJa\tO"]) + "\n")
    assert [each.tokens for each in read_conll(path)] == [("zu", "dem", "Max"), ("Ja",)]
    assert "the first column has word numbers" in check_conll(path).warnings[0]


def test_columns_can_be_named(tmp_path):
    path = written(tmp_path, "{tag}\tx\t{word}\tO")
    assert read_conll(path, token_column=3, tag_column=1) == EXPECTED
    with pytest.raises(DataError, match='line 1: "Ada" has no column 9, which has the tag'):
        read_conll(path, token_column=3, tag_column=9)
    with pytest.raises(DataError, match="line 1: the line has no column 9, which has the word"):
        read_conll(path, token_column=9)
    with pytest.raises(OptionError, match="both 1; choose two columns"):
        read_conll(path, token_column=1, tag_column=1)
    with pytest.raises(OptionError, match="tag_column is -1"):
        read_conll(path, tag_column=-1)


def test_a_second_column_of_tags_is_noted(tmp_path):
    path = written(tmp_path, "{k}\t{word}\t{tag}\tO")
    [note] = [each for each in check_conll(path).warnings if "also looks like tags" in each]
    assert "column 3 also looks like tags and is ignored; choose with --tag-column" in note
    assert read_conll(path, tag_column=3) == EXPECTED


def test_a_line_without_its_number_is_named(tmp_path):
    path = tmp_path / "a.conll"
    lines = [f"{k}\tw{k}\tO" for k in range(1, 4)]
    blocks = ["\n".join(lines)] * 30
    blocks[9] = blocks[9].replace("2\t", "x\t")
    path.write_text("\n\n".join(blocks) + "\n")
    with pytest.raises(DataError, match='line 38: the line starts with "x", but the first column'):
        read_conll(path)


@pytest.mark.parametrize("letter", ["M", "E", "S", "L", "U", "W"])
def test_a_stray_letter_of_another_scheme_is_named(tmp_path, letter):
    path = tmp_path / "a.conll"
    sentence = "Big B-ORG\nBank I-ORG\nof I-ORG\nX I-ORG\nsaid O\n\n"
    path.write_text(sentence * 9 + sentence.replace("Bank I", f"Bank {letter}"))
    with pytest.raises(DataError, match=f'line 56: the tag "{letter}-ORG" is not valid in BIO'):
        read_conll(path)


def test_lines_end_at_line_feeds_only_and_a_carriage_return_is_a_blank(tmp_path):
    path = tmp_path / "a.conll"
    path.write_bytes("a\u2028b\tO\nc\x0bd\x85\tO\nAda\rB-PER\n".encode())
    [sentence] = read_conll(path)
    assert sentence.tokens == ("a\u2028b", "c\x0bd\x85", "Ada")
    assert "a carriage return within the line is read as a space" in check_conll(path).warnings[0]


def test_types_that_look_alike_are_noted(tmp_path):
    path = tmp_path / "a.conll"
    path.write_text("Ada B-PER\n\nMax B-Per\n\nEva B-PER\n\nTom B-Per\n")
    assert 'the types "PER" and "Per" look alike' in check_conll(path).warnings[0]
