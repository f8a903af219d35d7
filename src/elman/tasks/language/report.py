"""Checks texts: ``elman check language``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from elman.data.faults import Note, Row
from elman.data.report import DataReport, listed, many, once
from elman.tasks.language.data import join
from elman.tasks.language.sections import section_rows

#: fewer characters teach a model little
_FEW = 10_000
#: the number of rare characters that a warning shows
_SHOWN = 10


def check_texts(path: Path) -> DataReport:
    """Checks a text file or a folder of them for ``read``.

    Facts: ``examples`` (sections), ``texts``, ``characters``, ``lines``, ``different_characters``,
    ``characters_that_occur_once``, ``duplicates`` (texts).
    """
    items = list(section_rows(path))
    rows = [item for item in items if isinstance(item, Row)]
    notes = [str(item) for item in items if isinstance(item, Note)]
    texts = list(join([row.value for row in rows]))
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text.text)
    rare = sorted(once(counts))
    first: dict[str, str] = {}
    repeated = [
        text.source for text in texts if first.setdefault(text.text, text.source) != text.source
    ]
    facts: dict[str, object] = {
        "examples": len(rows),
        "texts": len(texts),
        "characters": counts.total(),
        "lines": sum([text.text.count("\n") for text in texts]),
        "different_characters": len(counts),
        "characters_that_occur_once": len(rare),
        "duplicates": len(repeated),
    }
    warnings = []
    if repeated:
        warnings.append(f"{many(repeated, 'text')} that another file has too.")
    if rare:
        shown = ", ".join([repr(each) for each in rare[:_SHOWN]])
        more = ", ..." if len(rare) > _SHOWN else ""
        warnings.append(
            f"{len(rare)} character{'s' if len(rare) > 1 else ''} that occur once ({shown}{more}); "
            "min_count 2 makes such characters unknown."
        )
    if rows and counts.total() < _FEW:
        warnings.append(
            f"there {_only(counts.total())}; a useful model needs {_FEW:,} characters or more."
        )
    return DataReport(path, listed(items), (*notes, *warnings), facts)


def _only(count: int) -> str:
    return "is only 1 character" if count == 1 else f"are only {count:,} characters"
