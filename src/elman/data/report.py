"""What is in a data file and what is wrong with it: the work of ``elman check``.

The readers stop at the first fault; these functions go through the whole file with the same rules
(``text.py``, ``conll.py``), list the faults, warn of what is allowed but seldom wanted, and count.
Printing a report is the command line's.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from elman.data.conll import conll_rows
from elman.data.faults import Fault, Place, Row
from elman.data.tag_schemes import spans_of
from elman.data.text import text_rows
from elman.data.words import split_words

T = TypeVar("T")

_LISTED = 20  # problems
_EXAMPLES = 3  # places in a warning
_LONG = 1000  # words: an example beyond that makes a slow batch


@dataclass(frozen=True)
class DataReport:
    """The outcome of a check: the file can be used if ``problems`` is empty.

    ``problems`` are sentences with a place, at most 20 and a last one that counts the others;
    ``warnings`` do not keep a file from being used; ``facts`` are numbers by name, fit for JSON.
    """

    path: Path
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    facts: dict[str, object]


def check_labelled_texts(
    path: Path, *, text_column: str = "text", label_column: str = "label"
) -> DataReport:
    """Check a file or folder that `read_labelled_texts` is to read.

    Facts: ``examples``, ``problems``, ``words``, ``different_words``, ``words_that_occur_once``,
    ``words_per_example`` (``median``, ``percentile_95``, ``longest``), ``labels`` (a count for
    each), ``duplicates``.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "reviews.csv"
    ...     _ = path.write_text("text,label\\nGood.,good\\nBad.,bad\\n,bad\\nGreat.,good\\n")
    ...     report = check_labelled_texts(path)
    >>> report.problems[0].partition("reviews.csv, ")[2]
    'line 4: the text (column "text") is empty; write one or remove the row.'
    >>> report.warnings, report.facts["labels"]
    (('the label "bad" has one example only.',), {'good': 2, 'bad': 1})
    """
    items = list(text_rows(path, text_column=text_column, label_column=label_column, labelled=True))
    rows = [item for item in items if isinstance(item, Row)]
    words = [split_words(row.value.text) for row in rows]
    labels = Counter(row.value.label or "" for row in rows)
    facts = _counts(items, words)
    facts["labels"] = dict(labels.most_common())
    warnings = [f'the label "{label}" has one example only.' for label in _once(labels)]
    if len(labels) == 1:
        warnings.append("all examples have one label; training needs at least two.")
    wordless = [row.place for row, found in zip(rows, words, strict=True) if not found]
    if wordless:
        warnings.append(f"{_many(wordless, 'text')} without a word.")
    warnings += _long(rows, words)
    repeats, repeated = _repeated(
        rows, lambda example: (example.text.strip(), example.label), "text", "label"
    )
    facts["duplicates"] = repeats
    return DataReport(path, _problems(items), (*warnings, *repeated), facts)


def check_conll(path: Path) -> DataReport:
    """Check a file that `read_conll` is to read, tags included.

    Facts: those of `check_labelled_texts`, with ``scheme`` (the one that was recognised), ``types``
    (how many spans of each) and ``tagged_words`` in the place of ``labels``.
    """
    items, scheme = conll_rows(path, tagged=True)
    rows = [item for item in items if isinstance(item, Row)]
    words = [row.value.tokens for row in rows]
    types = Counter(span.type for row in rows for span in spans_of(row.value.tags or ()))
    facts = _counts(items, words)
    facts["scheme"] = None if scheme is None else scheme.value
    facts["types"] = dict(types.most_common())
    facts["tagged_words"] = sum(tag != "O" for row in rows for tag in row.value.tags or ())
    warnings = [f'the type "{type}" has one span only.' for type in _once(types)]
    if rows and not types:
        warnings.append('every tag is "O"; training needs at least one span.')
    lost = [row.place for row in rows if "" in row.value.tokens]
    if lost:
        warnings.append(f"{_many(lost, 'sentence')} with an empty word.")
    warnings += _long(rows, words)
    repeats, repeated = _repeated(
        rows, lambda example: (example.tokens, example.tags), "sentence", "tagging"
    )
    facts["duplicates"] = repeats
    return DataReport(path, _problems(items), (*warnings, *repeated), facts)


def _problems(items: Iterable[Row[object] | Fault]) -> tuple[str, ...]:
    faults = [str(item) for item in items if isinstance(item, Fault)]
    if len(faults) > _LISTED:
        return (*faults[:_LISTED], f"and {len(faults) - _LISTED} more problems.")
    return tuple(faults)


def _counts(
    items: Sequence[Row[object] | Fault], words: Sequence[Sequence[str]]
) -> dict[str, object]:
    counts = Counter(word for example in words for word in example)
    lengths = sorted(len(example) for example in words)
    spread = {"median": 0.5, "percentile_95": 0.95, "longest": 1.0}
    return {
        "examples": len(words),
        "problems": sum(isinstance(item, Fault) for item in items),
        "words": sum(lengths),
        "different_words": len(counts),
        "words_that_occur_once": len(_once(counts)),
        "words_per_example": {
            name: lengths[round(part * (len(lengths) - 1))] if lengths else 0
            for name, part in spread.items()
        },
    }


def _once(counts: Counter[str]) -> list[str]:
    return [name for name, count in counts.items() if count == 1]


def _long(rows: Sequence[Row[object]], words: Sequence[Sequence[str]]) -> list[str]:
    lengths = [len(example) for example in words]
    long = [row.place for row, length in zip(rows, lengths, strict=True) if length > _LONG]
    if not long:
        return []
    longest = f"the longest of {max(lengths)}; splitting them makes training faster."
    return [f"{_many(long, 'example')} of more than {_LONG} words, {longest}"]


def _repeated(
    rows: Sequence[Row[T]], parts: Callable[[T], tuple[object, object]], what: str, answer: str
) -> tuple[int, list[str]]:
    """How many rows repeat an earlier one, and the warnings; ``parts`` are question and answer."""
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
        warnings.append(f"{_many(repeats, what)} that came before with the same {answer}.")
    if contradictions:
        warnings.append(f"{_many(contradictions, what)} that came before with another {answer}.")
    return len(repeats), warnings


def _many(places: Sequence[object], what: str) -> str:
    """``3 texts (a.csv, line 4; a.csv, line 7; ...)``."""
    shown = "; ".join(str(place) for place in places[:_EXAMPLES])
    more = "; ..." if len(places) > _EXAMPLES else ""
    return f"{len(places)} {what}{'s' if len(places) > 1 else ''} ({shown}{more})"
