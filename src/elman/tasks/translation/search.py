"""Translates sentences with greedy or beam search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from elman.data.languages import notice
from elman.data.subwords import END, START
from elman.data.words import split_words
from elman.decode import Hypothesis, beam_search, greedy_search
from elman.tasks.inference import in_batches
from elman.tasks.task import Fitted
from elman.tasks.translation.answers import Attention, Translated
from elman.tasks.translation.confidence import LOW, confidence
from elman.tasks.translation.data import (
    Pair,
    TranslationSymbols,
    collate,
    encode_source,
    most_subwords,
)
from elman.tasks.translation.options import SearchOptions, TranslationOptions
from elman.tasks.translation.parallel import tidy
from elman.tasks.translation.placeholders import PLACEHOLDER, restored
from elman.tasks.translation.preparation import LANGUAGES, Prepared, prepare
from elman.tasks.translation.sentences import joined, pieces
from elman.tasks.translation.writing import Rules, Written


@dataclass(frozen=True)
class Piece:
    """A piece of an input: its text, what the model reads, and its translations, best first."""

    text: str
    prepared: Prepared
    found: tuple[Hypothesis, ...]


def predict(
    fitted: Fitted[TranslationSymbols, TranslationOptions],
    inputs: Sequence[Pair],
    wanted: SearchOptions,
) -> list[Translated]:
    """Translates each text."""
    answers = []
    all_pieces = translated([each.source for each in inputs], fitted, wanted)
    for example, found in zip(inputs, all_pieces, strict=True):
        ranks = range(max(len(piece.found) for piece in found))
        texts = [(text_of(found, fitted, rank), _score(found, rank)) for rank in ranks]
        attention = _attention(fitted, found) if wanted.show or wanted.png else None
        sure = _confidence(found, fitted)
        notes = [_note(found, fitted), _notice(example.source, fitted)]
        if sure is not None and sure < LOW:
            notes.append(f"low confidence ({100 * sure:.0f} %)")
        note = "; ".join([each for each in notes if each])
        answers.append(Translated(example.source, texts[0][0], tuple(texts), attention, note, sure))
    return answers


def translated(
    sources: Sequence[str],
    fitted: Fitted[TranslationSymbols, TranslationOptions],
    wanted: SearchOptions,
) -> list[list[Piece]]:
    """The pieces of each source, with their translations."""
    language = LANGUAGES.get(fitted.options.copied)
    abbreviations = frozenset[str]() if language is None else language.titles
    texts = [pieces(source, abbreviations, fitted.options.longest) for source in sources]
    flat = [text for each in texts for text in each]
    found = iter(search(fitted, [Pair(text) for text in flat], wanted))
    return [
        [
            Piece(text, prepare(text, fitted.options, fitted.symbols.words), tuple(next(found)))
            for text in each
        ]
        for each in texts
    ]


def text_of(
    found: Sequence[Piece],
    fitted: Fitted[TranslationSymbols, TranslationOptions],
    rank: int = 0,
) -> str:
    """The translation of a text, of each piece the one of this rank or the last."""
    answers = [_written(each, _ranked(each, rank), fitted.symbols) for each in found]
    if len(found) == 1:
        return answers[0]
    return joined([each.text for each in found], answers, fitted.symbols.small_words)


def _written(piece: Piece, found: Hypothesis, symbols: TranslationSymbols) -> str:
    """A translation, with what the placeholders of the source stand for.

    A source without words is its own translation.
    """
    prepared = piece.prepared
    if not any(map(str.isalpha, PLACEHOLDER.sub("", prepared.text))):
        copied = bool(prepared.answers) or not any(map(str.isalnum, piece.text))
        if copied:
            return restored(prepared.text, prepared.answers) or tidy(piece.text)
    text = restored(symbols.target.decode(found.tokens), prepared.answers)
    return text.upper() if prepared.capitals else text


def _ranked(piece: Piece, rank: int) -> Hypothesis:
    return piece.found[min(rank, len(piece.found) - 1)]


def _score(found: Sequence[Piece], rank: int) -> float:
    """The mean of the pieces' scores, weighted by their lengths."""
    ranked = [_ranked(each, rank) for each in found]
    if len(ranked) == 1:
        return ranked[0].score
    lengths = [len(each.tokens) + 1 for each in ranked]
    total = sum([each.score * n for each, n in zip(ranked, lengths, strict=True)])
    return total / sum(lengths)


