"""Chooses what belongs to the decoder of a model, CTC or a transducer: searches and losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from elman.decode import PrefixBeam, WordBeam, best_path, greedy_transducer
from elman.decode.prefixes import BLANK
from elman.models import Transcriber, Transducer
from elman.tasks.speech.language_model import Language, TextFusion
from elman.tasks.speech.options import SpeechOptions, TranscribeOptions
from elman.tasks.speech.phonemes import Phonemes
from elman.tasks.speech.sentences import GreedySearch, Search, SentenceSearch
from elman.tasks.speech.streaming import step_seconds
from elman.tasks.speech.symbols import SpeechSymbols
from elman.tasks.speech.transcripts import Pieces
from elman.tasks.speech.transducer_sentences import (
    BeamTransducerSearch,
    GreedyTransducerSearch,
    TransducerSearch,
    TransducerSentences,
)
from elman.tasks.speech.writing import Homophones, Spelling, Writer
from elman.tasks.task import Fitted

#: default beam sizes: of the search for words, and of searches over prefixes, which cost more
_WORD_BEAM, _BEAM = 200, 32
#: the search for words skips symbols of this log probability, and texts this far below the best
_LEAST, _MARGIN = -7.0, 15.0


class Greedy(NamedTuple):
    """What greedy decoding finds for each row of a batch, and the loss per symbol of each."""

    symbols: list[list[int]]
    losses: list[float]


class WeightedLanguage(NamedTuple):
    """A language model, its weight, and the bonus of each token."""

    language: Language
    weight: float
    bonus: float

    def fusion(self, pieces: Sequence[str]) -> TextFusion:
        """The language model for a search over prefixes."""
        return TextFusion(self.language, pieces, self.weight, self.bonus)


def transcriber_of(fitted: Fitted[SpeechSymbols, SpeechOptions]) -> Transcriber | Transducer:
    """The model, typed."""
    assert isinstance(fitted.model, Transcriber | Transducer)
    return fitted.model


def greedy(model: Transcriber | Transducer, tensors: Mapping[str, Tensor]) -> Greedy:
    """Decodes a batch that has transcripts."""
    found = model(tensors["frames"], tensors["lengths"])
    losses = model.losses(found, tensors["symbols"], tensors["symbol_counts"]).tolist()
    if isinstance(model, Transducer):
        return Greedy([row.symbols for row in greedy_transducer(model, *found)], losses)
    return Greedy(best_path(*found), losses)


def sentence_searches(
    fitted: Fitted[SpeechSymbols, SpeechOptions], wanted: TranscribeOptions
) -> Callable[[], SentenceSearch]:
    """Makes searches, each for the rows of one recording, which the model's ``forward`` computes.

    The language model is read once for all.
    """
    model, pieces = transcriber_of(fitted), fitted.symbols.pieces
    pause = math.ceil(wanted.pause / step_seconds(model))  # 0: no pause ends a sentence
    silent, language = _silent(pieces), _language(fitted, wanted)
    if isinstance(model, Transducer):
        new: Callable[[], TransducerSearch] = partial(GreedyTransducerSearch, model)
        if wanted.beam != 1:
            fusion = language and language.fusion(pieces.pieces)
            new = partial(BeamTransducerSearch, model, wanted.beam or _BEAM, fusion)
        return partial(TransducerSentences, model, new, pause, silent)
    return partial(SentenceSearch, _ctc_search(pieces, language, wanted.beam), pause, silent)


def _ctc_search(
    pieces: Pieces, language: WeightedLanguage | None, width: int | None
) -> Callable[[], Search]:
    """Makes searches of the output of CTC."""
    if width == 1:
        return GreedySearch
    if language is not None and language.language.is_of_words_in(pieces):
        words = language.language.word_model(pieces, language.weight, language.bonus)
        return partial(WordBeam, words, width or _WORD_BEAM, least=_LEAST, margin=_MARGIN)
    fusion = language and language.fusion(pieces.pieces)
    return partial(PrefixBeam, width or _BEAM, fusion=fusion)


def _silent(pieces: Pieces) -> frozenset[int]:
    """The symbols of silence: the blank, and a space."""
    return frozenset([BLANK, *[k for k, text in enumerate(pieces.pieces, 1) if not text.strip()]])


def writer(fitted: Fitted[SpeechSymbols, SpeechOptions], wanted: TranscribeOptions) -> Writer:
    """Writes the symbols that the searches find as words."""
    pieces = fitted.symbols.pieces
    language = language_of(fitted, wanted) if isinstance(pieces, Phonemes) else None
    if isinstance(pieces, Phonemes) and language is not None:
        return Homophones(pieces, language.ngrams)
    return Spelling(pieces)


def language_of(
    fitted: Fitted[SpeechSymbols, SpeechOptions], wanted: TranscribeOptions
) -> Language | None:
    """The language model that is asked for, or else the model's own."""
    if wanted.lm in ("own", "none"):
        return fitted.symbols.language
    return Language.read(Path(wanted.lm))


def _language(
    fitted: Fitted[SpeechSymbols, SpeechOptions], wanted: TranscribeOptions
) -> WeightedLanguage | None:
    """The language model of the search, or None.

    Phonemes are searched for words even if no language model weighs them.
    """
    if wanted.beam == 1:
        return None
    language = language_of(fitted, wanted)
    if wanted.lm == "none":
        phonemes = isinstance(fitted.symbols.pieces, Phonemes)
        return WeightedLanguage(language, 0.0, 0.0) if phonemes and language else None
    if language is None:
        return None
    options: SpeechOptions = fitted.options
    weight = options.language_weight if wanted.lm_weight is None else wanted.lm_weight
    bonus = options.language_bonus if wanted.lm_bonus is None else wanted.lm_bonus
    return WeightedLanguage(language, weight, bonus)
