"""Labelled texts are read exactly from every format, and every mistake in one has its place."""

import csv
import gzip
import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.data.text import LabelledText, read_labelled_texts
from elman.data.words import split_words
from elman.errors import DataError
from elman.tasks.sentiment.report import check_labelled_texts

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
        f'{table}, line 1: there is no column "label"; the columns are "text"; choose one '
        "with --label-column (the first line must name the columns)."
    )
    labelled = written(tmp_path, "b.csv", "label,text\n,Fine.\n")
    assert read_labelled_texts(labelled, labelled=False) == fine
    lines = written(tmp_path, "a.jsonl", '{"text": "Fine."}')
    assert read_labelled_texts(lines, labelled=False) == fine
    folder = written(tmp_path, "texts/a.txt", "Fine.").parent
    assert read_labelled_texts(folder, labelled=False) == fine
    assert error_of(folder) == (
        f"{folder}: there is no text in this folder; it must hold a folder of text files for "
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
                'there is no column "text"; the columns are "review", "sentiment"; choose '
                "one with --text-column (the first line must name the columns)."
            ),
        ),
        (
            "a.csv",
            "text;sentiment\nFine.;good\n",
            ", line 1",
            (
                'there is no column "label"; the columns are "text", "sentiment"; choose one '
                "with --label-column (the first line must name the columns)."
            ),
        ),
        (
            "a.csv",
            "text,text,label\nFine.,Fine.,good\n",
            ", line 1",
            (
                'there is more than one column "text"; the columns are "text", "text", '
                '"label"; choose one with --text-column (the first line must name the columns).'
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
                'the header has 2 columns but the row has 3; put a text that contains "," or a '
                "line end in double quotes."
            ),
        ),
        (
            "a.csv",
            "text,label\n\nFine.\n",
            ", line 3",
            (
                'the header has 2 columns but the row has 1; put a text that contains "," or a '
                "line end in double quotes."
            ),
        ),
        (
            "a.tsv",
            "text\tlabel\nFine.\tvery\tgood\n",
            ", line 2",
            (
                "the header has 2 columns but the row has 3; replace the tabs inside a text by "
                "spaces."
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
                "a text in double quotes that starts here continues after its end; write a quote "
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
                'the suffix ".xls" is not a format of labelled texts; give a .csv, .tsv '
                "or .jsonl file, or a folder with a folder of text files per label."
            ),
        ),
        (
            "a.jsonl",
            '{"text": "Fine.", "label": "good"}\n{"text": "Fi\n',
            ", line 2",
            (
                "this is not JSON (Unterminated string starting at character 10); write one "
                "object per line."
            ),
        ),
        (
            "a.jsonl",
            '{"text": "Fine.", "label": NaN}\n',
            ", line 1",
            "this is not JSON (NaN is not valid JSON); write one object per line.",
        ),
        (
            "a.json",
            '[["Fine.", "good"]]\n',
            ", line 1",
            (
                "this is a JSON list, but an object is expected for each text, such "
                'as {"text": "...", "label": "..."}.'
            ),
        ),
        (
            "a.jsonl",
            '\n{"review": "Fine.", "label": "good"}\n',
            ", line 2",
            (
                'there is no column "text"; the columns are "review", "label"; choose one '
                "with --text-column."
            ),
        ),
        (
            "a.jsonl",
            "{}\n",
            ", line 1",
            'there is no column "text"; the columns are none; choose one with --text-column.',
        ),
        (
            "a.jsonl",
            '{"text": 5, "label": "good"}\n',
            ", line 1",
            '"text" is a JSON number; it must be a string.',
        ),
        (
            "a.jsonl",
            '{"text": "Fine.", "label": ["good"]}\n',
            ", line 1",
            '"label" is a JSON list; it must be a string or a number.',
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
    expected = "it must hold a folder of text files for each label."
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
        f"{inner}: this is a folder, but a file is expected; name a file."
    )
    assert path.exists()


def test_stray_quotes_in_a_tsv_are_signs_and_check_says_so(tmp_path: Path) -> None:
    lines = ["text\tlabel", "nice\tpos", '" a great film\tpos', "lovely\tpos", 'he said "\tpos']
    path = written(tmp_path, "quote.tsv", "\n".join([*lines, "awful\tneg", "dull\tneg"]) + "\n")
    texts = [example.text for example in read_labelled_texts(path)]
    assert texts == ["nice", '" a great film', "lovely", 'he said "', "awful", "dull"]
    report = check_labelled_texts(path)
    assert report.problems == ()
    assert report.facts["examples"] == 6
    note = f"{path}, line 3: double quotes are read as ordinary characters (2 in the file)."
    assert report.warnings[0] == note


def test_quotes_that_enclose_texts_of_several_lines_in_a_tsv_are_read(tmp_path: Path) -> None:
    path = written(
        tmp_path, "a.tsv", 'text\tlabel\n"two\nlines"\tpos\n"one ""x"""\tneg\nplain\tneg\n'
    )
    assert [example.text for example in read_labelled_texts(path)] == [
        "two\nlines",
        'one "x"',
        "plain",
    ]
    assert "double quotes around fields are removed" in check_labelled_texts(path).warnings[0]


