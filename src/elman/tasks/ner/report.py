"""What is in a CoNLL file and what is wrong with it: ``elman check ner``.

The rules are those of the reader, ``conll.py``.
"""

from collections import Counter
from pathlib import Path

from elman.data.faults import Row
from elman.data.report import (
    DataReport,
    listed,
    long_examples,
    many,
    once,
    repeated_rows,
    word_counts,
)
from elman.tasks.ner.conll import conll_rows
from elman.tasks.ner.tag_schemes import spans_of


def check_conll(path: Path) -> DataReport:
    """Check a file that `read_conll` is to read, tags included.

    Facts: those of `check_labelled_texts`, with ``scheme`` (the one that was recognised), ``types``
    (how many spans of each) and ``tagged_words`` in the place of ``labels``.
    """
    items, scheme = conll_rows(path, tagged=True)
    rows = [item for item in items if isinstance(item, Row)]
    words = [row.value.tokens for row in rows]
    types = Counter(span.type for row in rows for span in spans_of(row.value.tags or ()))
    facts = word_counts(items, words)
    facts["scheme"] = None if scheme is None else scheme.value
    facts["types"] = dict(types.most_common())
    facts["tagged_words"] = sum(tag != "O" for row in rows for tag in row.value.tags or ())
    warnings = [f'the type "{type}" has one span only.' for type in once(types)]
    if rows and not types:
        warnings.append('every tag is "O"; training needs at least one span.')
    lost = [row.place for row in rows if "" in row.value.tokens]
    if lost:
        warnings.append(f"{many(lost, 'sentence')} with an empty word.")
    warnings += long_examples(rows, words)
    repeats, repeated = repeated_rows(
        rows, lambda example: (example.tokens, example.tags), "sentence", "tagging"
    )
    facts["duplicates"] = repeats
    return DataReport(path, listed(items), (*warnings, *repeated), facts)
