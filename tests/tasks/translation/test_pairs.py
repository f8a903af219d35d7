from pathlib import Path

import pytest

from elman.data.faults import Fault, Note, Row
from elman.tasks.translation.parallel import SentencePair, groups, pair_rows, tidy, tidy_source
from elman.tasks.translation.report import check_pairs


def faults(path):
    return [str(item) for item in pair_rows(path) if isinstance(item, Fault)]


def values(path):
    return [item.value for item in pair_rows(path) if isinstance(item, Row)]


def notes(path):
    return [str(item) for item in pair_rows(path) if isinstance(item, Note)]


def test_a_table_and_two_files_are_the_same_pairs(tmp_path):
    table = tmp_path / "a.tsv"
    table.write_bytes("Où ?\tWhere?\r\n\r\nOui.\tYes.\r\n".encode())
    (tmp_path / "a.fr").write_text("Où ?\n\nOui.\n")
    (tmp_path / "a.en").write_text("Where?\n\nYes.")
    pairs = [SentencePair("Où ?", "Where?"), SentencePair("Oui.", "Yes.")]
    assert values(table) == pairs
    assert values(tmp_path / "a.fr,a.en") == pairs, "the second is beside the first"
    assert values(Path(f"{tmp_path / 'a.fr'},{tmp_path / 'a.en'}")) == pairs


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("Oui.\tYes.\nNon.\n", "line 2: there is 1 column; a line must be a source, one tab"),
        ("Oui.\tYes.\tJa.\n", "line 1: there are 3 columns"),
        ("Oui.\t\n", "line 1: the target is empty; add it or remove the line."),
        ("\tYes.\n", "line 1: the source is empty"),
        ("", "the file is empty"),
    ],
)
def test_each_fault_of_a_table_has_its_line_and_its_cure(tmp_path, content, sentence):
    path = tmp_path / "a.tsv"
    path.write_text(content)
    [found] = faults(path)
    assert found.startswith(str(path))
    assert sentence in found