def test_a_stray_quote_in_a_csv_that_swallows_rows_is_named(tmp_path: Path) -> None:
    rows = 'text,label\nnice,pos\n" a great film,pos\nlovely,pos\nhe said ",pos\nawful,neg\n'
    path = written(tmp_path, "a.csv", rows)
    said = error_of(path)
    assert said.startswith(f"{path}, line 3: a double quote opens a text here that spans 3 lines")
    fine = 'text,label\nnice,pos\n"Great, funny\nfilm, really",pos\nawful,neg\n'
    assert len(read_labelled_texts(written(tmp_path, "b.csv", fine))) == 3


def test_a_json_array_is_read_with_the_line_of_each_object(tmp_path: Path) -> None:
    objects = '[\n  {"text": "Fine.",\n   "label": 1},\n  {"text": "Dull.", "label": 0.50}\n]\n'
    path = written(tmp_path, "a.json", objects)
    assert read_labelled_texts(path) == [LabelledText("Fine.", "1"), LabelledText("Dull.", "0.50")]
    bad = written(tmp_path, "b.json", objects.replace('"Dull."', "5"))
    assert error_of(bad) == f'{bad}, line 4: "text" is a JSON number; it must be a string.'
    cut = written(tmp_path, "c.json", objects[: objects.index("]")])
    assert error_of(cut).startswith(f"{cut}, line 5: the JSON array must continue here")


def test_a_key_that_a_json_object_has_twice_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", '{"text": "Fine.", "text": "Dull.", "label": "good"}\n')
    assert 'more than one column "text"' in error_of(path)


@pytest.mark.parametrize(
    "content",
    [
        "text,label,\nFine.,good,\nDull.,bad,\n",
        "text,label\nFine.,good,,\nDull.,bad,\n",
        "sep=;\ntext;label\nFine.;good\nDull.;bad\n",
        "text,label\r\nFine.,good\nDull.,bad\r\r\n",
        "text,label\rFine.,good\rDull.,bad\r",
        "text,label\nFine.,good\n,\nDull.,bad\n",
    ],
    ids=["columns", "separators", "excel", "mixed ends", "old mac", "blank row"],
)
def test_untidy_tables_are_read(tmp_path: Path, content: str) -> None:
    read = read_labelled_texts(written(tmp_path, "a.csv", content))
    assert read == [LabelledText("Fine.", "good"), LabelledText("Dull.", "bad")]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_carriage_return_within_a_text_is_a_blank_and_noted(tmp_path: Path, name: str) -> None:
    between = "," if name == "a.csv" else "\t"
    path = written(tmp_path, name, f"text{between}label\nso\rgood{between}pos\nbad{between}neg\n")
    assert [split_words(each.text) for each in read_labelled_texts(path)] == [
        ["so", "good"],
        ["bad"],
    ]
    note = f"{path}, line 2: a carriage return within the line is read as a space (1 in the file)."
    assert note in check_labelled_texts(path).warnings


def test_line_ends_in_quoted_fields_stay_as_they_are(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", 'text,label\r\n"a\r\nb\rc",pos\r\nd,neg\r\n')
    assert read_labelled_texts(path)[0].text == "a\r\nb\rc"


def test_numbers_as_labels_that_are_equal_are_noted(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "text,label\nFine.,1\nNice.,1.0\nDull.,0\nSad.,0\n")
    warning = 'the labels "1" and "1.0" look alike but count as two'
    assert any(each.startswith(warning) for each in check_labelled_texts(path).warnings)


def test_labels_that_look_alike_are_noted(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "text,label\nFine.,Good\nNice.,good\nDull.,bad\nSad.,bad\n")
    warning = 'the labels "Good" and "good" look alike but count as two'
    assert any(each.startswith(warning) for each in check_labelled_texts(path).warnings)


def test_what_is_no_file_has_a_sentence_and_never_waits(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    assert "this is a pipe or a device, not a file" in error_of(pipe)
    folder = tmp_path / "folder.csv"
    folder.mkdir()
    assert "there is no text in this folder" in error_of(folder)
    assert "longer than the system allows" in error_of(Path("a" * 5000 + ".csv"))
    packed = tmp_path / "packed.csv"
    packed.write_bytes(gzip.compress(b"text,label\nFine.,good\n")[:-9])
    assert "compressed with gzip; unpack it" in error_of(packed)
    for encoding in ("utf-16", "utf-16-le", "utf-32"):
        path = written(tmp_path, "wide.csv", "text,label\nFine.,good\n".encode(encoding))
        assert "save it as UTF-8" in error_of(path)


def test_a_header_that_comes_again_is_no_row(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "text,label\nFine.,good\ntext,label\nDull.,bad\n")
    assert [each.label for each in read_labelled_texts(path)] == ["good", "bad"]
    note = f"{path}, line 3: the row repeats the column names; it is left out."
    assert note in check_labelled_texts(path).warnings


def test_texts_with_private_characters_keep_their_blanks(tmp_path: Path) -> None:
    text = "a b\ue000\ue001\ue002\uf8fe\uf8ff c"
    path = written(tmp_path, "a.csv", f"text,label\n{text},good\nd\re,bad\n")
    assert read_labelled_texts(path) == [LabelledText(text, "good"), LabelledText("d e", "bad")]


@pytest.mark.parametrize("sign", ['"', "x", "\ue000", "\U0001f600"])
def test_a_separator_that_none_is_is_a_column_that_is_missing(tmp_path: Path, sign: str) -> None:
    path = written(tmp_path, "a.csv", f"sep={sign}\ntext,label\nFine.,good\n")
    assert 'there is no column "text"' in error_of(path)
