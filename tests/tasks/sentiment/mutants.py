"""The files of labelled texts that ``test_mutants.py`` damages."""

from pathlib import Path

from elman.data.text import read_labelled_texts, text_rows
from elman.tasks.sentiment.report import check_labelled_texts
from tasks.mutating import refusal_of

ROWS = [
    ("Warm, and funny.", "good"),
    ('A "dud" \u2028 again', "bad"),
    ("Zo\u00eb\tis\nhere", "good"),
] * 4
CSV = "text,label\n" + "".join('"{}",{}\n'.format(t.replace('"', '""'), x) for t, x in ROWS)
TSV = "text\tlabel\n" + "".join("{}\t{}\n".format(" ".join(t.split()), x) for t, x in ROWS)
JSONL = '{"text": "Caf\\u00e9 \u6797", "label": 1.0}\n{"label": "bad", "text": "x\\n"}\n' * 4
ARRAY = "[" + ",\n".join(JSONL.strip().split("\n")) + "]\n"


def read_text(path: Path) -> str:
    refusal = refusal_of(lambda: read_labelled_texts(path))
    assert (not check_labelled_texts(path).problems) == (not refusal)
    read_labelled_texts_alone = list(
        text_rows(path, text_column="text", label_column="label", labelled=False)
    )
    assert read_labelled_texts_alone
    return refusal


READERS = {
    "csv": ("a.csv", CSV, read_text),
    "tsv": ("a.tsv", TSV, read_text),
    "jsonl": ("a.jsonl", JSONL, read_text),
    "json array": ("a.json", ARRAY, read_text),
}
#: for ``test_any_bytes.py``: characters that matter, the reader, its check
ANY_BYTES = {
    "a.csv": (' "text,label;\t\r\n\0\xa0\u2028', read_labelled_texts, check_labelled_texts),
    "a.tsv": (' "text\tlabel\r\n\0\xa0\u2028', read_labelled_texts, check_labelled_texts),
    "a.jsonl": ('{}[]": ,\\u123d8textlabel\n\0', read_labelled_texts, check_labelled_texts),
}
