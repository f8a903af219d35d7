"""The result of checking a data file: ``DataReport``, and parts that the tasks' reports share.

A reader stops at the first fault.  A task's ``report.py`` applies the same rules to the whole file,
lists all faults, warns about what is valid but rarely intended, and computes statistics.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from elman.data.faults import Fault, Note, Place, Row

T = TypeVar("T")

_LISTED = 20  # number of problems listed
_EXAMPLES = 3  # number of positions shown in a warning
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(?:[.][0-9]{1,15})?")
_LONG = 1000  # words: longer examples make slow batches


@dataclass(frozen=True)
class DataReport:
    """The result of a check: the file can be used if ``problems`` is empty.

    ``problems`` are sentences with a position, at most 20 and one that counts the rest;
    ``warnings`` do not make a file unusable; ``facts`` are named statistics as JSON types.
    """

    path: Path
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    facts: dict[str, object]


def listed(items: Iterable[Row[object] | Fault | Note]) -> tuple[str, ...]:
    """The faults as sentences: at most 20, and one that counts the rest."""
    faults = [str(item) for item in items if isinstance(item, Fault)]
    if len(faults) > _LISTED:
        return (*faults[:_LISTED], f"and {len(faults) - _LISTED} more problems.")
    return tuple(faults)


def word_counts(
    items: Sequence[Row[object] | Fault | Note], words: Sequence[Sequence[str]]
) -> dict[str, object]:
    """The facts in every check of texts: examples, problems and words."""
    counts = Counter(word for example in words for word in example)
    lengths = sorted(len(example) for example in words)
    spread = {"median": 0.5, "percentile_95": 0.95, "longest": 1.0}
    return {
        "examples": len(words),
        "problems": sum(isinstance(item, Fault) for item in items),
        "words": sum(lengths),
        "different_words": len(counts),
        "words_that_occur_once": len(once(counts)),
        "words_per_example": {
            name: lengths[round(part * (len(lengths) - 1))] if lengths else 0
            for name, part in spread.items()
        },
    }


def once(counts: Counter[str]) -> list[str]:
    """The names that occur once."""
    return [name for name, count in counts.items() if count == 1]


def confusable(names: Iterable[str], what: str) -> list[str]:
    """A warning for each pair of names that differ only in case, spaces, composition or zeros.

    >>> confusable(["pos", "neg", "Pos"], "label")
    ['the labels "pos" and "Pos" look alike but count as two; write one of them throughout.']
    """
    first: dict[str, str] = {}
    warnings = []
    for name in names:
        plain = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
        if _NUMBER.fullmatch(plain):
            plain = repr(float(plain))
        other = first.setdefault(plain, name)
        if other != name:
            warnings.append(
                f'the {what}s "{other}" and "{name}" look alike but count as two; write one of '
                "them throughout."
            )
    return warnings


def long_examples(rows: Sequence[Row[object]], words: Sequence[Sequence[str]]) -> list[str]:
    """A warning about examples that are too long for a fast batch, if there are any."""
    lengths = [len(example) for example in words]
    long = [row.place for row, length in zip(rows, lengths, strict=True) if length > _LONG]
    if not long:
        return []
    longest = f"the longest of {max(lengths)}; splitting them makes training faster."
    return [f"{many(long, 'example')} of more than {_LONG} words, {longest}"]


def repeated_rows(
    rows: Sequence[Row[T]], parts: Callable[[T], tuple[object, object]], what: str, answer: str
) -> tuple[int, list[str]]:
    """The number of repeated rows, and warnings about them; ``parts`` are input and label."""
    first: dict[object, tuple[Place, object]] = {}
    repeats: list[Place] = []
    contradictions: list[str] = []
    for row in rows:
        question, its_answer = parts(row.value)
        place, answer_there = first.setdefault(question, (row.place, its_answer))
        if answer_there != its_answer:
            contradictions.append(f"{place} and {row.place}")
        elif place is not row.place:
            repeats.append(row.place)
    warnings = []
    if repeats:
        warnings.append(f"{many(repeats, what)} that came before with the same {answer}.")
    if contradictions:
        warnings.append(f"{many(contradictions, what)} that came before with another {answer}.")
    return len(repeats), warnings


def many(places: Sequence[object], what: str) -> str:
    """``3 texts (a.csv, line 4; a.csv, line 7; ...)``."""
    shown = "; ".join(str(place) for place in places[:_EXAMPLES])
    more = "; ..." if len(places) > _EXAMPLES else ""
    return f"{len(places)} {what}{'s' if len(places) > 1 else ''} ({shown}{more})"
