"""Checks files of sentence pairs: ``elman check translation``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from elman.data.faults import Note, Row
from elman.data.report import DataReport, listed, many
from elman.data.sources import data_files, kind_of
from elman.tasks.translation.parallel import (
    SentencePair,
    absurd_ratio,
    folded,
    pair_rows,
    tidy,
)

_LONG = 100  # words on a side
_SPLITS = ("train", "valid", "dev", "test")


def check_pairs(path: Path) -> DataReport:
    """Checks a table or two files for ``pair_rows``.

    Warnings: implausible length ratios, the same text on both sides, duplicates, very long
    sentences, and sentences that are also in another split, which is a file in the same folder
    whose name differs only in "train", "valid", "dev" or "test".  Facts: ``pairs``, ``problems``,
    ``different_sources``, ``different_targets``, ``duplicates``, ``source_words``,
    ``target_words``.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "pairs.tsv"
    ...     _ = path.write_text("Oui.\\tYes.\\nNon.\\nTom\\tTom\\n")
    ...     report = check_pairs(path)
    >>> report.problems[0].partition("pairs.tsv, ")[2]
    'line 2: there is 1 column; a line must be a source, one tab, and a target.'
    >>> report.warnings[0].partition(" (")[0], report.facts["pairs"]
    ('1 pair', 2)
    """
    items = pair_rows(path)
    rows = [item for item in items if isinstance(item, Row)]
    notes = [str(item) for item in items if isinstance(item, Note)]
    pairs = [row.value for row in rows]
    counts = Counter([(tidy(pair.source), tidy(pair.target)) for pair in pairs])
    facts: dict[str, object] = {
        "pairs": len(rows),
        "problems": len(items) - len(rows) - len(notes),
        "different_sources": len({source for source, _ in counts}),
        "different_targets": len({target for _, target in counts}),
        "duplicates": sum(counts.values()) - len(counts),
        "source_words": sum([len(pair.source.split()) for pair in pairs]),
        "target_words": sum([len(pair.target.split()) for pair in pairs]),
    }
    warnings = [
        *notes,
        *_found(rows, absurd_ratio, "with implausible length ratios"),
        *_found(rows, _untranslated, "with the same text on both sides"),
        *_found(rows, _is_long, f"with more than {_LONG} words on a side"),
        *_repeats(rows),
        *_leaks(path, rows),
    ]
    return DataReport(path, listed(items), tuple(warnings), facts)


def _untranslated(pair: SentencePair) -> bool:
    return tidy(pair.source) == tidy(pair.target)


def _is_long(pair: SentencePair) -> bool:
    return max(len(pair.source.split()), len(pair.target.split())) > _LONG


def _found(
    rows: Sequence[Row[SentencePair]], rule: Callable[[SentencePair], bool], what: str
) -> list[str]:
    places = [row.place for row in rows if rule(row.value)]
    return [f"{many(places, 'pair')} {what}."] if places else []


def _repeats(rows: Sequence[Row[SentencePair]]) -> list[str]:
    seen: set[tuple[str, str]] = set()
    places = []
    for row in rows:
        key = (tidy(row.value.source), tidy(row.value.target))
        if key in seen:
            places.append(row.place)
        seen.add(key)
    return [f"{many(places, 'duplicate pair')}."] if places else []


def _leaks(path: Path, rows: Sequence[Row[SentencePair]]) -> list[str]:
    """Warnings about pairs that share a sentence with another split (test data leakage)."""
    warnings: list[str] = []
    for other in _other_splits(path) if rows else []:
        theirs = [item.value for item in pair_rows(other) if isinstance(item, Row)]
        sources = {folded(pair.source) for pair in theirs}
        targets = {folded(pair.target) for pair in theirs}
        places = [
            row.place
            for row in rows
            if folded(row.value.source) in sources or folded(row.value.target) in targets
        ]
        if places:
            warnings.append(f"{many(places, 'pair')} with a sentence that is also in {other}.")
    return warnings


def _other_splits(path: Path) -> list[Path]:
    files = data_files(path)
    found = []
    for own in _SPLITS:
        for other in _SPLITS:
            beside = [file.with_name(file.name.replace(own, other)) for file in files]
            if own != other and beside != files and all(kind_of(file) == "file" for file in beside):
                found.append(Path(",".join([str(file) for file in beside])))
    return found
