"""Translation (SPEC 1.5): a sentence becomes a sentence of another language.

"Voulez-vous chanter avec moi?" becomes "Do you want to sing with me?".  Many to many, unaligned.
Sub-words are learned from the training sentences, so that no word is unknown.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from rich.markup import escape
from torch import Generator, Tensor, nn

from elman.data import DataReport, pad_sequences
from elman.data.faults import Row, Rows, rows_or_error
from elman.data.sources import data_files
from elman.decode import Hypothesis, beam_search, greedy_search
from elman.errors import OptionError, RunError
from elman.graph import Cell
from elman.models import Translator
from elman.nn import Recurrent
from elman.tasks.inference import ask
from elman.tasks.options import option
from elman.tasks.recurrent_options import RecurrentOptions, recurrent_keywords
from elman.tasks.task import Fitted, Learned
from elman.tasks.translation.attention_map import attention_png, attention_text
from elman.tasks.translation.parallel import folded, groups, pair_rows, tidy, tidy_source
from elman.tasks.translation.report import check_pairs
from elman.tasks.translation.samples import PHRASES_TRAIN, PHRASES_VALID
from elman.tasks.translation.scores import Bleu, translation_scores
from elman.tasks.translation.subwords import END, START, SubWords
from elman.tasks.word_model import read_lines
from elman.training import LoopOptions
from elman.training.watch import ANSWERS

NAME = "translation"
TITLE = "translation: a sentence becomes one of another language"
METRIC = "bleu"
HIGHER_IS_BETTER = True
TRAINING = LoopOptions(
    batch_size=48,
    epochs=8,
    learning_rate=1e-3,
    schedule="linear",
    warmup_steps=200,
    average_weights=0.999,
    # the loss is summed over a sentence's sub-words
    clip_norm=20.0,
)
TRAIN_FILE, VALID_FILE = "train.tsv", "valid.tsv"
POSTER = {text: text for text in ("Voulez-vous chanter avec moi?",)}
INPUT: Literal["text"] = "text"
stream = None
part = None

#: how many sentences are translated after an epoch; all of them are at the end
VALIDATED = 500


@dataclass(frozen=True)
class Options(RecurrentOptions):
    """The options of translation."""

    cell: str = option("gru", "a cell of the catalogue, or FILE.py:NAME for one of your own")
    hidden_size: int = option(256, "units of each recurrent layer, in each direction")
    embedding_size: int = option(160, "numbers in a sub-word's vector")
    encoder_layers: int = option(1, "recurrent layers that read the source, in both directions")
    decoder_layers: int = option(2, "recurrent layers that write the target")
    attention: Literal["multiplicative", "additive"] = option(
        "multiplicative", "how the decoder asks: multiplicative (Luong) or additive (Bahdanau)"
    )
    input_feeding: bool = option(
        False, "each step reads what the last one came to: trains step by step, and slower"
    )
    tied: bool = option(True, "the target's vectors score its sub-words, too")
    vocabulary: int = option(4000, "sub-words of each language, at most")
    joint: bool = option(False, "the same sub-words and vectors for both languages")
    dropout: float = option(0.1, "part of the features that training leaves out")
    label_smoothing: float = option(0.1, "part of the target that goes to all sub-words")
    longest: int = option(80, "sentences are cut after so many words, or twice as many sub-words")

    def __post_init__(self) -> None:
        for name in (
            "hidden_size",
            "embedding_size",
            "encoder_layers",
            "decoder_layers",
            "longest",
        ):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if self.vocabulary < 300:
            raise OptionError(f"vocabulary is {self.vocabulary}; it must be at least 300.")
        for name in ("dropout", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise OptionError(
                    f"{name} is {getattr(self, name)}; it must be at least 0 and less than 1."
                )


@dataclass(frozen=True)
class PredictOptions:
    """How a translation is searched for, and what is shown of it."""

    beam: int = option(5, "how many translations are followed at once; 1 is greedy")
    n_best: int = option(1, "how many translations of each sentence are given")
    length_penalty: float = option(
        1.0, "translations rank by log p / length ** this: more favours longer ones"
    )
    show: Literal["", "attention"] = option("", "attention: from which words each word came")
    png: str = option("", "draw the attention into this file")

    def __post_init__(self) -> None:
        if self.beam < 1:
            raise OptionError(f"beam is {self.beam}; it must be at least 1.")
        if not 1 <= self.n_best <= self.beam:
            raise OptionError(
                f"n_best is {self.n_best}; it must be from 1 to the beam, which is {self.beam}."
            )
        if self.length_penalty < 0:
            raise OptionError(f"length_penalty is {self.length_penalty}; it must be at least 0.")


@dataclass(frozen=True)
class Pair:
    """A sentence, and its translation where it is known.

    Pairs of one ``group`` share sentences, and are never parted between training and validation.
    """

    source: str
    target: str | None = None
    group: int = 0


@dataclass(frozen=True)
class Attention:
    """For each piece of a translation the weight of each piece of the source."""

    source: tuple[str, ...]
    target: tuple[str, ...]
    weights: Tensor


@dataclass(frozen=True)
class Translation:
    """The best translation, and all that were asked for with their scores, the best first."""

    text: str
    translation: str
    n_best: tuple[tuple[str, float], ...]
    attention: Attention | None = None
    note: str = ""


@dataclass(frozen=True)
class TranslationSymbols:
    """The sub-words of both languages; the same object where they are joint."""

    source: SubWords
    target: SubWords

    def to_json(self) -> str:
        """All of it as a JSON object."""
        target = None if self.source is self.target else json.loads(self.target.to_json())
        record = {"source": json.loads(self.source.to_json()), "target": target}
        return json.dumps(record, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> TranslationSymbols:
        """What ``to_json`` wrote; ``RunError`` for anything else."""
        try:
            record = json.loads(text)
            source, target = record["source"], record["target"]
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"symbols.json cannot be read ({error!r}); copy the run folder again."
            ) from error
        read = SubWords.from_json(json.dumps(source))
        return cls(read, read if target is None else SubWords.from_json(json.dumps(target)))


def samples() -> Mapping[str, str | bytes]:
    """A few sentence pairs for ``elman new``."""
    return {"train.tsv": PHRASES_TRAIN, "valid.tsv": PHRASES_VALID}


def read(path: Path, options: Options) -> list[Row[Pair]]:
    """The sentence pairs of a table, or of two files."""
    rows = rows_or_error(pair_rows(path))
    numbers = groups([row.value for row in rows])
    pairs = [
        Row(row.place, Pair(row.value.source, tidy(row.value.target), group))
        for row, group in zip(rows, numbers, strict=True)
    ]
    return Rows(pairs, rows.skipped)


def check(path: Path, options: Options) -> DataReport:
    """Everything that is wrong with the sentence pairs."""
    return check_pairs(path)


def refuse_strangers(rows: Sequence[Row[Pair]], symbols: TranslationSymbols) -> None:
    """Nothing: sub-words spell every text."""


def group(example: Pair) -> Hashable:
    """Pairs that share a sentence stay on one side."""
    return example.group


def parts(example: Pair) -> tuple[Hashable, ...]:
    """Pairs of two splits leak if they share a sentence, on either side."""
    return ("source", folded(example.source)), ("target", folded(example.target or ""))


def learn(examples: Sequence[Pair], options: Options, seed: int) -> Learned:
    """The sub-words of the training sentences."""
    translation_scores(["a"], [["a"]])  # what scores is there before training, or it is said
    sources = [tidy_source(example.source) for example in examples]
    targets = [str(example.target) for example in examples]
    size = options.vocabulary
    if options.joint:
        both = SubWords.learn([*sources, *targets], size=size)
        return Learned(TranslationSymbols(both, both), None)
    source = SubWords.learn(sources, size=size)
    return Learned(TranslationSymbols(source, SubWords.learn(targets, size=size)), None)


def adopt(known: TranslationSymbols, learned: TranslationSymbols) -> TranslationSymbols:
    """What the model knows: there are no labels."""
    return known


def load_symbols(text: str) -> TranslationSymbols:
    """The sub-words of a run folder."""
    return TranslationSymbols.from_json(text)


def build(options: Options, cell: Cell, learned: Learned) -> nn.Module:
    """A ``Translator`` of the cell."""
    symbols: TranslationSymbols = learned.symbols
    return Translator(
        cell,
        len(symbols.source),
        len(symbols.target),
        embedding_size=options.embedding_size,
        hidden_size=options.hidden_size,
        encoder_layers=options.encoder_layers,
        decoder_layers=options.decoder_layers,
        attention=options.attention,
        input_feeding=options.input_feeding,
        tied=options.tied,
        shared=options.joint,
        dropout=options.dropout,
        label_smoothing=options.label_smoothing,
        layer=partial(Recurrent, **recurrent_keywords(options)),
    )


def cut(examples: Sequence[Pair], longest: int) -> list[Pair]:
    """Sentences with more than ``longest`` words keep the first ones, on both sides."""
    return [
        replace(
            example,
            source=_first_words(example.source, longest),
            target=None if example.target is None else _first_words(example.target, longest),
        )
        for example in examples
    ]


def _first_words(text: str, longest: int) -> str:
    words = text.split()
    return text if len(words) <= longest else " ".join(words[:longest])


def length(example: Pair) -> int:
    """How many words both sides have."""
    return len(example.source.split()) + len((example.target or "").split())


def collate(
    examples: Sequence[Pair],
    symbols: TranslationSymbols,
    options: Options,
    generator: Generator | None = None,
) -> dict[str, Tensor]:
    """Sub-words (time, batch) of both sides: source, target after a start, and target to an end.

    Those beyond `most_subwords` are left out: a word of a thousand letters is as many.
    """
    most = most_subwords(options)
    source, lengths = pad_sequences([_encode(e.source, symbols, most) for e in examples])
    batch = {"source": source, "lengths": lengths}
    if all(example.target is not None for example in examples):
        texts = [_first_letters(str(example.target), most) for example in examples]
        targets = [symbols.target.encode(text)[:most] for text in texts]
        batch["target"], batch["target_lengths"] = pad_sequences([[START, *t] for t in targets])
        batch["following"], _ = pad_sequences([[*t, END] for t in targets])
    return batch


def most_subwords(options: Options) -> int:
    """How many sub-words of a sentence are read: two a word, where most words are one."""
    return 2 * options.longest


def _first_letters(text: str, most: int) -> str:
    """As much of a text as ``most`` sub-words can hold, which have 32 letters at most."""
    return text[: 32 * most]


def _encode(source: str, symbols: TranslationSymbols, most: int) -> list[int]:
    return [*symbols.source.encode(tidy_source(_first_letters(source, most)))[:most], END]


def validate(fitted: Fitted, examples: Sequence[Pair]) -> dict[str, Any]:
    """BLEU of greedy translations of some sentences, the loss of a token, and how many differ."""
    sources = _references(examples)
    names = list(sources)
    some = [names[k * len(names) // VALIDATED] for k in range(VALIDATED)]
    chosen = names if len(names) <= VALIDATED else some
    known = set(chosen)
    pairs = [example for example in examples if tidy_source(example.source) in known]
    answers = _search(fitted, [Pair(name) for name in chosen], PredictOptions(beam=1))
    scores = _scores(fitted, answers, [sources[name] for name in chosen])
    said = {tuple(each[0].tokens) for each in answers}
    return {
        "bleu": scores.bleu,
        "chrf": scores.chrf,
        "loss": _loss(fitted, pairs),
        **({ANSWERS: float(len(said))} if len(chosen) > 1 else {}),
    }


def score(fitted: Fitted, examples: Sequence[Pair], wanted: PredictOptions) -> dict[str, Any]:
    """BLEU and chrF of the best translations against all that the file has for a sentence."""
    sources = _references(examples)
    answers = _search(fitted, [Pair(source) for source in sources], replace(wanted, n_best=1))
    scores = _scores(fitted, answers, list(sources.values()))
    return {
        "bleu": scores.bleu,
        "chrf": scores.chrf,
        "loss": _loss(fitted, examples),
        "examples": len(sources),
        "references": sum([len(found) for found in sources.values()]),
        "bleu_signature": scores.bleu_signature,
        "chrf_signature": scores.chrf_signature,
    }


def _references(examples: Sequence[Pair]) -> dict[str, list[str]]:
    """All translations of each source, which is there once."""
    found: dict[str, list[str]] = {}
    for example in examples:
        known = found.setdefault(tidy_source(example.source), [])
        if example.target is not None and example.target not in known:
            known.append(example.target)
    return found


def _scores(
    fitted: Fitted, answers: Sequence[Sequence[Hypothesis]], references: Sequence[Sequence[str]]
) -> Bleu:
    symbols: TranslationSymbols = fitted.symbols
    texts = [symbols.target.decode(each[0].tokens) for each in answers]
    return translation_scores(texts, references)


def _loss(fitted: Fitted, examples: Sequence[Pair]) -> float:
    """-log p of a sub-word, the mean over all of them."""

    def answer(batch: Sequence[Pair]) -> list[tuple[float, int]]:
        tensors = collate(batch, fitted.symbols, fitted.options)
        mean = float(fitted.model.loss(**tensors))  # type: ignore[operator]
        return [(mean, int(count)) for count in tensors["target_lengths"]]

    found = ask(fitted.model, examples, length, answer)
    return sum([loss for loss, _ in found]) / sum([count for _, count in found])


def _search(
    fitted: Fitted, inputs: Sequence[Pair], wanted: PredictOptions
) -> list[list[Hypothesis]]:
    model: Any = fitted.model
    longest_source: int = fitted.options.longest

    def answer(batch: Sequence[Pair]) -> list[list[Hypothesis]]:
        tensors = collate(cut(batch, longest_source), fitted.symbols, fitted.options)
        state = model.start(tensors["source"], tensors["lengths"])
        longest = [2 * int(n) + 10 if n > 1 else 0 for n in tensors["lengths"]]
        if wanted.beam == 1:
            found = greedy_search(
                model.step, type(state).select, state, longest=longest, start=START, end=END
            )
            return [[each] for each in found]
        return beam_search(
            model.step,
            type(state).select,
            state,
            longest=longest,
            start=START,
            end=END,
            beam=wanted.beam,
            n_best=wanted.n_best,
            length_penalty=wanted.length_penalty,
        )

    # a beam has as many rows as places
    def places(example: Pair) -> int:
        letters = len(example.source) // 4  # of a word that is many sub-words
        return wanted.beam * (8 + min(most_subwords(fitted.options), max(length(example), letters)))

    return ask(fitted.model, inputs, places, answer)


def read_inputs(path: Path, options: Options) -> list[Pair]:
    """The sources of a table ``source TAB target``, or each line."""
    if path.suffix.lower() in (".tsv", ".tab") or len(data_files(path)) == 2:
        return [Pair(row.value.source) for row in read(path, options)]
    return [Pair(line) for line in read_lines(path)]


def as_input(value: str | Pair) -> Pair:
    """A sentence from a string."""
    return value if isinstance(value, Pair) else Pair(value)


def predict(fitted: Fitted, inputs: Sequence[Pair], wanted: PredictOptions) -> list[Translation]:
    """A translation of each sentence."""
    symbols: TranslationSymbols = fitted.symbols
    answers = []
    for example, found in zip(inputs, _search(fitted, inputs, wanted), strict=True):
        texts = [(symbols.target.decode(each.tokens), each.score) for each in found]
        attention = _attention(fitted, example, found[0]) if wanted.show or wanted.png else None
        note = _note(example.source, fitted)
        answers.append(Translation(example.source, texts[0][0], tuple(texts), attention, note))
    return answers


def _note(source: str, fitted: Fitted) -> str:
    """What was left out of a sentence, if it is a long one."""
    longest, most = fitted.options.longest, most_subwords(fitted.options)
    words = _first_words(source, longest)
    if len(_encode(words, fitted.symbols, most + 1)) > most + 1:
        return f"only its first {most} sub-words were translated"
    if len(source.split()) > longest:
        return f"only its first {longest} words were translated"
    return ""


def _attention(fitted: Fitted, example: Pair, found: Hypothesis) -> Attention:
    """What the model looked at: it reads its own translation once more."""
    symbols: TranslationSymbols = fitted.symbols
    [example] = cut([example], fitted.options.longest)
    source = _encode(example.source, symbols, most_subwords(fitted.options))
    target = [START, *found.tokens]
    model: Any = fitted.model
    with torch.no_grad():
        weights = model.attend(
            torch.tensor(source)[:, None],
            torch.tensor([len(source)]),
            torch.tensor(target)[:, None],
            torch.tensor([len(target)]),
        )
    ends = ("end",) if found.ended else ()
    return Attention(
        (*symbols.source.pieces(source[:-1]), "end"),
        (*symbols.target.pieces(found.tokens), *ends),
        weights[: len(found.tokens) + len(ends), 0],
    )


def save(predictions: Sequence[Translation], wanted: PredictOptions) -> list[Path]:
    """The picture of each translation's attention; from the second on with its number."""
    if not wanted.png:
        return []
    path = Path(wanted.png)
    paths = []
    for number, each in enumerate(predictions, 1):
        if each.attention is not None:
            place = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
            attention = each.attention
            attention_png(place, attention.source, attention.target, attention.weights)
            paths.append(place)
    return paths