def test_bytes_that_are_not_text_are_named_by_line_and_the_others_read(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_bytes(b"Oui.\tYes.\nCaf\xe9\tCoffee\nNon.\tNo.\n")
    [found] = faults(path)
    assert "line 2: byte 4 of the line, 0xe9, is not UTF-8" in found
    assert len(values(path)) == 2


def test_files_that_do_not_agree_or_are_not_there_are_refused(tmp_path):
    (tmp_path / "a.fr").write_text("Oui.\nNon.\n")
    (tmp_path / "a.en").write_text("Yes.\n")
    [found] = faults(tmp_path / "a.fr,a.en")
    assert "a.en: it has 1 lines, but a.fr has 2" in found
    [found] = faults(tmp_path / "a.fr,b.en")
    assert "b.en: there is no such file" in found
    [found] = faults(tmp_path)
    assert "this is a folder; give a table, or two files" in found
    (tmp_path / "b.en").write_text("Yes.\n \n")
    [found] = faults(tmp_path / "a.fr,b.en")
    assert "a.fr, line 2: the target is empty" in found


def test_the_many_spellings_of_french_become_one():
    spellings = ["Qu’est-ce ?", "Qu'est-ce\u00a0?", "Qu'est-ce\u202f?", "Qu'est-ce?"]
    assert {tidy_source(each) for each in spellings} == {"Qu' est-ce?"}
    assert tidy_source("« E\u0301te\u0301 »") == "«Été»"
    assert tidy_source("Aujourd'hui, j'ai l'os.") == "Aujourd'hui, j' ai l' os."
    assert tidy_source("Don't, o'clock") == "Don't, o'clock"
    assert tidy("Va\u200b \u2009!") == "Va !"


def test_groups_join_what_shares_a_sentence_by_any_chain():
    pairs = [
        SentencePair("a", "x"), SentencePair("b", "y"), SentencePair("c", "z"),
        SentencePair("b", "X!"), SentencePair("?", "!"), SentencePair("?", "w"),
    ]  # fmt: skip
    assert groups(pairs) == [0, 0, 1, 0, 2, 2]


def test_check_lists_what_ruins_a_training(tmp_path):
    path = tmp_path / "train.tsv"
    path.write_text(
        "Oui.\tYes.\n"
        "Oui.\tYes.\n"
        "Oui, certainement.\t" + "Yes, of course, " * 10 + "\n"
        "Tom\tTom\n"
        "Non.\n"
        "Bonjour !\tHello!\n"
    )
    (tmp_path / "valid.tsv").write_text("bonjour\tHi.\n")
    report = check_pairs(path)
    assert [p.partition("train.tsv, ")[2][:6] for p in report.problems] == ["line 5"]
    warnings = " ".join(report.warnings)
    for said in (
        "line 3) with implausible length ratios", "line 4) with the same text on both sides",
        "duplicate pair", f"line 6) with a sentence that is also in {tmp_path}/valid.tsv",
    ):  # fmt: skip
        assert said in warnings
    assert len(report.warnings) == 4
    assert report.facts["pairs"] == 5
    assert report.facts["duplicates"] == 1
    clean = tmp_path / "clean.tsv"
    clean.write_text("Oui.\tYes.\nNon.\tNo.\n")
    assert (check_pairs(clean).problems, check_pairs(clean).warnings) == ((), ())


def test_check_sees_a_leak_between_aligned_files_too(tmp_path):
    for name, text in {
        "train.fr": "Oui.\nNon.\n", "train.en": "Yes.\nNo.\n",
        "test.fr": "Si.\n", "test.en": "Yes!\n",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(text)
    [warning] = check_pairs(tmp_path / "train.fr,train.en").warnings
    assert "line 1) with a sentence that is also in" in warning


LINES = [(f"la maison {letter} est rouge", f"the house {letter} is red") for letter in "abcdefgh"]


def test_a_carriage_return_within_a_line_keeps_the_pairs_together(tmp_path):
    french = "\n".join(source for source, _ in LINES).replace("d est", "d\rest")
    (tmp_path / "cr.fr").write_bytes(french.encode())
    (tmp_path / "cr.en").write_text("\n".join(target for _, target in LINES) + "\n")
    table = "\n".join("\t".join(pair) for pair in LINES).replace("d est", "d\rest")
    (tmp_path / "cr.tsv").write_bytes(table.encode())
    for name in ("cr.fr,cr.en", "cr.tsv"):
        path = tmp_path / name
        assert values(path) == [SentencePair(*pair) for pair in LINES]
        [note] = check_pairs(path).warnings
        assert "line 4: a carriage return within the line is read as a space" in note


def test_lines_end_at_line_feeds_only(tmp_path):
    (tmp_path / "a.fr").write_bytes("Oui\u2028 !\nNon\x0b.\x85\n".encode())
    (tmp_path / "a.en").write_bytes(b"Yes!\r\nNo.\r\n")
    assert len(values(tmp_path / "a.fr,a.en")) == 2


def test_who_wrote_a_sentence_of_anki_is_passed_over_and_counted(tmp_path):
    path = tmp_path / "fra.txt"
    by = "CC-BY 2.0 (France) Attribution: tatoeba.org #1 (x) & #2 (y)"
    path.write_text(f"Go.\tVa !\t{by}\nHi.\tSalut.\t{by}\nYes.\tOui.\t\n")
    assert values(path) == [
        SentencePair("Go.", "Va !"),
        SentencePair("Hi.", "Salut."),
        SentencePair("Yes.", "Oui."),
    ]
    [note] = notes(path)
    assert "line 1: the third column, an attribution, is ignored (2 in the file)" in note


def test_quotes_of_sentences_stay_and_those_around_fields_go(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text('"Va !"\t"Go!"\nOui.\tYes.\n')
    assert values(path)[0] == SentencePair('"Va !"', '"Go!"')
    path.write_text('"""Va"" !"\t"""Go""!"\nOui.\tYes.\n')
    assert values(path)[0] == SentencePair('"Va" !', '"Go"!')
    assert "double quotes around fields are removed" in notes(path)[0]


def test_a_line_that_names_the_columns_is_no_pair(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("source\ttarget\nOui.\tYes.\n")
    assert values(path) == [SentencePair("Oui.", "Yes.")]
    assert "this line is a header" in notes(path)[0]
