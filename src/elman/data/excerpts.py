"""Excerpts: a part of a large file, which the readers read like the whole file.

While an excerpt is in place (``reading``), ``read_plain_text`` returns its text for that path, and
positions in messages are those in the whole file.  So a task reads a shard (``shards.py``) with the
reader of its own format, and an error names the real file and line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Excerpt:
    """``content`` is ``head`` lines from the start of a file, then lines from ``first`` on.

    ``shown`` is the name of the file in messages, and ``unit`` what its parts are called: "row" for
    a table that is not text.  ``quoted`` says whether double quotes enclose the fields of a TSV,
    which depends on the whole file; None if it is not a TSV.  ``numbers`` are those of all lines,
    if they do not follow one another.
    """

    content: bytes
    shown: str
    first: int
    head: int = 0
    unit: str = "line"
    quoted: bool | None = None
    numbers: Sequence[int] = ()

    def number(self, line: int) -> int:
        """The number, in the whole file, of a line of the excerpt.

        >>> excerpt = Excerpt(b"text,label\\nfine,good\\n", "a.csv", first=500, head=1)
        >>> excerpt.number(1), excerpt.number(2)
        (1, 500)
        """
        if self.numbers:
            return self.numbers[min(line, len(self.numbers)) - 1]
        return line if line <= self.head else self.first + line - self.head - 1

    def is_blank(self) -> bool:
        """Whether there is nothing but blank lines after the head."""
        return not b"".join(self.content.split(b"\n", self.head)[self.head :]).strip()


_excerpts: ContextVar[Mapping[Path, Excerpt]] = ContextVar("excerpts")


@contextmanager
def reading(excerpts: Mapping[Path, Excerpt]) -> Iterator[None]:
    """Let the readers read these excerpts instead of the files, in this thread."""
    token = _excerpts.set(excerpts)
    try:
        yield
    finally:
        _excerpts.reset(token)


def excerpt_of(path: Path) -> Excerpt | None:
    """The excerpt that is read instead of this file, if any."""
    return _excerpts.get({}).get(path)
