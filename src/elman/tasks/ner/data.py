"""Reads tagged sentences and collates them into batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from elman.data import PADDING, UNKNOWN, Vocabulary, pad_sequences, word_spans
from elman.data.faults import Row, Rows, rows_or_error
from elman.data.plain_text import read_lines
from elman.data.words import composed
from elman.errors import DataError, OptionError
from elman.tasks.label_map import label_map
from elman.tasks.ner.affixes import num_features, spelling_features
from elman.tasks.ner.conll import TaggedSentence, conll_rows, read_conll
from elman.tasks.ner.options import NerOptions
from elman.tasks.ner.shapes import word_shape
from elman.tasks.ner.tag_schemes import bio_tags
from elman.tasks.string_encoders import string_tensors
from elman.tasks.task import Vocab
from elman.tasks.word_model import (
    TextSymbols,
    build_text_vocab,
)

#: maximum number of characters read per word
LONGEST_WORD = 40


@dataclass(frozen=True)
class Sentence:
    """Words, their tags if known, the text, and the (start, end) of each word in it."""

    words: tuple[str, ...]
    tags: tuple[str, ...] | None = None
    text: str = ""
    places: tuple[tuple[int, int], ...] = ()

    def __len__(self) -> int:
        return len(self.words)


def read(path: Path, options: NerOptions) -> list[Row[Sentence]]:
    """Reads the sentences of a CoNLL file."""
    file = conll_rows(
        path,
        tagged=True,
        token_column=options.token_column,
        tag_column=options.tag_column,
    )
    rows = rows_or_error(file.items, skip_bad=options.skip_bad)
    types = label_map(options.map)
    sentences = [Row(row.place, _mapped(_sentence(row.value), types)) for row in rows]
    return Rows(sentences, rows.skipped)


def table_texts(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Converts rows with ``tokens`` and ``tags`` (or ``ner_tags``) to CoNLL lines."""
    found = []
    for record in records:
        tokens = record["tokens"]
        tags = record["ner_tags"] if "tags" not in record else record["tags"]
        if not all(isinstance(tag, str) for tag in tags):
            raise ValueError("the tags are numbers without names; write them as texts")
        lines = [f"{token}\t{tag}\n" for token, tag in zip(tokens, tags, strict=True)]
        found.append("".join([*lines, "\n"]))
    return found


def _mapped(sentence: Sentence, types: Mapping[str, str]) -> Sentence:
    """Maps the types of the tags; the type "O" removes a name."""
    if not types or sentence.tags is None:
        return sentence
    tags = []
    for tag in sentence.tags:
        letter, dash, type = tag.partition("-")
        type = types.get(type, type)
        tags.append("O" if type == "O" else f"{letter}{dash}{type}")
    return replace(sentence, tags=tuple(tags))


def _sentence(tagged: TaggedSentence) -> Sentence:
    """Makes a sentence of words from columns; its text is the words joined by spaces."""
    places, start = [], 0
    for word in tagged.tokens:
        places.append((start, start + len(word)))
        start += len(word) + 1
    words = tuple([composed(word) for word in tagged.tokens])
    return Sentence(words, tagged.tags, " ".join(tagged.tokens), tuple(places))


def check_labels(rows: Sequence[Row[Sentence]], symbols: TextSymbols) -> None:
    """Raises ``DataError`` for the first sentence with a type that the model does not have."""
    types = [label.removeprefix("B-") for label in symbols.labels if label.startswith("B-")]
    for row in rows:
        for tag in row.value.tags or ():
            if tag not in symbols.labels:
                raise DataError(
                    f'{row.place}: the sentence that starts here has the tag "{tag}", but the '
                    f"types of the model are {', '.join(types)}. Correct the tag, map its type "
                    f"to another with map ({tag[2:]}=O), or train a model with it."
                )


def build_vocab(examples: Sequence[Sentence], options: NerOptions, seed: int) -> Vocab[TextSymbols]:
    """Builds the vocabularies of words, characters and tags."""
    types = {tag[2:] for example in examples for tag in example.tags or () if tag != "O"}
    if not types:
        raise DataError(
            'every word of the training data has the tag "O"; provide sentences with names.'
        )
    sentences = [example.words for example in examples]
    characters = Vocabulary.count([word for words in sentences for word in words])
    vocab = build_text_vocab(sentences, bio_tags(sorted(types)), options, seed, characters)
    if not options.affixes:
        return vocab
    longest = options.affixes
    affixes = Vocabulary.count([own for words in sentences for own in _features(words, longest)])
    return replace(vocab, symbols=replace(vocab.symbols, affixes=affixes))


