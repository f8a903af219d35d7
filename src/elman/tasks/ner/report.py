"""Checks CoNLL files: ``elman check ner``.

Applies the rules of the reader, ``conll.py``.
"""

from collections import Counter
from pathlib import Path

from elman.data.faults import Note, Row
from elman.data.report import (
    DataReport,
    confusable,
    listed,
    long_examples,
    many,
    once,
    repeated_rows,
    word_counts,
)
from elman.tasks.ner.conll import conll_rows
from elman.tasks.ner.tag_schemes import spans_of


def check_conll(path: Path, *, token_column: int = 0, tag_column: int = 0) -> DataReport:
    """Checks a tagged file for `read_conll` with the same columns.

    Facts: those of `check_labelled_texts`, with ``scheme`` (as recognised), ``token_column``,
    ``tag_column``, ``types`` (number of spans of each) and ``tagged_words`` instead of ``labels``.
    """
    file = conll_rows(path, tagged=True, token_column=token_column, tag_column=tag_column)
    items, scheme = file.items, file.scheme
    notes = [str(item) for item in items if isinstance(item, Note)]
    rows = [item for item in items if isinstance(item, Row)]
    words = [row.value.tokens for row in rows]
    types = Counter(span.type for row in rows for span in spans_of(row.value.tags or ()))
    facts = word_counts(items, words)
    facts["scheme"] = None if scheme is None else scheme.value
    if file.columns is not None:
        facts["token_column"] = file.columns.token
        facts["tag_column"] = file.columns.tag or "last"
    facts["types"] = dict(types.most_common())
    facts["tagged_words"] = sum(tag != "O" for row in rows for tag in row.value.tags or ())
    warnings = confusable(types, "type")
    warnings += [f'the type "{type}" has only one span.' for type in once(types)]
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
    return DataReport(path, listed(items), (*notes, *warnings, *repeated), facts)
