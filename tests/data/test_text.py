"""Labelled texts are read exactly from every format, and every mistake in one has its place."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.data.text import LabelledText, read_labelled_texts
from elman.errors import DataError

EXPECTED = [LabelledText("Warm, and funny.", "good"), LabelledText('A "dud".', "bad")]


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def error_of(path: Path, **options: str | bool) -> str:
    with pytest.raises(DataError) as caught:
        read_labelled_texts(path, **options)  # type: ignore[arg-type]
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'text,label\n"Warm, and funny.",good\n"A ""dud"".",bad\n'),
        ("a.csv", 'text,label\r\n"Warm, and funny.",good\r\n\r\n"A ""dud"".",bad'),
        ("a.csv", '\ufefflabel,text\ngood ,"Warm, and funny."\nbad,"A ""dud""."\n'),
        ("A.CSV", '"id","text","label"\n1,"Warm, and funny.",good\n2,"A ""dud"".",bad\n'),
        ("a.csv", 'label, text\ngood, "Warm, and funny."\nbad, "A ""dud""."\n'),
        ("a.csv", 'text;label\nWarm, and funny.;good\nA "dud".;bad\n'),
        ("a.csv", 'text\tlabel\nWarm, and funny.\tgood\nA "dud".\tbad\n'),
        ("a.csv", 'label|text\ngood|Warm, and funny.\nbad|A "dud".\n'),
        ("a.tsv", 'text\tlabel\nWarm, and funny.\tgood\nA "dud".\tbad\n'),
        ("a.tsv", 'text\tlabel\n"Warm, and funny."\tgood\n"A ""dud""."\tbad\n'),
        (
            "a.jsonl",
            (
                '{"text": "Warm, and funny.", "label": "good"}\n\n'
                '{"label": "bad", "n": 1, "text": "A \\"dud\\"."}'
            ),
        ),
    ],
)
def test_every_way_to_write_two_texts_gives_the_same(
    tmp_path: Path, name: str, content: str
) -> None:
    assert read_labelled_texts(written(tmp_path, name, content)) == EXPECTED


def test_a_folder_is_read_by_label_and_name_and_hidden_files_are_left_out(tmp_path: Path) -> None:
    written(tmp_path, "pos/b.txt", "Fine.\n")
    written(tmp_path, "pos/a.txt", "Funny.\nWarm.\n")
    written(tmp_path, "neg/c.txt", "Dull.")
    written(tmp_path, "neg/.DS_Store", b"\xff\x00")
    written(tmp_path, ".git/x", "hidden")
    written(tmp_path, "README", "about")
    assert read_labelled_texts(tmp_path) == [
        LabelledText("Dull.", "neg"),
        LabelledText("Funny.\nWarm.", "pos"),
        LabelledText("Fine.", "pos"),
    ]


def test_texts_alone_are_read_with_or_without_labels(tmp_path: Path) -> None:
    fine = [LabelledText("Fine.", None)]
    table = written(tmp_path, "a.csv", "text\nFine.\n")
    assert read_labelled_texts(table, labelled=False) == fine
    assert error_of(table) == (
        f'{table}, line 1: there is no column "label"; those that are there: "text"; choose one '
        "with --label-column (the first line is to name the columns)."
    )
    labelled = written(tmp_path, "b.csv", "label,text\n,Fine.\n")
    assert read_labelled_texts(labelled, labelled=False) == fine
    lines = written(tmp_path, "a.jsonl", '{"text": "Fine."}')
    assert read_labelled_texts(lines, labelled=False) == fine
    folder = written(tmp_path, "texts/a.txt", "Fine.").parent
    assert read_labelled_texts(folder, labelled=False) == fine
    assert error_of(folder) == (
        f"{folder}: there is no text in this folder; it is to hold a folder of text files for "
        "each label."
    )


def test_other_columns_can_be_named(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "text,review,stars\nx,Fine.,4\n")
    read = read_labelled_texts(path, text_column="review", label_column="stars")
    assert read == [LabelledText("Fine.", "4")]


@pytest.mark.parametrize(
    ("label", "expected"), [("1", "1"), ("0.5", "0.5"), ("true", "true"), ('" x "', "x")]
)
def test_json_labels_that_are_no_strings_become_strings(
    tmp_path: Path, label: str, expected: str
) -> None:
    path = written(tmp_path, "a.jsonl", f'{{"text": "Fine.", "label": {label}}}')
    assert read_labelled_texts(path) == [LabelledText("Fine.", expected)]


cell = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
text = cell.filter(lambda text: text.strip() != "")


@pytest.mark.parametrize(("suffix", "delimiter"), [("csv", ","), ("csv", ";"), ("tsv", "\t")])
@given(rows=st.lists(st.tuples(text, text), min_size=1))
def test_any_texts_come_back_from_what_the_csv_module_writes(
    tmp_path_factory: pytest.TempPathFactory,
    suffix: str,
    delimiter: str,
    rows: list[tuple[str, str]],
) -> None:
    table = io.StringIO()
    writer = csv.writer(table, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([("text", "label"), *rows])
    path = written(tmp_path_factory.mktemp("csv"), f"a.{suffix}", table.getvalue())
    assert read_labelled_texts(path) == [LabelledText(t, label.strip()) for t, label in rows]


@given(rows=st.lists(st.tuples(text, text), min_size=1))
def test_any_texts_come_back_from_json_lines(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    lines = [json.dumps({"text": t, "label": x}, ensure_ascii=False) for t, x in rows]
    path = written(tmp_path_factory.mktemp("json"), "a.jsonl", "\n".join(lines))
    assert read_labelled_texts(path) == [LabelledText(t, label.strip()) for t, label in rows]


def test_quotes_in_a_tsv_are_signs_where_they_enclose_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, "a.tsv", 'text\tlabel\n"Dull" , he said\tbad\n"open\tbad\nx"\tgood\n')
    assert [example.text for example in read_labelled_texts(path)] == [
        '"Dull" , he said',
        '"open',
        'x"',
    ]


def test_a_text_of_100_000_words_is_read_and_leaves_the_csv_module_as_it_was(
    tmp_path: Path,
) -> None:
    long = "word " * 100_000
    limit = csv.field_size_limit()
    path = written(tmp_path, "a.csv", f"text,label\n{long},good\n")
    assert read_labelled_texts(path) == [LabelledText(long, "good")]
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize(
    ("name", "content", "place", "message"),
    [
        ("a.csv", "", "", "the file is empty; give one with at least one example."),
        ("a.csv", "\ufeff\n", "", "the file is empty; give one with at least one example."),
        (
            "a.csv",
            "text,label\n",
            "",
            "there are no rows; give at least one text after the header.",
        ),
        (
            "a.csv",
            "review,sentiment\nFine.,good\n",
            ", line 1",
            (
                'there is no column "text"; those that are there: "review", "sentiment"; choose '
                "one with --text-column (the first line is to name the columns)."
            ),
        ),
        (
            "a.csv",
            "text;sentiment\nFine.;good\n",
            ", line 1",
            (
                'there is no column "label"; those that are there: "text", "sentiment"; choose one '
                "with --label-column (the first line is to name the columns)."
            ),
        ),
        (
            "a.csv",
            "text,text,label\nFine.,Fine.,good\n",
            ", line 1",
            (
                'there is more than one column "text"; those that are there: "text", "text", '
                '"label"; choose one with --text-column (the first line is to name the columns).'
            ),
        ),
        (
            "a.csv",
            'text,label\n"two\nlines",good\n , bad\n',
            ", line 4",
            'the text (column "text") is empty; write one or remove the row.',
        ),
        (
            "a.csv",
            "text,label\nFine., \n",
            ", line 2",
            'the label (column "label") is empty; write one or remove the row.',
        ),
        (
            "a.csv",
            "text,label\nWarm, and funny.,good\n",
            ", line 2",
            (
                'the header names 2 columns and the row has 3; put a text that holds "," or a '
                "line end in double quotes."
            ),
        ),
        (
            "a.csv",
            "text,label\n\nFine.\n",
            ", line 3",
            (
                'the header names 2 columns and the row has 1; put a text that holds "," or a '
                "line end in double quotes."
            ),
        ),
        (
            "a.tsv",
            "text\tlabel\nFine.\tvery\tgood\n",
            ", line 2",
            (
                "the header names 2 columns and the row has 3; replace the tabs inside a text by "
                "blanks."
            ),
        ),
        (
            "a.csv",
            'text,label\nok,good\n"never closed,bad\nFine.,good\n',
            ", line 3",
            (
                "a text in double quotes that starts here is never closed; write a quote inside a "
                'quoted text twice ("").'
            ),
        ),
        (
            "a.csv",
            'text,label\n"A "dud".",bad\n',
            ", line 2",
            (
                "a text in double quotes that starts here goes on after its end; write a quote "
                'inside a quoted text twice ("").'
            ),
        ),
        (
            "a.csv",
            b"text,label\nfine,good\ncaf\xe9,good\n",
            ", line 3",
            "byte 4 of the line, 0xe9, is not UTF-8; save the file as UTF-8.",
        ),
        ("a.csv", "text,label\n".encode("utf-16"), "", "the file is UTF-16; save it as UTF-8."),
        (
            "a.xls",
            "text,label\nFine.,good\n",
            "",
            (
                'the name ends in ".xls", which is no format of labelled texts; give a .csv, .tsv '
                "or .jsonl file, or a folder with a folder of text files per label."
            ),
        ),
        (
            "a.jsonl",
            '{"text": "Fine.", "label": "good"}\n{"text": "Fi\n',
            ", line 2",
            (
                "this is not JSON (Unterminated string starting at character 10); write one "
                "object a line."
            ),
        ),
        (
            "a.jsonl",
            '{"text": "Fine.", "label": NaN}\n',
            ", line 1",
            "this is not JSON (NaN is not of JSON); write one object a line.",
        ),
        (
            "a.json",
            '[{"text": "Fine.", "label": "good"}]\n',
            ", line 1",
            (
                "a JSON list came where an object was expected; write a line for each text, such "
                'as {"text": "...", "label": "..."}.'
            ),
        ),
        (
            "a.jsonl",
            '\n{"review": "Fine.", "label": "good"}\n',
            ", line 2",
            (
                'there is no column "text"; those that are there: "review", "label"; choose one '
                "with --text-column."
            ),
        ),
        (
            "a.jsonl",
            "{}\n",
            ", line 1",
            'there is no column "text"; those that are there: none; choose one with --text-column.',
        ),
        (
            "a.jsonl",
            '{"text": 5, "label": "good"}\n',
            ", line 1",
            '"text" is a JSON number; a text is a string.',
        ),
        (
            "a.jsonl",
            '{"text": "Fine.", "label": ["good"]}\n',
            ", line 1",
            '"label" is a JSON list; a label is a string or a number.',
        ),
        (
            "a.jsonl",
            '{"text": "Fine.", "label": null}\n',
            ", line 1",
            'the label (column "label") is empty; write one or remove the row.',
        ),
        (
            "a.jsonl",
            '{"text": "\\ud83d", "label": "good"}\n',
            ", line 1",
            "an escape such as \\ud83d is half a character; write both halves or none.",
        ),
    ],
)
def test_each_mistake_has_its_sentence(
    tmp_path: Path, name: str, content: str | bytes, place: str, message: str
) -> None:
    path = written(tmp_path, name, content)
    assert error_of(path) == f"{path}{place}: {message}"


def test_json_nested_too_deeply_has_its_sentence(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", '{"text": ' + "[" * 100_000)
    assert error_of(path).startswith(f"{path}, line 1: this is not JSON (")


def test_mistakes_in_folders_have_their_sentences(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    assert error_of(missing) == f"{missing}: there is no such file; check its name and folder."
    expected = "it is to hold a folder of text files for each label."
    assert error_of(tmp_path) == f"{tmp_path}: there is no text in this folder; {expected}"
    path = written(tmp_path, "pos/a.txt", "Fine.")
    (tmp_path / "neg").mkdir()
    assert error_of(tmp_path) == (
        f"{tmp_path / 'neg'}: the folder of this label holds no text; fill or remove it."
    )
    empty = written(tmp_path, "neg/b.txt", "\n")
    assert error_of(tmp_path) == f"{empty}: the file is empty; give one with at least one example."
    empty.write_bytes(b"ok\n\xff")
    assert error_of(tmp_path) == (
        f"{empty}, line 2: byte 1 of the line, 0xff, is not UTF-8; save the file as UTF-8."
    )
    empty.write_text("Dull.")
    assert len(read_labelled_texts(tmp_path)) == 2
    inner = tmp_path / "pos" / "inner"
    inner.mkdir()
    assert error_of(tmp_path) == (
        f"{inner}: this is a folder, and one file was expected; name a file."
    )
    assert path.exists()
