"""From data files to tensors: readers, checks, words, vocabulary, vectors, batches.

Readers return plain dataclasses and raise `elman.errors.DataError` with file and line; nothing
here depends on models or training.  Readers for one task are in the package of that task.
"""

from elman.data.batching import bucketed_batches
from elman.data.padding import pad_sequences
from elman.data.report import DataReport
from elman.data.text import LabelledText, read_labelled_texts
from elman.data.vectors import (
    WordVectors,
    read_vectors,
    rows_for,
    spellings,
    train_vectors,
    write_vectors,
)
from elman.data.vocabulary import PADDING, UNKNOWN, Vocabulary
from elman.data.words import split_words, word_spans

__all__ = [
    "PADDING",
    "UNKNOWN",
    "DataReport",
    "LabelledText",
    "Vocabulary",
    "WordVectors",
    "bucketed_batches",
    "pad_sequences",
    "read_labelled_texts",
    "read_vectors",
    "rows_for",
    "spellings",
    "split_words",
    "train_vectors",
    "word_spans",
    "write_vectors",
]
