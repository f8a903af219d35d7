"""From a user's files to tensors: readers, checks, words, vocabulary, vectors, batches.

Readers return plain dataclasses and raise `elman.errors.DataError` with file and line; nothing
here knows a model or trains one.  Begin with ``text.py`` or ``conll.py``.
"""

from elman.data.batching import bucketed_batches
from elman.data.conll import TaggedSentence, read_conll
from elman.data.music_report import check_music, music_rows
from elman.data.notes import Note, Piece, frames_of, notes_of
from elman.data.padding import pad_sequences
from elman.data.phrases import count_phrases, phrases_of
from elman.data.report import DataReport, check_conll, check_labelled_texts
from elman.data.tag_schemes import Scheme, Span, bio_tags, recognise_scheme, spans_of, to_bio
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
    "Note",
    "Piece",
    "Scheme",
    "Span",
    "TaggedSentence",
    "Vocabulary",
    "WordVectors",
    "bio_tags",
    "bucketed_batches",
    "check_conll",
    "check_labelled_texts",
    "check_music",
    "count_phrases",
    "frames_of",
    "music_rows",
    "notes_of",
    "pad_sequences",
    "phrases_of",
    "read_conll",
    "read_labelled_texts",
    "read_vectors",
    "recognise_scheme",
    "rows_for",
    "spans_of",
    "spellings",
    "split_words",
    "to_bio",
    "train_vectors",
    "word_spans",
    "write_vectors",
]
