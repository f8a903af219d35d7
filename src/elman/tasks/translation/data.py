"""Reads sentence pairs and collates them into batches."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from elman.data import pad_sequences
from elman.data.faults import Row, Rows, rows_or_error
from elman.data.languages import Known, known_in
from elman.data.plain_text import read_lines
from elman.data.sources import data_files
from elman.data.subwords import END, START, SubWords
from elman.errors import OptionError
from elman.saved import parse_json, sentences
from elman.tasks.task import Vocab
from elman.tasks.translation.augmentation import augmented
from elman.tasks.translation.options import TranslationOptions
from elman.tasks.translation.parallel import groups, pair_rows, tidy, tidy_source
from elman.tasks.translation.preparation import prepare
from elman.tasks.translation.scores import translation_scores
from elman.tasks.translation.spelling import Spelling
from elman.tasks.translation.words import KnownWords


@dataclass(frozen=True)
class Pair:
    """A sentence and its translation, if known.

    Pairs of one ``group`` share sentences; a split never separates them.
    """

    source: str
    target: str | None = None
    group: int = 0

    def __len__(self) -> int:
        """The number of words on both sides."""
        return len(self.source.split()) + len((self.target or "").split())


@dataclass(frozen=True)
class TranslationSymbols:
    """The subwords of both languages, the same object if they are shared, and their words.

    Runs of versions before 0.2 have no words.
    """

    source: SubWords
    target: SubWords
    words: KnownWords = field(default_factory=KnownWords)

    @cached_property
    def spelling(self) -> Spelling | None:
        """How words are spelled in subwords; None without words."""
        return Spelling(self.target, self.words.target) if self.words.target else None

    @cached_property
    def languages(self) -> Known:
        """The languages of the training sources, as far as they can be told."""
        return known_in(self.words.vocabulary) if self.words.source else Known()

    @cached_property
    def small_words(self) -> frozenset[str]:
        """The words of the training targets that are written in lower case."""
        return frozenset([word for word in self.words.target if word.islower()])

    def to_json(self) -> str:
        """Serialises to JSON."""
        target = None if self.source is self.target else json.loads(self.target.to_json())
        record = {"source": json.loads(self.source.to_json()), "target": target}
        if self.words.target:
            sides = (self.words.source, self.words.target)
            record["words"] = dict(zip(("source", "target"), map(" ".join, sides), strict=True))
        return json.dumps(record, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> TranslationSymbols:
        """Loads the output of ``to_json``; ``RunError`` if it is invalid."""
        record = parse_json(text, "symbols.json")
        with sentences("symbols.json"):
            source, target = record["source"], record["target"]
            words = record.get("words", {"source": "", "target": ""})
            known = KnownWords(*[tuple(words[side].split()) for side in ("source", "target")])
        read = SubWords.from_json(json.dumps(source))
        other = read if target is None else SubWords.from_json(json.dumps(target))
        return cls(read, other, known)


def read(path: Path, options: TranslationOptions) -> list[Row[Pair]]:
    """Reads the sentence pairs of a table, or of two files."""
    rows = rows_or_error(pair_rows(path), skip_bad=options.skip_bad)
    numbers = groups([row.value for row in rows])
    pairs = [
        Row(row.place, Pair(row.value.source, tidy(row.value.target), group))
        for row, group in zip(rows, numbers, strict=True)
    ]
    return Rows(pairs, rows.skipped)


def table_texts(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Converts rows of a table to lines ``source TAB target``.

    The columns are ``source`` and ``target``, or ``translation`` with both languages in order.
    """
    found = []
    for record in records:
        sides = record.get("translation")
        pair = list(sides.values()) if isinstance(sides, Mapping) else [
            record["source"], record["target"]
        ]  # fmt: skip
        # a tab or a line end inside a sentence would end it
        source, target = [" ".join(re.split(r"[\t\r\n]+", side or "")) for side in pair]
        found.append(f"{source}\t{target}\n")
    return found


