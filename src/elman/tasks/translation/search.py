"""Translates sentences with greedy or beam search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from elman.data.subwords import END, START
from elman.decode import Hypothesis, beam_search, greedy_search
from elman.tasks.inference import in_batches
from elman.tasks.task import Fitted
from elman.tasks.translation.answers import Attention, Translated
from elman.tasks.translation.data import (
    Pair,
    TranslationSymbols,
    collate,
    cut,
    encode_source,
    first_words,
    most_subwords,
)
from elman.tasks.translation.options import SearchOptions, TranslationOptions


def predict(
    fitted: Fitted[TranslationSymbols, TranslationOptions],
    inputs: Sequence[Pair],
    wanted: SearchOptions,
) -> list[Translated]:
    """Translates each sentence."""
    symbols: TranslationSymbols = fitted.symbols
    answers = []
    for example, found in zip(inputs, search(fitted, inputs, wanted), strict=True):
        texts = [(symbols.target.decode(each.tokens), each.score) for each in found]
        attention = _attention(fitted, example, found[0]) if wanted.show or wanted.png else None
        note = _note(example.source, fitted)
        answers.append(Translated(example.source, texts[0][0], tuple(texts), attention, note))
    return answers


def _note(source: str, fitted: Fitted[TranslationSymbols, TranslationOptions]) -> str:
    """A note if a long sentence was truncated, otherwise ""."""
    longest, most = fitted.options.longest, most_subwords(fitted.options)
    words = first_words(source, longest)
    if len(encode_source(words, fitted.symbols, most + 1)) > most + 1:
        return f"only its first {most} subwords were translated"
    if len(source.split()) > longest:
        return f"only its first {longest} words were translated"
    return ""


def _attention(
    fitted: Fitted[TranslationSymbols, TranslationOptions], example: Pair, found: Hypothesis
) -> Attention:
    """The attention weights, from a second pass over the translation."""
    symbols: TranslationSymbols = fitted.symbols
    [example] = cut([example], fitted.options.longest)
    source = encode_source(example.source, symbols, most_subwords(fitted.options))
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


def search(
    fitted: Fitted[TranslationSymbols, TranslationOptions],
    inputs: Sequence[Pair],
    wanted: SearchOptions,
) -> list[list[Hypothesis]]:
    """Finds the best translations of each sentence, as subwords with scores."""
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

    # cost of an example: its beam rows times its length in subwords
    def places(example: Pair) -> int:
        letters = len(example.source) // 4  # for words of many subwords
        return wanted.beam * (8 + min(most_subwords(fitted.options), max(len(example), letters)))

    return in_batches(fitted.model, inputs, places, answer)
