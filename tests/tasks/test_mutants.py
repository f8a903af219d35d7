"""Whatever happens to a file of data, its reader returns or raises a DataError, in bounded time.

There are ``ELMAN_MUTANTS`` damaged files for each reader, or a few in the suite;
``damaged_data.py`` is a program that counts what is said of many.  A task names its
readers, with a good file for each, in ``tests/tasks/<task>/mutants.py``.
"""

import contextlib
import gzip
import importlib
import io
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest

from elman.data.plain_text import read_lines
from elman.data.vectors import read_vectors
from tasks.mutating import as_bytes, mutant, refusal_of

MUTANTS = int(os.environ.get("ELMAN_MUTANTS", "40"))
#: what a hang is: no mutant takes a hundredth of it
GUARD_SECONDS = 120

WORDS = [f"w{k}" for k in range(12)]
NUMBERS = np.arange(36, dtype=np.float32).reshape(12, 3) / 7
GLOVE = "".join(f"{w} {' '.join(map(str, row))}\n" for w, row in zip(WORDS, NUMBERS, strict=True))
BINARY = b"12 3\n" + b"".join(
    w.encode() + b" " + row.tobytes() + b"\n" for w, row in zip(WORDS, NUMBERS, strict=True)
)


def npz() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, words=np.array(WORDS), vectors=NUMBERS)
    return stream.getvalue()


def read_text_lines(path: Path) -> str:
    return refusal_of(lambda: read_lines(path))


def read_any_vectors(path: Path) -> str:
    return refusal_of(lambda: read_vectors(path))


#: the name of a file, what it holds, and what reads it: it returns the refusal, or ""
READERS = {
    "lines": ("a.txt", "text\tlabel\nWarm, and funny.\tgood\n" * 6, read_text_lines),
    "vectors": ("a.vec", GLOVE, read_any_vectors),
    "vectors with header": ("a.vec", f"12 3\n{GLOVE}", read_any_vectors),
    "vectors binary": ("a.bin", BINARY, read_any_vectors),
    "vectors gzip": ("a.gz", gzip.compress(GLOVE.encode()), read_any_vectors),
    "vectors npz": ("a.npz", npz(), read_any_vectors),
}
for own in sorted(Path(__file__).parent.glob("*/mutants.py")):
    READERS |= importlib.import_module(f"tasks.{own.parent.name}.mutants").READERS


@contextlib.contextmanager
def no_longer_than(seconds: int) -> Iterator[None]:
    def stop(number, frame):
        raise AssertionError("the reader hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("reader", READERS)
def test_a_mutant_is_read_or_refused_in_a_sentence(tmp_path, reader):
    name, content, read = READERS[reader]
    (tmp_path / name).write_bytes(as_bytes(content))
    assert not read(tmp_path / name)
    for number in range(MUTANTS):
        (tmp_path / name).write_bytes(mutant(as_bytes(content), Random(number)))
        try:
            with no_longer_than(GUARD_SECONDS):
                read(tmp_path / name)
        except Exception as error:
            raise AssertionError(f"mutant {number} of {reader}: {error!r}") from error