def build_vocab(
    examples: Sequence[Pair], options: TranslationOptions, seed: int
) -> Vocab[TranslationSymbols]:
    """Learns the subwords of the training sentences."""
    translation_scores(["a"], [["a"]])  # a missing package is reported before training
    # as they are written: a model that is trained further keeps its subwords with other options
    sources = [tidy_source(example.source) for example in examples]
    targets = [str(example.target) for example in examples]
    words = KnownWords.of(zip(sources, targets, strict=True))
    size = options.vocabulary
    if options.joint:
        both = SubWords.learn([*sources, *targets], size=size)
        return Vocab(TranslationSymbols(both, both, words), None)
    source = SubWords.learn(sources, size=size)
    return Vocab(TranslationSymbols(source, SubWords.learn(targets, size=size), words), None)


def merged(known: TranslationSymbols, found: TranslationSymbols) -> TranslationSymbols:
    """The subwords of ``known``, and the words of both."""
    return replace(known, words=known.words.with_those_of(found.words))


def cut(examples: Sequence[Pair], longest: int) -> list[Pair]:
    """Truncates both sides to their first ``longest`` words."""
    return [
        replace(
            example,
            source=first_words(example.source, longest),
            target=None if example.target is None else first_words(example.target, longest),
        )
        for example in examples
    ]


def first_words(text: str, longest: int) -> str:
    """Truncates a text to its first ``longest`` words."""
    words = text.split()
    return text if len(words) <= longest else " ".join(words[:longest])


def collate(
    examples: Sequence[Pair],
    symbols: TranslationSymbols,
    options: TranslationOptions,
    generator: Generator | None = None,
) -> dict[str, Tensor]:
    """Collates subword indices (time, batch): source, target with start, target with end.

    Truncates both sides to `most_subwords`, because long words may have very many.
    """
    most = most_subwords(options)
    if generator is not None and (options.copied or options.lowercase or options.careless):
        chance = random.Random(int(torch.randint(2**31, (), generator=generator)))
        pairs = [
            augmented(e.source, str(e.target), options, symbols.words, chance) for e in examples
        ]
    else:
        pairs = [(prepare(e.source, options, symbols.words).text, e.target or "") for e in examples]
    sources = [_encoded(symbols.source, text, most) for text, _ in pairs]
    source, lengths = pad_sequences([[*indices, END] for indices in sources])
    batch = {"source": source, "lengths": lengths}
    if all(example.target is not None for example in examples):
        targets = [_encoded(symbols.target, text, most) for _, text in pairs]
        batch["target"], batch["target_lengths"] = pad_sequences([[START, *t] for t in targets])
        batch["following"], _ = pad_sequences([[*t, END] for t in targets])
    return batch


def _encoded(subwords: SubWords, text: str, most: int) -> list[int]:
    return subwords.encode(_first_letters(text, most))[:most]


def most_subwords(options: TranslationOptions) -> int:
    """The maximum number of subwords of a sentence: two per word, as most words have only one."""
    return 2 * options.longest


def _first_letters(text: str, most: int) -> str:
    """The part of a text that ``most`` subwords of at most 32 letters can cover."""
    return text[: 32 * most]


def encode_source(source: str, symbols: TranslationSymbols, most: int) -> list[int]:
    """The first ``most`` subwords of a source sentence, and the end symbol."""
    return [*_encoded(symbols.source, source, most), END]


def read_inputs(path: Path, options: TranslationOptions) -> list[Pair]:
    """Reads the sources of a table ``source TAB target``, or each line of any other file."""
    if path.suffix.lower() in (".tsv", ".tab") or len(data_files(path)) == 2:
        return [Pair(row.value.source) for row in read(path, replace(options, skip_bad=False))]
    return [Pair(line) for line in read_lines(path)]


def as_input(value: str | Pair) -> Pair:
    """Converts a string to a ``Pair``."""
    if isinstance(value, Pair):
        return value
    if not isinstance(value, str):
        raise OptionError(
            f"translation: an input has type {type(value).__name__}; pass a string for each text."
        )
    return Pair(value)
