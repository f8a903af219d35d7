"""Evaluates transcription: word and character error rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elman.extras import extra
from elman.tasks.inference import in_batches
from elman.tasks.speech.batches import collate
from elman.tasks.speech.data import (
    Utterance,
)
from elman.tasks.speech.decoders import greedy, transcriber_of
from elman.tasks.speech.options import SpeechOptions, TranscribeOptions
from elman.tasks.speech.symbols import SpeechSymbols
from elman.tasks.speech.transcription import predict
from elman.tasks.task import Fitted
from elman.training.watch import BLANKS


def validate(
    fitted: Fitted[SpeechSymbols, SpeechOptions], examples: Sequence[Utterance]
) -> dict[str, Any]:
    """Word and character error rates of greedy decoding, which is fast, and the loss.

    Error rates are capped at 1: early in training, a model that writes nonsense is better than
    one that writes nothing, and the loss then decides.
    """
    model, pieces = transcriber_of(fitted), fitted.symbols.pieces

    def answer(batch: Sequence[Utterance]) -> list[tuple[str, float]]:
        tensors = collate(batch, fitted.symbols, fitted.options)
        found = greedy(model, tensors)
        texts = [pieces.decode(symbols) for symbols in found.symbols]
        return list(zip(texts, found.losses, strict=True))

    answers = in_batches(model, examples, len, answer)
    found = error_rates(examples, [text for text, _ in answers])
    loss = sum([each for _, each in answers]) / len(answers)
    return {
        "wer": min(1.0, found["wer"]),
        "cer": min(1.0, found["cer"]),
        "loss": loss,
        BLANKS: sum([not text for text, _ in answers]) / len(answers),
    }


def score(
    fitted: Fitted[SpeechSymbols, SpeechOptions],
    examples: Sequence[Utterance],
    wanted: TranscribeOptions,
) -> dict[str, Any]:
    """Word and character error rates of all examples (jiwer)."""
    return error_rates(examples, [answer.text for answer in predict(fitted, examples, wanted)])


def scorer() -> Any:
    """Imports jiwer; ``OptionError`` says what to install if it is missing."""
    with extra("speech", "computing word error rates"):
        import jiwer
    return jiwer


def error_rates(examples: Sequence[Utterance], written: list[str]) -> dict[str, Any]:
    """The error rates of transcripts of the examples, and how many words were said."""
    jiwer = scorer()
    said = [str(example.text) for example in examples]
    return {
        "wer": float(jiwer.wer(said, written)),
        "cer": float(jiwer.cer(said, written)),
        "sentence_error_rate": sum([a != b for a, b in zip(said, written, strict=True)])
        / len(said),
        "words": sum([len(text.split()) for text in said]),
        "examples": len(examples),
    }
