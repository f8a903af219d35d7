"""What tasks on words share: vocabularies, word vectors, and the layers that read them.

A task on text splits it into words, looks them up in a vocabulary, and trains a model on their
vectors.  The tasks themselves are separate packages.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from elman.data import (
    UNKNOWN,
    Vocabulary,
    WordVectors,
    read_vectors,
    rows_for,
    spellings,
    train_vectors,
)
from elman.data.languages import Known, known_in
from elman.data.words import composed, without_accents
from elman.errors import DataWarning
from elman.graph import Cell
from elman.models.string_features import StringFeatures
from elman.nn import Recurrent
from elman.nn.embedding import WordEmbedding
from elman.saved import different, of_kind, parse_json
from elman.saved import sentences as in_sentences
from elman.tasks.recurrent_options import recurrent_layer
from elman.tasks.string_encoders import EncoderSpec, string_features
from elman.tasks.task import Vocab
from elman.tasks.text_options import TextOptions


def fold_word(word: str, lowercase: bool) -> str:
    """A word as vocabularies store it: composed (NFC), and in lower case if requested."""
    word = composed(word)
    return word.lower() if lowercase else word


@dataclass(frozen=True)
class TextSymbols:
    """The words, labels, characters and phrases of a text model, and its encoders of strings.

    ``vector_size`` is the size of the word vectors, which a file of vectors determines.
    """

    words: Vocabulary
    labels: tuple[str, ...]
    lowercase: bool
    vector_size: int
    characters: Vocabulary | None = None
    phrases: Vocabulary | None = None
    encoders: tuple[EncoderSpec, ...] = ()
    affixes: Vocabulary | None = None

    def encode(self, words: Sequence[str]) -> list[int]:
        """The index of each word."""
        found = self.words.encode([self.fold(word) for word in words])
        if UNKNOWN in found:
            found = self.words.encode([self.known(word) for word in words])
        return found

    def known(self, word: str) -> str:
        """The form of a word that the vocabulary has: folded, or also without its accents."""
        folded = self.fold(word)
        if folded not in self.words:
            plain = without_accents(folded)
            if plain in self.words:
                return plain
        return folded

    def encode_characters(self, word: str) -> list[int]:
        """The index of each character; an unknown letter with an accent is read without it."""
        known = self.characters
        assert known is not None
        if not word.isascii():
            word = "".join([c if c in known else without_accents(c) for c in composed(word)])
        return known.encode(word)

    def fold(self, word: str) -> str:
        """A word as the vocabulary stores it."""
        return fold_word(word, self.lowercase)

    @cached_property
    def languages(self) -> Known:
        """The languages that the words are of, as far as they can be told."""
        return known_in(self.words)

    def with_labels(self, labels: tuple[str, ...]) -> TextSymbols:
        """These symbols, with other labels if one of them is unknown here."""
        return self if set(labels) <= set(self.labels) else replace(self, labels=labels)

    def to_json(self) -> str:
        """The symbols as a JSON object."""
        record = {
            "words": json.loads(self.words.to_json()),
            "labels": self.labels,
            "lowercase": self.lowercase,
            "vector_size": self.vector_size,
            "characters": _record(self.characters),
            "phrases": _record(self.phrases),
        }
        if self.affixes is not None:
            record["affixes"] = _record(self.affixes)
        if self.encoders:
            record["encoders"] = [spec.to_record() for spec in self.encoders]
        return json.dumps(record, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> TextSymbols:
        """The symbols that ``to_json`` wrote; ``RunError`` for anything else."""
        record = parse_json(text, "symbols.json")
        with in_sentences("symbols.json"):
            return cls(
                words=Vocabulary.from_json(json.dumps(record["words"])),
                labels=different(record, "labels"),
                lowercase=of_kind(record, "lowercase", bool),
                vector_size=of_kind(record, "vector_size", int),
                characters=_vocabulary(record["characters"]),
                # older models have no phrases
                phrases=_vocabulary(record.get("phrases")),
                affixes=_vocabulary(record.get("affixes")),
                encoders=tuple(
                    [EncoderSpec.from_record(each) for each in record.get("encoders", [])]
                ),
            )


def _record(vocabulary: Vocabulary | None) -> object:
    return None if vocabulary is None else json.loads(vocabulary.to_json())


def _vocabulary(record: object) -> Vocabulary | None:
    return None if record is None else Vocabulary.from_json(json.dumps(record))


def build_text_vocab(
    sentences: Sequence[Sequence[str]],
    labels: Sequence[str],
    options: TextOptions,
    seed: int,
    characters: Vocabulary | None = None,
) -> Vocab:
    """The vocabulary of the training text, and optionally a vector for each word.

    Words without a vector are initialised at random, with the same spread as the vectors.
    """
    words, vectors = _words(sentences, options, seed)
    size = options.embedding_size if vectors is None else vectors.shape[1]
    symbols = TextSymbols(words, tuple(labels), options.lowercase, size, characters)
    return Vocab(symbols, vectors)


def _words(
    sentences: Sequence[Sequence[str]], options: TextOptions, seed: int
) -> tuple[Vocabulary, Tensor | None]:
    folded = [[fold_word(w, options.lowercase) for w in words] for words in sentences]
    frequent = Vocabulary.count(folded, min_count=options.min_count)
    if not options.vectors:
        return frequent, None
    # a word that the file has only in lower case is found by its `spellings`
    seen = {word for words in folded for word in words}
    wanted = {form for word in seen for form in spellings(word)}
    found = _vectors(folded, wanted, options, seed)
    for note in found.notes:
        warnings.warn(note, DataWarning, stacklevel=2)
    there = set(found.words)
    other = [w for w in sorted(seen) if w not in there and w.lower() in there]
    if other and not any(word != word.lower() for word in found.words):
        message = (
            f"{options.vectors}: all words are in lower case; {len(other)} words of the text take "
            "the vector of their lower-case form, and new ones have none; use lowercase."
        )
        warnings.warn(message, DataWarning, stacklevel=2)
    kept = dict.fromkeys([*found.words, *frequent.words[2:], *other])
    known = Vocabulary([word for word in kept if word not in frequent.words[:2]])
    matrix, _ = rows_for(known, found, seed=seed)
    return known, torch.from_numpy(matrix)


def _vectors(
    sentences: Sequence[Sequence[str]], seen: Container[str], options: TextOptions, seed: int
) -> WordVectors:
    if options.vectors == "train":
        return train_vectors(
            sentences, size=options.embedding_size, min_count=options.min_count, seed=seed
        )
    return read_vectors(Path(options.vectors), keep=_FirstAndSeen(options.vector_words, seen))


class _FirstAndSeen(Container[str]):
    """The words of a vectors file to keep: the first ones asked about, and those seen.

    These files list frequent words first, and may be larger than memory.
    """

    def __init__(self, first: int, seen: Container[str]) -> None:
        self.left, self.seen = first, seen

    def __contains__(self, word: object) -> bool:
        self.left -= 1
        return self.left >= 0 or word in self.seen


def word_embedding(options: TextOptions, vocab: Vocab, kept: Sequence[str] = ()) -> WordEmbedding:
    """The embedding layer of the words; word dropout never hides the words ``kept``."""
    known = vocab.symbols.words
    return WordEmbedding(
        len(vocab.symbols.words),
        vocab.symbols.vector_size,
        vectors=vocab.vectors,
        frozen=options.frozen_vectors,
        word_dropout=options.word_dropout,
        dropout=options.embedding_dropout,
        kept=known.encode([word for word in kept if word in known]),
    )


def word_strings(symbols: TextSymbols, options: TextOptions) -> StringFeatures | None:
    """The language models that read the words, if there are any."""
    return string_features(symbols.encoders, options.unfreeze_steps)


def encoder(options: TextOptions, cell: Cell, input_size: int) -> Recurrent:
    """The recurrent layers that read the word vectors."""
    return recurrent_layer(
        options,
        cell,
        input_size,
        options.hidden_size,
        options.num_layers,
        bidirectional=options.bidirectional,
        dropout=options.dropout,
    )
