"""Reads and writes ARPA files, the common format of n-gram language models.

    \\data\\
    ngram 1=4
    \\1-grams:
    -0.6021	<s>	-0.3010
    ...
    \\end\\

Logarithms are base 10 in the file and natural in ``ngrams.py``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

from elman.data.faults import Fault, Place
from elman.data.numbers import number_of
from elman.data.plain_text import read_plain_text
from elman.errors import DataError
from elman.tasks.speech.ngrams import NGrams, Token

_TEN = math.log(10)


def read_arpa(path: Path) -> NGrams:
    """Reads an ARPA file; ``DataError`` names the line of the first fault."""
    text, faults = read_plain_text(path)
    if faults:
        raise DataError(str(faults[0]))
    return parse_arpa(text, path)


def parse_arpa(text: str, path: Path) -> NGrams:
    """Parses ARPA text; ``path`` names the file in errors."""
    announced: dict[int, int] = {}
    tables: list[dict[Token, tuple[float, float]]] = []
    section = ""
    for number, line in _lines(text):
        place = Place(path, number)
        if line == "\\end\\":
            section = line
            break
        if line.startswith("\\"):
            section = line
            if match := re.fullmatch(r"\\(\d+)-grams:", line):
                if int(match[1]) != len(tables) + 1:
                    _stop(
                        place,
                        f'"{line}" follows the {len(tables)}-grams; the order must rise by one.',
                    )
                tables.append({})
            elif line != "\\data\\":
                _stop(place, f'"{line}" is not valid in an ARPA file; check its source.')
        elif section == "\\data\\":
            match = re.fullmatch(r"ngram\s+(\d+)\s*=\s*(\d+)", line)
            if not match:
                _stop(place, f'expected a line such as "ngram 1=100", got "{line}".')
            assert match
            announced[int(match[1])] = int(match[2])
        elif tables:
            _add(tables, line, place)
    if section != "\\end\\":
        _stop(Place(path), 'the file is truncated: "\\end\\" is missing; copy it again.')
    if not tables or not tables[0]:
        _stop(Place(path), "there are no 1-grams; an ARPA file needs at least one.")
    for n, table in enumerate(tables, 1):
        if announced.get(n) != len(table):
            _stop(
                Place(path),
                f"the header announces {announced.get(n)} {n}-grams, but the file has "
                f"{len(table)}; the file is damaged, create it again.",
            )
    return NGrams(tuple(tables))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if stripped := line.strip():
            yield number, stripped


def _add(tables: list[dict[Token, tuple[float, float]]], line: str, place: Place) -> None:
    order = len(tables)
    parts = line.split()
    if len(parts) not in (order + 1, order + 2):
        _stop(
            place, f"expected a number, {order} words and at most one more number ({order}-gram)."
        )
    try:
        likely = number_of(parts[0]) * _TEN
        backoff = number_of(parts[-1]) * _TEN if len(parts) == order + 2 else 0.0
    except ValueError:
        _stop(place, "a log probability is not a number; the file is damaged.")
    tables[-1][tuple(parts[1 : order + 1])] = (likely, backoff)


def _stop(place: Place, message: str) -> None:
    raise DataError(str(Fault(place, message)))


def write_arpa(model: NGrams, digits: int = 4) -> str:
    """Returns the model as ARPA text, with ``digits`` decimals of each logarithm."""
    lines = ["\\data\\"]
    lines += [f"ngram {n}={len(table)}" for n, table in enumerate(model.tables, 1)]
    for n, table in enumerate(model.tables, 1):
        lines += ["", f"\\{n}-grams:"]
        for gram, (likely, backoff) in table.items():
            line = f"{likely / _TEN:.{digits}f}\t{' '.join(gram)}"
            lines.append(line if backoff == 0 else f"{line}\t{backoff / _TEN:.{digits}f}")
    return "\n".join([*lines, "", "\\end\\", ""])
