"""Checks files of labelled texts: ``elman check sentiment``.

Applies the rules of the reader, ``data/text.py``.
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
from elman.data.text import text_rows
from elman.data.words import split_words


def check_labelled_texts(
    path: Path, *, text_column: str = "text", label_column: str = "label"
) -> DataReport:
    """Checks a file or folder for `read_labelled_texts`.

    Facts: ``examples``, ``problems``, ``words``, ``different_words``, ``words_that_occur_once``,
    ``words_per_example`` (``median``, ``percentile_95``, ``longest``), ``labels`` (count of
    each), ``duplicates``.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "reviews.csv"
    ...     _ = path.write_text("text,label\\nGood.,good\\nBad.,bad\\n,bad\\nGreat.,good\\n")
    ...     report = check_labelled_texts(path)
    >>> report.problems[0].partition("reviews.csv, ")[2]
    'line 4: the text (column "text") is empty; write one or remove the row.'
    >>> report.warnings, report.facts["labels"]
    (('the label "bad" has only one example.',), {'good': 2, 'bad': 1})
    """
    items = list(text_rows(path, text_column=text_column, label_column=label_column, labelled=True))
    notes = [str(item) for item in items if isinstance(item, Note)]
    rows = [item for item in items if isinstance(item, Row)]
    words = [split_words(row.value.text) for row in rows]
    labels = Counter(row.value.label or "" for row in rows)
    facts = word_counts(items, words)
    facts["labels"] = dict(labels.most_common())
    warnings = [f'the label "{label}" has only one example.' for label in once(labels)]
    warnings += confusable(labels, "label")
    if len(labels) == 1:
        warnings.append("all examples have the same label; training needs at least two labels.")
    wordless = [row.place for row, found in zip(rows, words, strict=True) if not found]
    if wordless:
        warnings.append(f"{many(wordless, 'text')} without words.")
    warnings += long_examples(rows, words)
    repeats, repeated = repeated_rows(
        rows, lambda example: (example.text.strip(), example.label), "text", "label"
    )
    facts["duplicates"] = repeats
    return DataReport(path, listed(items), (*notes, *warnings, *repeated), facts)
