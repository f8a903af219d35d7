"""Named entities (SPEC 1.7): a text becomes the names in it.  Many to many, aligned.

"Yesterday, Harry Potter met Hermione Granger." has two names.  Each word gets a tag (BIO), from
its vector, its characters and its shape, and a conditional random field weighs tags against
their neighbours (Lample et al. 2016; Huang et al. 2015).  The one-to-one baseline of SPEC 4, a
fixed window of words, is the option ``model = "window"``, the standard network ``"standard"``.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from rich.markup import escape
from torch import Generator, Tensor, nn

from elman.data import PADDING, UNKNOWN, DataReport, Vocabulary, pad_sequences, word_spans
from elman.data.faults import Row, Rows, rows_or_error
from elman.data.words import composed
from elman.decode import bio_constraints, viterbi
from elman.errors import DataError, OptionError
from elman.graph import Cell
from elman.models import StandardTagger, Tagger, WindowTagger, WordFeatures
from elman.nn.characters import CharacterConvolution, CharacterRecurrence
from elman.tasks.inference import ask
from elman.tasks.ner.conll import TaggedSentence, conll_rows, read_conll
from elman.tasks.ner.report import check_conll
from elman.tasks.ner.samples import NAMES_TRAIN, NAMES_VALID
from elman.tasks.ner.shapes import NUM_SHAPES, word_shape
from elman.tasks.ner.tag_schemes import Span, bio_tags, spans_of
from elman.tasks.options import help_of, option
from elman.tasks.task import Fitted, Learned, NoPredictOptions
from elman.tasks.word_model import (
    TextOptions,
    TextSymbols,
    encoder,
    learn_text,
    read_lines,
    word_embedding,
)
from elman.training import LoopOptions
from elman.training.metrics import span_scores
from elman.training.watch import CHANCE

NAME = "ner"
TITLE = "named entities: a text becomes the names in it"
METRIC = "f1"
HIGHER_IS_BETTER = True
TRAINING = LoopOptions(
    batch_size=32, epochs=25, learning_rate=2e-3, patience=5, average_weights=0.99
)
TRAIN_FILE, VALID_FILE = "train.conll", "valid.conll"
POSTER = {text: text for text in ("Yesterday, Harry Potter met Hermione Granger.",)}
INPUT: Literal["text"] = "text"
PredictOptions = NoPredictOptions
stream = None
part = None

#: characters of a word beyond these are not read
LONGEST_WORD = 40


@dataclass(frozen=True)
class Options(TextOptions):
    """The options of named entities."""

    dropout: float = option(0.6, help_of(TextOptions, "dropout"))
    word_dropout: float = option(0.1, help_of(TextOptions, "word_dropout"))
    model: Literal["recurrent", "window", "standard"] = option(
        "recurrent",
        "recurrent, or a network without recurrence (SPEC 4): window, which sees a few words at a "
        "time, or standard, in which each position has weights of its own",
    )
    window: int = option(2, "words on either side that the window sees")
    positions: int = option(30, "words that the standard network sees")
    crf: bool = option(True, "weigh tags against their neighbours (a conditional random field)")
    label_smoothing: float = option(
        0.0, "part of the target that goes to the other tags, where there is no such field"
    )
    characters: Literal["recurrence", "convolution", "none"] = option(
        "recurrence", "how the characters of a word are read"
    )
    character_size: int = option(25, "numbers in a character's vector")
    character_units: int = option(25, "units that read characters, in each direction")
    name_dropout: float = option(
        0.0, "part of the words of names that training makes unknown, beside word_dropout"
    )
    outside_penalty: float = option(
        0.0, "taken from the score of no name: above 0 more names are found, more of them wrongly"
    )
    shape_size: int = option(8, "numbers for a word's shape (Capitalised, DIGITS ...); 0 for none")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.name_dropout < 1:
            raise OptionError(
                f"name_dropout is {self.name_dropout}; it must be at least 0 and less than 1."
            )


@dataclass(frozen=True)
class Sentence:
    """Words and, where they are known, their tags; and the text with each word's place in it."""

    words: tuple[str, ...]
    tags: tuple[str, ...] | None = None
    text: str = ""
    places: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Names:
    """A text and the names in it; ``starts`` and ``ends`` are places in the text."""

    text: str
    names: tuple[Name, ...]


@dataclass(frozen=True)
class Name:
    """Characters ``start`` to ``end`` (exclusive) of a text are a name of a type."""

    text: str
    type: str
    start: int
    end: int


def samples() -> Mapping[str, str | bytes]:
    """A few sentences for ``elman new``."""
    return {"train.conll": NAMES_TRAIN, "valid.conll": NAMES_VALID}


def read(path: Path, options: Options) -> list[Row[Sentence]]:
    """The sentences of a file in CoNLL columns."""
    rows = rows_or_error(conll_rows(path, tagged=True).items)
    return Rows([Row(row.place, _sentence(row.value)) for row in rows], rows.skipped)


