"""A check finds every problem of a file, warns of what is seldom wanted, and counts."""

import json
from pathlib import Path

import pytest

from elman.data.text import read_labelled_texts
from elman.errors import DataError
from elman.tasks.ner.report import check_conll
from elman.tasks.sentiment.report import check_labelled_texts

BTC = Path(__file__).resolve().parents[3].parent / "shared/data/ner/btc/CONLL-format/data"


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_good_file_has_facts_and_nothing_to_say(tmp_path: Path) -> None:
    path = written(
        tmp_path, "a.csv", "text,label\nFine.,good\nIt's so fine!,good\nDull.,bad\nNo no.,bad\n"
    )
    report = check_labelled_texts(path)
    assert report.path == path
    assert report.problems == report.warnings == ()
    assert report.facts == {
        "examples": 4,
        "problems": 0,
        "words": 2 + 5 + 2 + 3,
        "different_words": 10,  # Fine . It 's so fine ! Dull No no
        "words_that_occur_once": 9,
        "words_per_example": {"median": 3, "percentile_95": 5, "longest": 5},
        "labels": {"good": 2, "bad": 2},
        "duplicates": 0,
    }
    json.dumps(report.facts)


def test_all_problems_of_texts_are_found_in_the_readers_words(tmp_path: Path) -> None:
    path = written(
        tmp_path, "a.csv", b"text,label\nFine.,good\n,good\nFine.\ncaf\xe9,good\nDull.,\nBad.,bad\n"
    )
    report = check_labelled_texts(path)
    assert report.problems == (
        f"{path}, line 5: byte 4 of the line, 0xe9, is not UTF-8; save the file as UTF-8.",
        f'{path}, line 3: the text (column "text") is empty; write one or remove the row.',
        (
            f"{path}, line 4: the header has 2 columns but the row has 1; put a text that contains "
            '"," or a line end in double quotes.'
        ),
        f'{path}, line 6: the label (column "label") is empty; write one or remove the row.',
    )
    assert report.facts["problems"] == 4
    with pytest.raises(DataError) as caught:
        read_labelled_texts(path)
    assert str(caught.value) == report.problems[0]


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "review,stars\nFine.,4\nGood.,4\nBad.,1\nDull.,1\n")
    report = check_labelled_texts(path, text_column="review", label_column="stars")
    assert report.problems == ()
    assert report.facts["labels"] == {"4": 2, "1": 2}
    assert len(check_labelled_texts(path).problems) == 1


def test_twenty_problems_are_listed_and_the_others_counted(tmp_path: Path) -> None:
    rows = [f"Fine {n}.,good\n,bad\n" for n in range(33)]
    report = check_labelled_texts(written(tmp_path, "a.csv", "text,label\n" + "".join(rows)))
    assert len(report.problems) == 21
    assert report.problems[-1] == "and 13 more problems."
    assert report.facts["problems"] == 33
    assert report.facts["examples"] == 33


def test_a_file_that_cannot_be_read_is_a_report_too(tmp_path: Path) -> None:
    missing = tmp_path / "none.csv"
    message = f"{missing}: there is no such file; check its name and folder."
    for report in (check_labelled_texts(missing), check_conll(missing)):
        assert report.problems == (message,)
        assert report.warnings == ()
        assert report.facts["examples"] == report.facts["words"] == 0


def test_what_is_seldom_wanted_in_texts_is_warned_of(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "a.csv",
        "text,label\nFine.,good\nFine.,good\nFine. ,good\nDull.,bad\nFine.,bad\nSo so.,odd\n"
        f"<br>,bad\n{'word ' * 1001},bad\n{'long ' * 1000},bad\n",
    )
    report = check_labelled_texts(path)
    assert report.problems == ()
    assert report.warnings == (
        'the label "odd" has only one example.',
        f"1 text ({path}, line 8) without words.",
        (
            f"1 example ({path}, line 9) of more than 1000 words, the longest of 1001; splitting "
            "them makes training faster."
        ),
        f"2 texts ({path}, line 3; {path}, line 4) that came before with the same label.",
        f"1 text ({path}, line 2 and {path}, line 6) that came before with another label.",
    )
    assert report.facts["duplicates"] == 2


def test_many_places_are_cut_short(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "text,label\n" + "Fine.,good\n" * 6)
    assert check_labelled_texts(path).warnings == (
        "all examples have the same label; training needs at least two labels.",
        (
            f"5 texts ({path}, line 3; {path}, line 4; {path}, line 5; ...) that came before with "
            "the same label."
        ),
    )