def mean_log_probability(found: Sequence[Piece]) -> float:
    """The mean of log p over the subwords of a translation."""
    best = [each.found[0] for each in found]
    total = sum([each.log_probability for each in best])
    return total / sum([len(each.tokens) + each.ended for each in best] or [1])


def _confidence(
    found: Sequence[Piece], fitted: Fitted[TranslationSymbols, TranslationOptions]
) -> float | None:
    if not any(each.found[0].tokens for each in found):
        return None
    slope, offset = fitted.model.confidence.tolist()  # type: ignore[operator]
    return confidence(mean_log_probability(found), slope, offset)


def _notice(source: str, fitted: Fitted[TranslationSymbols, TranslationOptions]) -> str:
    """A sentence if the text is not in the language of the training sources."""
    return notice(split_words(source), fitted.symbols.languages).removesuffix(".")


def _note(found: Sequence[Piece], fitted: Fitted[TranslationSymbols, TranslationOptions]) -> str:
    """A note if a piece, with words of very many letters, was truncated, otherwise ""."""
    most = most_subwords(fitted.options)
    for each in found:
        if len(encode_source(each.prepared.text, fitted.symbols, most + 1)) > most + 1:
            return f"only its first {most} subwords were translated"
    return ""


def _attention(
    fitted: Fitted[TranslationSymbols, TranslationOptions], found: Sequence[Piece]
) -> Attention:
    """The attention weights, from a second pass over the translation; 0 between pieces."""
    parts = [_attention_of(fitted, each) for each in found]
    if len(parts) == 1:
        return parts[0]
    return Attention(
        tuple([piece for each in parts for piece in each.source]),
        tuple([piece for each in parts for piece in each.target]),
        torch.block_diag(*[each.weights for each in parts]),
    )


def _attention_of(
    fitted: Fitted[TranslationSymbols, TranslationOptions], piece: Piece
) -> Attention:
    symbols: TranslationSymbols = fitted.symbols
    found, answers = piece.found[0], piece.prepared.answers
    source = encode_source(piece.prepared.text, symbols, most_subwords(fitted.options))
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
    sides = (symbols.source.pieces(source[:-1]), symbols.target.pieces(found.tokens))
    ours, theirs = [[restored(each, answers) for each in side] for side in sides]
    return Attention((*ours, "end"), (*theirs, *ends), weights[: len(found.tokens) + len(ends), 0])


def search(
    fitted: Fitted[TranslationSymbols, TranslationOptions],
    inputs: Sequence[Pair],
    wanted: SearchOptions,
) -> list[list[Hypothesis]]:
    """Finds the best translations of each sentence, as subwords with scores."""
    model: Any = fitted.model
    spelling = fitted.symbols.spelling if wanted.known_words else None

    def answer(batch: Sequence[Pair]) -> list[list[Hypothesis]]:
        tensors = collate(batch, fitted.symbols, fitted.options)
        texts = [prepare(each.source, fitted.options, fitted.symbols.words).text for each in batch]
        rules = Rules(model, spelling, texts, wanted.coverage)
        state = rules.start(tensors["source"], tensors["lengths"])
        longest = [2 * int(n) + 10 if n > 1 else 0 for n in tensors["lengths"]]
        if wanted.beam == 1:
            found = greedy_search(
                rules.step, Written.select, state, longest=longest, start=START, end=END
            )
            return [[each] for each in found]
        return beam_search(
            rules.step,
            Written.select,
            state,
            longest=longest,
            start=START,
            end=END,
            beam=wanted.beam,
            n_best=wanted.n_best,
            length_penalty=wanted.length_penalty,
            penalty=rules.penalty if wanted.coverage else None,
        )

    # cost of an example: its beam rows times its length in subwords
    def places(example: Pair) -> int:
        letters = len(example.source) // 4  # for words of many subwords
        return wanted.beam * (8 + min(most_subwords(fitted.options), max(len(example), letters)))

    return in_batches(fitted.model, inputs, places, answer)