def cut(examples: Sequence[Sentence], longest: int) -> list[Sentence]:
    """Splits sentences with more than ``longest`` words, but not inside names."""
    pieces: list[Sentence] = []
    for example in examples:
        tags = example.tags or ("O",) * len(example.words)
        start = 0
        while len(example.words) - start > longest:
            end = start + longest
            while end > start + 1 and tags[end].startswith("I-"):
                end -= 1
            pieces.append(_part(example, start, end))
            start = end
        pieces.append(_part(example, start, len(example.words)))
    return pieces


def _part(sentence: Sentence, start: int, end: int) -> Sentence:
    tags = None if sentence.tags is None else sentence.tags[start:end]
    return Sentence(sentence.words[start:end], tags, sentence.text, sentence.places[start:end])


def collate(
    examples: Sequence[Sentence],
    symbols: TextSymbols,
    options: NerOptions,
    generator: Generator | None = None,
) -> dict[str, Tensor]:
    """Collates word, tag and shape indices (time, batch) and the characters of distinct words."""
    if generator is not None and options.case_dropout:
        draws = torch.rand(len(examples), generator=generator) / options.case_dropout
        examples = [_recased(e, draw) for e, draw in zip(examples, draws.tolist(), strict=True)]
    words, lengths = pad_sequences([symbols.encode(example.words) for example in examples])
    shapes, _ = pad_sequences([[word_shape(w) for w in e.words] for e in examples])
    distinct = {w: k for k, w in enumerate(dict.fromkeys(w for e in examples for w in e.words))}
    letters, letter_counts = pad_sequences(
        [symbols.encode_characters(word[:LONGEST_WORD]) for word in distinct]
    )
    places, _ = pad_sequences([[distinct[w] for w in e.words] for e in examples])
    batch = {
        "words": words,
        "lengths": lengths,
        "shapes": shapes,
        "characters": letters,
        "character_lengths": letter_counts,
        "word_index": places,
        **_affixes(examples, symbols, options),
        **string_tensors([example.words for example in examples], symbols.encoders),
    }
    if all(example.tags is not None for example in examples):
        index = {label: k for k, label in enumerate(symbols.labels)}
        batch["tags"], _ = pad_sequences([[index[t] for t in e.tags or ()] for e in examples])
        if generator is not None and options.name_dropout:
            # most names in new text are unknown: train the model to rely on context and spelling
            hidden = torch.rand(words.shape, generator=generator) < options.name_dropout
            hidden &= (batch["tags"] != index["O"]) & (words != PADDING)
            batch["words"] = torch.where(hidden, UNKNOWN, words)
    return batch


def _recased(sentence: Sentence, draw: float) -> Sentence:
    """The sentence in lower case for a draw below 2/3, in capitals below 1, else as it is."""
    if draw >= 1:
        return sentence
    change = str.lower if draw < 2 / 3 else str.upper
    return replace(sentence, words=tuple([change(word) for word in sentence.words]))


def _affixes(
    examples: Sequence[Sentence], symbols: TextSymbols, options: NerOptions
) -> dict[str, Tensor]:
    """What ``DirectScores`` reads: ``affixes``; empty without them.  Unknown features are none."""
    known = symbols.affixes
    if known is None:
        return {}
    longest = options.affixes
    time = max([len(example) for example in examples], default=0)
    found = torch.zeros(time, len(examples), num_features(longest), dtype=torch.int64)
    for column, example in enumerate(examples):
        if example.words:
            rows = [known.encode(own) for own in _features(example.words, longest)]
            found[: len(rows), column] = torch.tensor(rows)
    return {"affixes": torch.where(found == UNKNOWN, PADDING, found)}


def _features(words: Sequence[str], longest: int) -> list[list[str]]:
    return spelling_features([word[:LONGEST_WORD] for word in words], longest)


def read_inputs(path: Path, options: NerOptions) -> list[Sentence]:
    """Reads the sentences of a CoNLL file, or each line of any other file."""
    if path.suffix.lower() in (".conll", ".conllu", ".bio", ".iob", ".iob2", ".annotated"):
        found = read_conll(path, tagged=False, token_column=options.token_column)
        return [_sentence(tagged) for tagged in found]
    return [as_input(line) for line in read_lines(path)]


def as_input(value: str | Sequence[str] | Sentence) -> Sentence:
    """Converts a string, which is split into words, or a list of words to a ``Sentence``."""
    if isinstance(value, Sentence):
        return value
    if not isinstance(value, (str, Sequence)):
        raise OptionError(
            f"ner: an input has type {type(value).__name__}; pass a string for each text, or "
            "a list of words."
        )
    if not isinstance(value, str):
        return _sentence(TaggedSentence(tuple(value), None))
    places = tuple(word_spans(value))
    words = tuple([composed(value[start:end]).replace("’", "'") for start, end in places])
    return Sentence(words, None, value, places)