def _sentence(tagged: TaggedSentence) -> Sentence:
    """A sentence in columns: its text is its words with blanks between."""
    places, start = [], 0
    for word in tagged.tokens:
        places.append((start, start + len(word)))
        start += len(word) + 1
    words = tuple([composed(word) for word in tagged.tokens])
    return Sentence(words, tagged.tags, " ".join(tagged.tokens), tuple(places))


def check(path: Path, options: Options) -> DataReport:
    """Everything that is wrong with the columns and the tags."""
    return check_conll(path)


def refuse_strangers(rows: Sequence[Row[Sentence]], symbols: TextSymbols) -> None:
    """``DataError`` for the first sentence with a type of name that the model does not know."""
    types = [label.removeprefix("B-") for label in symbols.labels if label.startswith("B-")]
    for row in rows:
        for tag in row.value.tags or ():
            if tag not in symbols.labels:
                raise DataError(
                    f'{row.place}: the sentence that begins here has the tag "{tag}", but the '
                    f"model knows the types {', '.join(types)}. Correct it, or train a model "
                    "with it."
                )


def group(example: Sentence) -> Hashable:
    """The same text twice stays on one side."""
    return example.words


def learn(examples: Sequence[Sentence], options: Options, seed: int) -> Learned:
    """The vocabulary, the characters and the tags of the training sentences."""
    types = {tag[2:] for example in examples for tag in example.tags or () if tag != "O"}
    if not types:
        raise DataError(
            'every word of the training sentences has the tag "O"; give sentences with names.'
        )
    sentences = [example.words for example in examples]
    characters = Vocabulary.count([word for words in sentences for word in words])
    return learn_text(sentences, bio_tags(sorted(types)), options, seed, characters)


def adopt(known: TextSymbols, learned: TextSymbols) -> TextSymbols:
    """The words that the model knows, and its labels unless the data have others."""
    return known.with_labels(learned.labels)


def load_symbols(text: str) -> TextSymbols:
    """The vocabulary, the characters and the tags of a run folder."""
    return TextSymbols.from_json(text)


def build(options: Options, cell: Cell, learned: Learned) -> nn.Module:
    """A ``Tagger`` of the cell, or a network without recurrence."""
    characters = _character_reader(options, cell, len(learned.symbols.characters))
    features = WordFeatures(
        word_embedding(options, learned),
        characters,
        NUM_SHAPES if options.shape_size else 0,
        options.shape_size,
    )
    num_tags = len(learned.symbols.labels)
    if options.model == "window":
        return WindowTagger(
            features,
            num_tags,
            window=options.window,
            hidden_size=options.hidden_size,
            crf=options.crf,
            dropout=options.dropout,
        )
    if options.model == "standard":
        return StandardTagger(
            features,
            options.positions,
            num_tags,
            hidden_size=options.hidden_size,
            crf=options.crf,
            dropout=options.dropout,
        )
    return Tagger(
        features,
        encoder(options, cell, features.output_size),
        num_tags,
        crf=options.crf,
        dropout=options.dropout,
        label_smoothing=options.label_smoothing,
    )


def _character_reader(
    options: Options, cell: Cell, num_characters: int
) -> CharacterConvolution | CharacterRecurrence | None:
    if options.characters == "none":
        return None
    if options.characters == "convolution":
        return CharacterConvolution(
            num_characters, options.character_size, 2 * options.character_units
        )
    return CharacterRecurrence(
        cell, num_characters, options.character_size, options.character_units
    )


def cut(examples: Sequence[Sentence], longest: int) -> list[Sentence]:
    """Sentences with more than ``longest`` words become several, none cut inside a name."""
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


def length(example: Sentence) -> int:
    """How many words a sentence has."""
    return len(example.words)


def collate(
    examples: Sequence[Sentence],
    symbols: TextSymbols,
    options: Options,
    generator: Generator | None = None,
) -> dict[str, Tensor]:
    """Indices of words, tags and shapes (time, batch), and the batch's distinct words' letters."""
    words, lengths = pad_sequences([symbols.encode(example.words) for example in examples])
    shapes, _ = pad_sequences([[word_shape(w) for w in e.words] for e in examples])
    distinct = {w: k for k, w in enumerate(dict.fromkeys(w for e in examples for w in e.words))}
    assert symbols.characters is not None
    letters, letter_counts = pad_sequences(
        [symbols.characters.encode(word[:LONGEST_WORD]) for word in distinct]
    )
    places, _ = pad_sequences([[distinct[w] for w in e.words] for e in examples])
    batch = {
        "words": words,
        "lengths": lengths,
        "shapes": shapes,
        "characters": letters,
        "character_lengths": letter_counts,
        "word_index": places,
    }
    if all(example.tags is not None for example in examples):
        index = {label: k for k, label in enumerate(symbols.labels)}
        batch["tags"], _ = pad_sequences([[index[t] for t in e.tags or ()] for e in examples])
        if generator is not None and options.name_dropout:
            # new names are the rule: their neighbours and letters have to do
            hidden = torch.rand(words.shape, generator=generator) < options.name_dropout
            hidden &= (batch["tags"] != index["O"]) & (words != PADDING)
            batch["words"] = torch.where(hidden, UNKNOWN, words)
    return batch


