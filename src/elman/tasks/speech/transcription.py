"""Transcribes whole recordings, or audio while it arrives."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO, NamedTuple

from rich.markup import escape

from elman.errors import OptionError
from elman.tasks.inference import in_batches
from elman.tasks.speech.answers import Sentence, Transcript, Word
from elman.tasks.speech.audio import Samples
from elman.tasks.speech.batches import collate
from elman.tasks.speech.data import (
    Utterance,
)
from elman.tasks.speech.decoders import sentence_searches, transcriber_of, writer
from elman.tasks.speech.options import SpeechOptions, TranscribeOptions
from elman.tasks.speech.raw_audio import raw_pieces, whole_samples
from elman.tasks.speech.reading import utterance_of
from elman.tasks.speech.sentences import SpokenSentence
from elman.tasks.speech.streaming import StreamingTranscriber, step_seconds
from elman.tasks.speech.symbols import SpeechSymbols
from elman.tasks.speech.transcripts import Pieces
from elman.tasks.speech.writing import Writer
from elman.tasks.task import Fitted


def predict(
    fitted: Fitted[SpeechSymbols, SpeechOptions], inputs: Sequence[Any], wanted: TranscribeOptions
) -> list[Transcript]:
    """Transcribes recordings."""
    model, pieces = transcriber_of(fitted), fitted.symbols.pieces
    new_search, write = sentence_searches(fitted, wanted), writer(fitted, wanted)
    asked = [utterance_of(value, fitted.options) for value in inputs]
    each_step = step_seconds(model)

    def answer(batch: Sequence[Utterance]) -> list[Transcript]:
        tensors = collate([_without_text(e) for e in batch], fitted.symbols, fitted.options)
        rows, lengths = model(tensors["frames"], tensors["lengths"])
        found = []
        for k, example in enumerate(batch):
            search = new_search()
            search.advance(rows[: lengths[k], k].numpy())
            search.finish()
            sentences = [_sentence(pieces, write, each, each_step) for each in search.sentences]
            found.append(
                Transcript(
                    example.name,
                    tuple([sentence for sentence in sentences if sentence.words]),
                    example.seconds,
                    example.frames,
                    wanted.times,
                )
            )
        return found

    return in_batches(model, asked, len, answer)


def _without_text(example: Utterance) -> Utterance:
    return Utterance(example.name, example.frames, example.seconds, example.fingerprint)


def _sentence(pieces: Pieces, write: Writer, spoken: SpokenSentence, seconds: float) -> Sentence:
    """Groups symbols into words, each timed from its first step to its last."""
    groups: list[list[_Letter]] = [[]]
    timed = zip(spoken.symbols, spoken.spans, spoken.log_probs, strict=True)
    for symbol, (first, last), sure in timed:
        for character in pieces.pieces[symbol - 1]:
            if character == " ":
                groups.append([])
            else:
                groups[-1].append(_Letter(spoken.start + first, spoken.start + last, sure))
    said = [group for group in groups if group]
    words = zip(write.words(spoken.symbols), said, strict=True)
    return Sentence(tuple([_word(text, letters, seconds) for text, letters in words]))


class _Letter(NamedTuple):
    first: int
    last: int
    log_prob: float


def _word(text: str, letters: Sequence[_Letter], seconds: float) -> Word:
    sure = sum([letter.log_prob for letter in letters]) / len(letters)
    return Word(
        text,
        round(letters[0].first * seconds, 2),
        round(letters[-1].last * seconds, 2),
        round(math.exp(sure), 3),
    )


@dataclass(frozen=True)
class Heard:
    """What is known after ``seconds`` of a stream.

    ``final`` and ``provisional`` are the words of the sentence that is being spoken: those that
    will not change any more, and those that may.  ``sentence`` is the sentence that has just ended.
    """

    seconds: float
    final: str
    provisional: str
    sentence: Sentence | None = None


def hear(
    fitted: Fitted[SpeechSymbols, SpeechOptions],
    pieces: Iterable[Samples],
    wanted: TranscribeOptions,
) -> Iterator[Heard]:
    """Transcribes audio at ``wanted.rate`` hertz while it arrives.

    Yields whenever the words change, and once for each sentence, when it has ended.
    """
    if wanted.rate < 1000:
        raise OptionError(f"rate is {wanted.rate}; give the sample rate in hertz, such as 16000.")
    options, model = fitted.options, transcriber_of(fitted)
    pieces_of_text, write = fitted.symbols.pieces, writer(fitted, wanted)
    search = sentence_searches(fitted, wanted)()
    transcriber = StreamingTranscriber(
        model,
        fitted.symbols.cmvn,
        search,
        rate=wanted.rate,
        sample_rate=options.sample_rate,
        num_mels=options.num_mels,
    )
    told, ended = ("", ""), 0

    def news() -> Iterator[Heard]:
        nonlocal told, ended
        for spoken in search.sentences[ended:]:
            sentence = _sentence(pieces_of_text, write, spoken, step_seconds(model))
            if sentence.words:
                yield Heard(transcriber.seconds, sentence.text, "", sentence)
            told = ("", "")
        ended = len(search.sentences)
        settled, words = write.settled(search.stable()), write.words(search.best())
        now = (" ".join(settled), " ".join(words[len(settled) :]))
        if now not in (told, ("", "")):
            told = now
            yield Heard(transcriber.seconds, *now)

    for piece in pieces:
        transcriber.accept(piece)
        yield from news()
    transcriber.finish()
    search.finish()
    yield from news()


def stream(
    fitted: Fitted[SpeechSymbols, SpeechOptions], source: BinaryIO, wanted: TranscribeOptions
) -> Iterator[str]:
    """Yields the words of a sentence whenever they change, sentences, then the whole text.

    ``source`` is raw audio at ``wanted.rate`` hertz, one channel, encoded as ``wanted.encoding``.
    """
    sentences = []
    for heard in hear(fitted, raw_pieces(source, wanted.encoding), wanted):
        if heard.sentence is None:
            final, provisional = _tail(heard.final, heard.provisional)
            words = " ".join([escape(final), f"[dim]{escape(provisional)}[/]"]).strip()
            yield f"[dim]{heard.seconds:7.2f} s[/]  {words}"
        else:
            sentences.append(heard.sentence.text)
            times = f"{heard.sentence.start:.2f} to {heard.sentence.end:.2f} s"
            text = f"[bold]{escape(heard.final)}[/] [dim]({times})[/]"
            yield f"[dim]{heard.seconds:7.2f} s[/]  {text}"
    yield escape(" ".join(sentences))


def stream_records(
    fitted: Fitted[SpeechSymbols, SpeechOptions],
    pieces: Iterable[bytes],
    wanted: TranscribeOptions,
) -> Iterator[dict[str, Any]]:
    """Yields ``words`` whenever they change, ``sentence`` when one has ended, then ``text``.

    ``pieces`` are raw audio at ``wanted.rate`` hertz, encoded as ``wanted.encoding``.
    """
    sentences = []
    for heard in hear(fitted, whole_samples(pieces, wanted.encoding), wanted):
        at = round(heard.seconds, 3)
        if heard.sentence is None:
            yield {
                "type": "words",
                "seconds": at,
                "final": heard.final,
                "provisional": heard.provisional,
            }
            continue
        each = heard.sentence
        sentences.append(each.text)
        yield {
            "type": "sentence",
            "seconds": at,
            "text": each.text,
            "start": each.start,
            "end": each.end,
            "words": [asdict(word) for word in each.words],
        }
    yield {"type": "text", "text": " ".join(sentences)}


def _tail(final: str, provisional: str, count: int = 12) -> tuple[str, str]:
    """The last words, so that the line stays short."""
    words = final.split()
    room = max(0, count - len(provisional.split()))
    return (
        final if len(words) <= room else " ".join(["...", *words[len(words) - room :]])
    ), provisional
