"""Reads labelled texts and collates them into batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Generator, Tensor

from elman.data import (
    UNKNOWN,
    LabelledText,
    Vocabulary,
    pad_sequences,
    read_labelled_texts,
    split_words,
)
from elman.data.faults import Row, Rows, rows_or_error
from elman.data.plain_text import read_lines
from elman.data.sources import is_folder
from elman.data.text import SUFFIXES, text_rows
from elman.errors import DataError, OptionError
from elman.tasks.label_map import label_map
from elman.tasks.sentiment.emoji import meaning
from elman.tasks.sentiment.options import SentimentOptions
from elman.tasks.sentiment.phrases import count_phrases, phrases_of
from elman.tasks.string_encoders import string_tensors
from elman.tasks.task import Vocab
from elman.tasks.word_model import (
    TextSymbols,
    build_text_vocab,
)


@dataclass(frozen=True)
class PhraseVocab(Vocab):
    """A vocabulary with the number of training texts per phrase and label."""

    phrase_counts: Tensor | None = None


@dataclass(frozen=True)
class Review:
    """A text, its words, and its label if known."""

    text: str
    words: tuple[str, ...]
    label: str | None = None

    def __len__(self) -> int:
        return len(self.words)


def read(path: Path, options: SentimentOptions) -> list[Row[Review]]:
    """Reads labelled texts: a CSV, TSV or JSONL file, or a folder with a subfolder per label."""
    rows = rows_or_error(
        text_rows(
            path,
            text_column=options.text_column,
            label_column=options.label_column,
            labelled=True,
        ),
        skip_bad=options.skip_bad,
    )
    names = label_map(options.map)
    return Rows([Row(row.place, _review(row.value, names)) for row in rows], rows.skipped)


def _review(text: LabelledText, names: Mapping[str, str] = MappingProxyType({})) -> Review:
    label = None if text.label is None else names.get(text.label, text.label)
    return Review(text.text, tuple(split_words(text.text)), label)


def check_labels(rows: Sequence[Row[Review]], symbols: TextSymbols) -> None:
    """Raises ``DataError`` for the first text with a label that the model does not have."""
    for row in rows:
        if row.value.label not in symbols.labels:
            raise DataError(
                f'{row.place}: the model has no label "{row.value.label}"; its labels are '
                f"{', '.join(symbols.labels)}. Correct the label, map it to one of these with "
                f"map ({row.value.label}=...), or train a model with it."
            )


def build_vocab(
    examples: Sequence[Review], options: SentimentOptions, seed: int
) -> Vocab[TextSymbols]:
    """Builds the vocabulary, the labels and, if ``phrases`` is set, the phrase counts."""
    labels = Counter([str(example.label) for example in examples])
    if len(labels) < 2:
        raise DataError(
            f'every training text has the label "{next(iter(labels))}"; provide texts with at '
            "least two labels."
        )
    vocab = build_text_vocab([example.words for example in examples], sorted(labels), options, seed)
    if not options.phrases:
        return vocab
    symbols: TextSymbols = vocab.symbols
    phrases, counts = count_phrases(
        [[symbols.fold(word) for word in example.words] for example in examples],
        [symbols.labels.index(str(example.label)) for example in examples],
        len(labels),
        longest=options.phrases,
        min_count=options.phrase_min_count,
    )
    return PhraseVocab(replace(symbols, phrases=phrases), vocab.vectors, torch.tensor(counts))


def cut(examples: Sequence[Review], longest: int) -> list[Review]:
    """Truncates texts to their first ``longest`` words."""
    return [Review(e.text, e.words[:longest], e.label) for e in examples]


def collate(
    examples: Sequence[Review],
    symbols: TextSymbols,
    options: SentimentOptions,
    generator: Generator | None = None,
) -> dict[str, Tensor]:
    """Collates word indices (time, batch), lengths and label indices."""
    words, lengths = pad_sequences([_indices(example.words, symbols) for example in examples])
    batch = {"words": words, "lengths": lengths}
    batch |= string_tensors([example.words for example in examples], symbols.encoders)
    if symbols.phrases is not None:
        texts = [_known(example.words, symbols, symbols.phrases) for example in examples]
        found = [symbols.phrases.encode(phrases_of(text, options.phrases)) for text in texts]
        batch["phrases"], _ = pad_sequences(found)
    if all(example.label is not None for example in examples):
        places = [symbols.labels.index(str(example.label)) for example in examples]
        batch["labels"] = torch.tensor(places)
    return batch


def _indices(words: Sequence[str], symbols: TextSymbols) -> list[int]:
    found = symbols.words.encode([symbols.fold(word) for word in words])
    if UNKNOWN in found:
        found = symbols.words.encode(_known(words, symbols, symbols.words))
    return found


def _known(words: Sequence[str], symbols: TextSymbols, vocabulary: Vocabulary) -> list[str]:
    """The words as a vocabulary has them, with words for emoji that it lacks."""
    found = []
    for word in words:
        form = symbols.fold(word)
        if form not in vocabulary:
            form = symbols.known(word)
            if form not in symbols.words:
                form = meaning(word) or form
        found.append(form)
    return found


def read_inputs(path: Path, options: SentimentOptions) -> list[Review]:
    """Reads the texts of a table or folder, or each line of any other file."""
    if is_folder(path) or path.suffix.lower() in SUFFIXES:
        rows = read_labelled_texts(path, text_column=options.text_column, labelled=False)
        return [_review(row) for row in rows]
    return [as_input(line) for line in read_lines(path)]


def as_input(value: str | Review) -> Review:
    """Converts a string to a ``Review``."""
    if isinstance(value, Review):
        return value
    if not isinstance(value, str):
        raise OptionError(
            f"sentiment: an input has type {type(value).__name__}; pass a string for each text."
        )
    return Review(value, tuple(split_words(value)))
