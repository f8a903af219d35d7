"""Transcribes whole recordings, or audio while it arrives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from rich.markup import escape

from elman.decode.ctc import PrefixBeam, align, best_path
from elman.errors import OptionError
from elman.models import Transcriber
from elman.tasks.inference import in_batches
from elman.tasks.speech.answers import Transcript, Word
from elman.tasks.speech.batches import collate
from elman.tasks.speech.data import (
    Utterance,
)
from elman.tasks.speech.language_model import Language, TextFusion
from elman.tasks.speech.options import SpeechOptions, TranscribeOptions
from elman.tasks.speech.reading import utterance_of
from elman.tasks.speech.streaming import (
    GreedySearch,
    Search,
    StreamingTranscriber,
    pcm_pieces,
    step_seconds,
)
from elman.tasks.speech.symbols import SpeechSymbols
from elman.tasks.speech.transcripts import Pieces
from elman.tasks.task import Fitted


def predict(
    fitted: Fitted[SpeechSymbols, SpeechOptions], inputs: Sequence[Any], wanted: TranscribeOptions
) -> list[Transcript]:
    """Transcribes recordings."""
    model, pieces = transcriber_of(fitted), fitted.symbols.pieces
    fusion = _fusion(fitted, wanted)
    asked = [utterance_of(value, fitted.options) for value in inputs]
    each_step = step_seconds(model)

    def answer(batch: Sequence[Utterance]) -> list[Transcript]:
        tensors = collate([_without_text(e) for e in batch], fitted.symbols, fitted.options)
        scores = model(tensors["frames"], tensors["lengths"])
        best = best_path(scores.log_probs, scores.lengths)
        found = []
        for k, example in enumerate(batch):
            steps = scores.log_probs[: scores.lengths[k], k].numpy()
            symbols = best[k]
            if wanted.beam > 1:
                search = PrefixBeam(wanted.beam, fusion=fusion)
                search.advance(steps)
                symbols = search.best()
            words = _words(pieces, symbols, align(steps, symbols), each_step)
            text = pieces.decode(symbols)
            found.append(
                Transcript(example.name, text, words, example.seconds, example.frames, wanted.times)
            )
        return found

    return in_batches(model, asked, len, answer)


def transcriber_of(fitted: Fitted[SpeechSymbols, SpeechOptions]) -> Transcriber:
    """The model, typed as a ``Transcriber``."""
    assert isinstance(fitted.model, Transcriber)
    return fitted.model


def _without_text(example: Utterance) -> Utterance:
    return Utterance(example.name, example.frames, example.seconds, example.fingerprint)


def _fusion(
    fitted: Fitted[SpeechSymbols, SpeechOptions], wanted: TranscribeOptions
) -> TextFusion | None:
    """The language model of the search, or None."""
    if wanted.lm == "none" or wanted.beam == 1:
        return None
    language = fitted.symbols.language
    if wanted.lm != "own":
        language = Language.read(Path(wanted.lm))
    if language is None:
        return None
    options: SpeechOptions = fitted.options
    weight = options.language_weight if wanted.lm_weight is None else wanted.lm_weight
    bonus = options.language_bonus if wanted.lm_bonus is None else wanted.lm_bonus
    return TextFusion(language, fitted.symbols.pieces.pieces, weight, bonus)


def _words(
    pieces: Pieces, symbols: Sequence[int], spans: Sequence[tuple[int, int]], seconds: float
) -> tuple[Word, ...]:
    """Groups symbols into words, each timed from its first step to its last."""
    words: list[Word] = []
    text, start, end = "", 0, 0
    for symbol, (first, last) in zip(symbols, spans, strict=True):
        for character in pieces.pieces[symbol - 1]:
            if character == " ":
                if text:
                    words.append(_word(text, start, end, seconds))
                text = ""
                continue
            start = first if not text else start
            text, end = text + character, last
    if text:
        words.append(_word(text, start, end, seconds))
    return tuple(words)


def _word(text: str, start: int, end: int, seconds: float) -> Word:
    return Word(text, round(start * seconds, 2), round(end * seconds, 2))


def stream(
    fitted: Fitted[SpeechSymbols, SpeechOptions], source: BinaryIO, wanted: TranscribeOptions
) -> Iterator[str]:
    """Yields the text so far whenever it gains final words, then the whole text.

    ``source`` is raw audio at ``wanted.rate`` hertz: 16 bits, little-endian, one channel.
    """
    options: SpeechOptions = fitted.options
    if wanted.rate < 1000:
        raise OptionError(f"rate is {wanted.rate}; give the sample rate in hertz, such as 16000.")
    pieces: Pieces = fitted.symbols.pieces
    search: Search = GreedySearch()
    if wanted.beam > 1:
        search = PrefixBeam(wanted.beam, fusion=_fusion(fitted, wanted))
    transcriber = StreamingTranscriber(
        transcriber_of(fitted),
        fitted.symbols.cmvn,
        search,
        rate=wanted.rate,
        sample_rate=options.sample_rate,
        num_mels=options.num_mels,
    )
    shown = 0
    for piece in pcm_pieces(source):
        transcriber.accept(piece)
        words = pieces.decode(search.stable()).split(" ")[:-1]  # the last word may continue
        if len(words) > shown:
            shown = len(words)
            yield f"[dim]{transcriber.seconds:7.2f} s  {escape(_tail(words))}[/]"
    transcriber.finish()
    yield escape(pieces.decode(search.best()))


def _tail(words: Sequence[str], count: int = 12) -> str:
    """The last words, so that the line stays short."""
    return " ".join(words) if len(words) <= count else "... " + " ".join(words[-count:])
