"""A check finds every problem of a file, warns of what is seldom wanted, and counts."""

import json
from pathlib import Path

import pytest

from elman.errors import DataError
from elman.tasks.ner.conll import read_conll
from elman.tasks.ner.report import check_conll

BTC = Path(__file__).resolve().parents[3].parent / "shared/data/ner/btc/CONLL-format/data"


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_all_problems_of_tags_are_found_in_the_readers_words(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "a.conll",
        "Ada B-PER\nL I-PER\n\nin O\nParis I-LOC\nand O\nRome I-LOC\n\nx\ny PERSON\nz I-PER\n",
    )
    report = check_conll(path)
    assert report.problems == (
        f'{path}, line 5: the tag "I-LOC" follows "O"; a span starts with "B-".',
        f'{path}, line 7: the tag "I-LOC" follows "O"; a span starts with "B-".',
        (
            f'{path}, line 9: "x" has no tag; a line is a word, a tab or spaces, and a tag, '
            'such as "O" or "B-PER".'
        ),
        (
            f'{path}, line 10: the tag "PERSON" is not "O" or a tag such as "B-PER" or '
            '"I-PER"; the tag is the last column.'
        ),
    )
    assert report.facts["examples"] == 1
    with pytest.raises(DataError) as caught:
        read_conll(path)
    assert str(caught.value) == report.problems[0]


def test_the_facts_of_tags_name_the_scheme_and_count_the_types(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "a.conll",
        "Ada I-PER\nL I-PER\nBob B-PER\n\nin O\nParis I-LOC\n\nin O\nRome I-LOC\n",
    )
    report = check_conll(path)
    assert report.problems == report.warnings == ()
    assert report.facts == {
        "examples": 3,
        "problems": 0,
        "words": 7,
        "different_words": 6,
        "words_that_occur_once": 5,
        "words_per_example": {"median": 2, "percentile_95": 3, "longest": 3},
        "scheme": "IOB1",
        "token_column": 1,
        "tag_column": "last",
        "types": {"PER": 2, "LOC": 2},
        "tagged_words": 5,
        "duplicates": 0,
    }
    json.dumps(report.facts)


def test_what_is_seldom_wanted_in_tags_is_warned_of(tmp_path: Path) -> None:
    path = written(
        tmp_path, "a.conll", "a B-PER\n\n\tO\n\na B-PER\n\na O\n\nb B-LOC\n\n" + "w O\n" * 1001
    )
    assert check_conll(path).warnings == (
        'the type "LOC" has only one span.',
        f"1 sentence ({path}, line 3) with an empty word.",
        (
            f"1 example ({path}, line 11) of more than 1000 words, the longest of 1001; splitting "
            "them makes training faster."
        ),
        f"1 sentence ({path}, line 5) that came before with the same tagging.",
        f"1 sentence ({path}, line 1 and {path}, line 7) that came before with another tagging.",
    )
    plain = written(tmp_path, "b.conll", "a O\n")
    assert check_conll(plain).warnings == ('every tag is "O"; training needs at least one span.',)


@pytest.mark.data
@pytest.mark.skipif(not BTC.is_dir(), reason="the corpora of ../shared/data are not here")
def test_a_published_corpus_has_no_problem() -> None:
    report = check_conll(BTC / "f.conll")
    assert report.problems == ()
    assert report.facts["words"] == 35427
    assert report.facts["types"] == {"PER": 2650, "ORG": 1090, "LOC": 636}
    assert f"1 sentence ({BTC / 'f.conll'}, line" in "".join(report.warnings)


def test_a_table_is_said_to_be_no_conll_file_instead_of_twenty_missing_tags(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("text,label\n" + "A fine day in London,good\n" * 30)
    (problem,) = check_conll(path).problems
    assert problem.startswith(f"{path}: this is not a CoNLL file: none of its lines ends in a tag")
    path.write_text("London LOC\nlies O\n" + "here\n" * 30)
    assert len(check_conll(path).problems) > 1, "one tag, and the other lines are at fault"