def poster_settings(folder: Path) -> Mapping[str, object]:
    """The picture of the attention."""
    return {"show": "attention", "png": str(folder / "translation.png")}


def show(prediction: Translation) -> str:
    """The translation; others with their scores, and the attention, where they were asked for."""
    lines = [f"[bold green]{escape(prediction.translation)}[/]"]
    if len(prediction.n_best) > 1:
        lines = [f"{score:8.3f}  {escape(text)}" for text, score in prediction.n_best]
        lines[0] = f"[bold green]{lines[0]}[/]"
    if prediction.note:
        lines.append(f"[yellow]note:[/] {prediction.note}")
    if prediction.attention is not None:
        attention = prediction.attention
        lines += attention_text(attention.source, attention.target, attention.weights)
    return "\n".join(lines)


def record(prediction: Translation) -> dict[str, Any]:
    """The translation as a JSON object."""
    made: dict[str, Any] = {
        "text": prediction.text,
        "translation": prediction.translation,
        "n_best": [{"text": text, "score": round(s, 6)} for text, s in prediction.n_best],
    }
    if prediction.note:
        made["note"] = prediction.note
    if prediction.attention is not None:
        attention = prediction.attention
        made["attention"] = {
            "source": attention.source,
            "target": attention.target,
            "weights": [[round(float(w), 4) for w in row] for row in attention.weights],
        }
    return made