def validate(fitted: Fitted, examples: Sequence[Sentence]) -> dict[str, Any]:
    """The job's metrics, and that a model which finds no name has an F1 of zero."""
    return {**score(fitted, examples, PredictOptions()), CHANCE: 0.0}


def score(fitted: Fitted, examples: Sequence[Sentence], wanted: NoPredictOptions) -> dict[str, Any]:
    """Precision, recall and F1 of exact spans, over all and for each type, and the mean loss."""
    spans: list[list[Span]] = []
    losses: list[float] = []

    def answer(batch: Sequence[Sentence]) -> list[tuple[list[Span], float]]:
        tensors = collate(batch, fitted.symbols, fitted.options)
        loss = float(fitted.model.loss(**tensors))  # type: ignore[operator]
        return [(found, loss) for found in _spans(fitted, tensors)]

    for found, loss in ask(fitted.model, examples, length, answer):
        spans.append(found)
        losses.append(loss)
    scores = span_scores([spans_of(example.tags or ()) for example in examples], spans)
    return {
        "precision": scores.precision,
        "recall": scores.recall,
        "f1": scores.f1,
        "per_type": {
            name: {"precision": each.precision, "recall": each.recall, "f1": each.f1}
            for name, each in sorted(scores.per_type.items())
        },
        "loss": sum(losses) / len(losses),
        "examples": len(examples),
    }


def _spans(fitted: Fitted, tensors: dict[str, Tensor]) -> list[list[Span]]:
    """The best legal tags of each sentence, as spans."""
    model, symbols = fitted.model, fitted.symbols
    inputs = {name: tensor for name, tensor in tensors.items() if name != "tags"}
    allowed, allowed_start = bio_constraints(symbols.labels)
    assert isinstance(model, Tagger | WindowTagger | StandardTagger)
    crf = model.crf
    penalty = torch.zeros(len(symbols.labels))
    penalty[symbols.labels.index("O")] = fitted.options.outside_penalty
    paths, _ = viterbi(
        model(**inputs) - penalty,
        tensors["lengths"],
        transitions=None if crf is None else crf.transitions,
        start=None if crf is None else crf.start,
        end=None if crf is None else crf.end,
        allowed=allowed,
        allowed_start=allowed_start,
    )
    return [spans_of([symbols.labels[k] for k in path]) for path in paths]


def read_inputs(path: Path, options: Options) -> list[Sentence]:
    """The sentences of a .conll file; of any other file, each line."""
    if path.suffix.lower() in (".conll", ".conllu", ".bio", ".iob", ".iob2", ".annotated"):
        return [_sentence(tagged) for tagged in read_conll(path, tagged=False)]
    return [as_input(line) for line in read_lines(path)]


def as_input(value: str | Sequence[str] | Sentence) -> Sentence:
    """A sentence from a string, which is split into words, or from a list of words."""
    if isinstance(value, Sentence):
        return value
    if not isinstance(value, str):
        return _sentence(TaggedSentence(tuple(value), None))
    places = tuple(word_spans(value))
    words = tuple([composed(value[start:end]).replace("’", "'") for start, end in places])
    return Sentence(words, None, value, places)


def predict(fitted: Fitted, inputs: Sequence[Sentence], wanted: NoPredictOptions) -> list[Names]:
    """The names in each text."""

    def answer(batch: Sequence[Sentence]) -> list[list[Span]]:
        return _spans(fitted, collate(batch, fitted.symbols, fitted.options))

    found = ask(fitted.model, inputs, length, answer)
    return [_names(sentence, spans) for sentence, spans in zip(inputs, found, strict=True)]


def _names(sentence: Sentence, spans: Sequence[Span]) -> Names:
    names = []
    for span in spans:
        start, end = sentence.places[span.start][0], sentence.places[span.end - 1][1]
        names.append(Name(sentence.text[start:end], span.type, start, end))
    return Names(sentence.text, tuple(names))


_COLOURS = {"PER": "magenta", "LOC": "green", "ORG": "blue"}


def save(predictions: Sequence[Names], wanted: NoPredictOptions) -> list[Path]:
    """No files: the answers are text."""
    return []


def poster_settings(folder: Path) -> Mapping[str, object]:
    """Nothing beyond the answers."""
    return {}


def show(prediction: Names) -> str:
    """The text with its names in colour, each with its type."""
    parts, last = [], 0
    for name in prediction.names:
        colour = _COLOURS.get(name.type[:3].upper(), "cyan")
        parts.append(escape(prediction.text[last : name.start]))
        parts.append(f"[bold {colour}]{escape(name.text)}[/] [{colour}]({name.type})[/]")
        last = name.end
    return "".join([*parts, escape(prediction.text[last:])])


def record(prediction: Names) -> dict[str, Any]:
    """The text and its names as a JSON object."""
    names = [
        {"text": name.text, "type": name.type, "start": name.start, "end": name.end}
        for name in prediction.names
    ]
    return {"text": prediction.text, "names": names}
