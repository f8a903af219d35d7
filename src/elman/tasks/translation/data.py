"""Reads sentence pairs and collates them into batches."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Generator, Tensor

from elman.data import pad_sequences
from elman.data.faults import Row, Rows, rows_or_error
from elman.data.plain_text import read_lines
from elman.data.sources import data_files
from elman.data.subwords import END, START, SubWords
from elman.errors import OptionError
from elman.saved import parse_json, sentences
from elman.tasks.task import Vocab
from elman.tasks.translation.options import TranslationOptions
from elman.tasks.translation.parallel import groups, pair_rows, tidy, tidy_source
from elman.tasks.translation.scores import translation_scores


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
    """The subwords of both languages; the same object if they are shared."""

    source: SubWords
    target: SubWords

    def to_json(self) -> str:
        """Serialises to JSON."""
        target = None if self.source is self.target else json.loads(self.target.to_json())
        record = {"source": json.loads(self.source.to_json()), "target": target}
        return json.dumps(record, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> TranslationSymbols:
        """Loads the output of ``to_json``; ``RunError`` if it is invalid."""
        record = parse_json(text, "symbols.json")
        with sentences("symbols.json"):
            source, target = record["source"], record["target"]
        read = SubWords.from_json(json.dumps(source))
        return cls(read, read if target is None else SubWords.from_json(json.dumps(target)))


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
    sources = [tidy_source(example.source) for example in examples]
    targets = [str(example.target) for example in examples]
    size = options.vocabulary
    if options.joint:
        both = SubWords.learn([*sources, *targets], size=size)
        return Vocab(TranslationSymbols(both, both), None)
    source = SubWords.learn(sources, size=size)
    return Vocab(TranslationSymbols(source, SubWords.learn(targets, size=size)), None)


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
    source, lengths = pad_sequences([encode_source(e.source, symbols, most) for e in examples])
    batch = {"source": source, "lengths": lengths}
    if all(example.target is not None for example in examples):
        texts = [_first_letters(str(example.target), most) for example in examples]
        targets = [symbols.target.encode(text)[:most] for text in texts]
        batch["target"], batch["target_lengths"] = pad_sequences([[START, *t] for t in targets])
        batch["following"], _ = pad_sequences([[*t, END] for t in targets])
    return batch


def most_subwords(options: TranslationOptions) -> int:
    """The maximum number of subwords of a sentence: two per word, as most words have only one."""
    return 2 * options.longest


def _first_letters(text: str, most: int) -> str:
    """The part of a text that ``most`` subwords of at most 32 letters can cover."""
    return text[: 32 * most]


def encode_source(source: str, symbols: TranslationSymbols, most: int) -> list[int]:
    """The first ``most`` subwords of a source sentence, and the end symbol."""
    return [*symbols.source.encode(tidy_source(_first_letters(source, most)))[:most], END]


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
