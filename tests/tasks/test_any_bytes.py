"""Whatever bytes a file holds, a reader returns examples or raises DataError: nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from elman.data.text import read_labelled_texts
from elman.data.vectors import read_vectors
from elman.errors import DataError
from elman.tasks.ner.conll import read_conll
from elman.tasks.ner.report import check_conll
from elman.tasks.sentiment.report import check_labelled_texts

ALPHABETS = {
    "a.csv": ' "text,label;\t\r\n\0\xa0\u2028',
    "a.tsv": ' "text\tlabel\r\n\0\xa0\u2028',
    "a.jsonl": '{}[]": ,\\u123d8textlabel\n\0',
    "a.conll": "BIOESLU-#_ \t\r\n\0\xa0\u2028x",
    "vectors": "0123456789.eE+-naif \t\r\n\0\x01x\xff",
}
READERS: dict[str, Callable[[Path], object]] = {
    "a.csv": read_labelled_texts,
    "a.tsv": read_labelled_texts,
    "a.jsonl": read_labelled_texts,
    "a.conll": read_conll,
    "vectors": read_vectors,
}


@pytest.mark.parametrize("name", READERS)
@settings(deadline=None)
@given(data=st.data())
def test_a_reader_returns_or_raises_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    headers = st.sampled_from(
        [b"", b"\xef\xbb\xbf", b"text,label\n", b"text\tlabel\n", b"2 1\n", b"PK\x03\x04"]
    )
    body = st.binary() | st.text(ALPHABETS[name]).map(lambda text: text.encode("latin-1", "ignore"))
    content = data.draw(headers) + data.draw(body) + data.draw(st.just(b"") | body)
    path = tmp_path_factory.mktemp("any") / name
    path.write_bytes(content)
    refusal = ""
    try:
        READERS[name](path)
    except DataError as error:
        refusal = str(error)
    assert not refusal or refusal.startswith(str(path))
    if name == "vectors":
        return
    report = check_conll(path) if name == "a.conll" else check_labelled_texts(path)
    assert report.problems[:1] == ((refusal,) if refusal else ())


@settings(deadline=None)
@given(content=st.binary())
@example(b"\x08" * 20)
def test_gzipped_bytes_of_any_kind_return_or_raise_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path: Path = tmp_path_factory.mktemp("any") / "vectors.gz"
    path.write_bytes(b"\x1f\x8b" + content)
    with pytest.raises(DataError) as caught:
        read_vectors(path)
    assert str(caught.value).startswith(str(path))
