"""Whatever bytes a file holds, a reader returns examples or raises DataError: nothing else."""

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from elman.data.report import DataReport
from elman.data.vectors import read_vectors
from elman.errors import DataError

READERS: dict[str, tuple[str, Callable[[Path], object], Callable[[Path], DataReport] | None]] = {
    "vectors": ("0123456789.eE+-naif \t\r\n\0\x01x\xff", read_vectors, None),
}
for own in sorted(Path(__file__).parent.glob("*/mutants.py")):
    module = importlib.import_module(f"tasks.{own.parent.name}.mutants")
    READERS |= getattr(module, "ANY_BYTES", {})


@pytest.mark.parametrize("name", READERS)
@settings(deadline=None)
@given(data=st.data())
def test_a_reader_returns_or_raises_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    headers = st.sampled_from(
        [b"", b"\xef\xbb\xbf", b"text,label\n", b"text\tlabel\n", b"2 1\n", b"PK\x03\x04"]
    )
    alphabet, read, check = READERS[name]
    body = st.binary() | st.text(alphabet).map(lambda text: text.encode("latin-1", "ignore"))
    content = data.draw(headers) + data.draw(body) + data.draw(st.just(b"") | body)
    path = tmp_path_factory.mktemp("any") / name
    path.write_bytes(content)
    refusal = ""
    try:
        read(path)
    except DataError as error:
        refusal = str(error)
    assert not refusal or refusal.startswith(str(path))
    if check is None:
        return
    assert check(path).problems[:1] == ((refusal,) if refusal else ())


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
