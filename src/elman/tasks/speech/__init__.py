"""Speech (SPEC 1.1): a recording becomes the text of what is said.  Many to many, unaligned.

A recurrent network reads the sound and CTC says which characters are in it, without being told
when.  A network that reads forwards only transcribes while the sound arrives (``streaming.py``).
A language model of the user's text can weigh what is found (``language_model.py``).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import torch
from rich.markup import escape
from torch import Generator, Tensor, nn
from torch.nn.utils.rnn import pad_sequence

import elman.shipped
from elman.data import DataReport, pad_sequences
from elman.data.faults import Row, values_or_error
from elman.data.text import text_rows
from elman.decode.ctc import PrefixBeam, align, best_path
from elman.errors import DataError, OptionError, RunError
from elman.extras import extra
from elman.files import write_whole
from elman.graph import Cell
from elman.models import Transcriber
from elman.tasks.inference import ask
from elman.tasks.options import option
from elman.tasks.recurrent_options import RecurrentOptions, recurrent_layer
from elman.tasks.speech.audio import Sound, mono, read_audio, resample
from elman.tasks.speech.augmentation import SoundChanges, changed, masked
from elman.tasks.speech.data import (
    Hearing,
    Utterance,
    check_recordings,
    read_utterances,
    steps_of,
)
from elman.tasks.speech.features import Frames, Normal, normalised
from elman.tasks.speech.language_model import Language, TextFusion, Unit, learn_language
from elman.tasks.speech.manifests import audio_files
from elman.tasks.speech.samples import tone_samples
from elman.tasks.speech.spectrogram import draw_spectrogram
from elman.tasks.speech.streaming import GreedySearch, Listener, Search, pcm_pieces, step_seconds
from elman.tasks.speech.transcripts import Pieces, learn_pieces, steps_needed
from elman.tasks.task import Fitted, Learned
from elman.training import LoopOptions
from elman.training.watch import BLANKS

NAME = "speech"
TITLE = "speech recognition: a recording becomes its text"
METRIC = "wer"
HIGHER_IS_BETTER = False
TRAINING = LoopOptions(
    batch_size=16,
    epochs=60,
    learning_rate=1e-3,
    warmup_steps=100,
    plateau_patience=3,
    patience=12,
    average_weights=0.998,
)
TRAIN_FILE, VALID_FILE = "train.jsonl", "valid.jsonl"
POSTER = {
    "fox.flac": Path(elman.shipped.__file__).parent / "poster" / "fox.flac",
}
INPUT: Literal["file"] = "file"
part = None

_FORMAT = 1


@dataclass(frozen=True)
class Options(RecurrentOptions):
    """The options of speech recognition."""

    cell: str = option("lstm", "a cell of the catalogue, or FILE.py:NAME for one of your own")
    hidden_size: int = option(256, "units of each layer, in each direction")
    num_layers: int = option(3, "recurrent layers on each other")
    bidirectional: bool = option(
        False, "read backwards too: better, but the whole sound has to be there first"
    )
    frames_per_step: int = option(3, "frames of 10 ms that make one step of the network")
    dropout: float = option(0.1, "part of the units left out in training")
    sample_rate: int = option(8000, "the rate that every sound is resampled to, in hertz")
    num_mels: int = option(40, "bands of the log-mel features")
    units: Literal["characters", "subwords"] = option("characters", "what is written")
    subwords: int = option(300, "how many sub-words")
    lowercase: bool = option(True, "write small letters only")
    punctuation: bool = option(False, "write punctuation too")
    speed: float = option(0.1, "augmentation: how much faster or slower")
    size: float = option(0.1, "augmentation: how much larger or smaller the speaker")
    noise: float = option(0.5, "augmentation: part of the sounds that get noise")
    colour: float = option(1.0, "augmentation: how far loudness and bands are changed")
    masks: int = option(2, "augmentation: bands and stretches of time hidden (SpecAugment)")
    longest: int = option(3000, "frames of 10 ms; longer recordings are left out of training")
    language: Literal["none", "words", "characters"] = option(
        "none", "the n-gram model of the training transcripts that weighs what is found"
    )
    language_text: str = option("", "a text file, a sentence a line, for that model beside them")
    language_order: int = option(3, "words or characters in its longest n-grams")
    language_size: int = option(100_000, "n-grams that it has at most; seldom ones go first")
    language_weight: float = option(0.5, "how much it counts")
    language_bonus: float = option(1.0, "what each of its words or characters adds to a score")
    audio_column: str = option("audio", "the column with the sound files")
    text_column: str = option("text", "the column with the transcripts")


@dataclass(frozen=True)
class PredictOptions:
    """How a transcriber searches, and what it writes."""

    beam: int = option(32, "texts that the search keeps; 1 takes the best path")
    lm: str = option(
        "own", "an ARPA file to weigh the words with; own is the model's, none is none"
    )
    lm_weight: float | None = option(None, "how much the language model counts")
    lm_bonus: float | None = option(None, "what each of its words adds")
    rate: int = option(16_000, "samples a second of the raw sound that --stream reads")
    times: bool = option(False, "show when each word was heard")
    png: str = option("", "the picture to write: the sound and its words")


@dataclass(frozen=True)
class SpeechSymbols:
    """The pieces of text, what frames usually are, and the language model."""

    pieces: Pieces
    normal: Normal
    language: Language | None = None

    def to_json(self) -> str:
        """All of it as JSON, the language model as ARPA text."""
        saved = {
            "format": _FORMAT,
            "pieces": list(self.pieces.pieces),
            "tokenizer": self.pieces.tokenizer,
            "mean": list(self.normal.mean),
            "spread": list(self.normal.spread),
            "language_unit": self.language.unit if self.language else "",
            "language": self.language.to_arpa() if self.language else "",
        }
        return json.dumps(saved, ensure_ascii=False)


@dataclass(frozen=True)
class Word:
    """A word and the seconds between which it was heard."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, eq=False)
class Transcript:
    """What is said in a recording."""

    name: str
    text: str
    words: tuple[Word, ...]
    seconds: float
    frames: Frames
    timed: bool = False


def samples() -> Mapping[str, str | bytes]:
    """Tones and what they are called, for ``elman new``."""
    return tone_samples()


def read(path: Path, options: Options) -> list[Row[Utterance]]:
    """The recordings that a manifest, or a folder with a metadata.csv, names."""
    rows = list(read_utterances(path, _hearing(options)))
    values_or_error(rows)
    return [row for row in rows if isinstance(row, Row)]


def _hearing(options: Options) -> Hearing:
    if options.sample_rate < 4000:
        raise OptionError(f"sample_rate is {options.sample_rate}; speech needs 4000 or more.")
    return Hearing(
        options.sample_rate,
        options.num_mels,
        options.lowercase,
        options.punctuation,
        options.audio_column,
        options.text_column,
    )


def check(path: Path, options: Options) -> DataReport:
    """Everything that is wrong with the recordings and their transcripts."""
    return check_recordings(path, _hearing(options), options.frames_per_step)


def refuse_strangers(rows: Sequence[Row[Utterance]], symbols: SpeechSymbols) -> None:
    """Nothing: a character that the model does not know counts as an error, as it should."""


def group(example: Utterance) -> Hashable:
    """The same recording twice stays on one side."""
    return example.fingerprint


def learn(examples: Sequence[Utterance], options: Options, seed: int) -> Learned:
    """The pieces of text, the usual frames, and a language model where one is wanted."""
    _scorer()  # before training, not after its first epoch
    texts = [str(example.text) for example in examples]
    pieces = learn_pieces(texts, options.units, options.subwords)
    normal = Normal.of([example.frames.astype(np.float32) for example in examples])
    return Learned(SpeechSymbols(pieces, normal, _language(texts, options)), None)


def _language(texts: list[str], options: Options) -> Language | None:
    if options.language == "none":
        return None
    if options.language_text:
        from elman.tasks.word_model import read_lines

        hearing = _hearing(options)
        texts = texts + [hearing.plain(line) for line in read_lines(Path(options.language_text))]
    return learn_language(texts, options.language, options.language_order, options.language_size)


def adopt(known: SpeechSymbols, learned: SpeechSymbols) -> SpeechSymbols:
    """What the model knows: there are no labels."""
    return known


def load_symbols(text: str) -> SpeechSymbols:
    """The symbols of a run folder."""
    again = "copy the run folder again."
    try:
        saved = json.loads(text)
        if saved["format"] != _FORMAT:
            raise RunError(
                f"symbols.json is in format {saved['format']}, and this Elman reads format "
                f"{_FORMAT}; use the Elman that saved it."
            )
        unit: Unit = saved["language_unit"]
        language = None
        if saved["language"]:
            language = Language.parse(saved["language"], unit, Path("symbols.json"))
        return SpeechSymbols(
            Pieces(tuple(saved["pieces"]), saved["tokenizer"]),
            Normal(tuple(saved["mean"]), tuple(saved["spread"])),
            language,
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(f"symbols.json cannot be read ({error!r}); {again}") from error


def build(options: Options, cell: Cell, learned: Learned) -> nn.Module:
    """A ``Transcriber`` of the cell."""
    encoder = recurrent_layer(
        options,
        cell,
        options.frames_per_step * options.num_mels,
        options.hidden_size,
        options.num_layers,
        bidirectional=options.bidirectional,
        dropout=options.dropout,
    )
    return Transcriber(
        encoder,
        len(learned.symbols.pieces),
        frames_per_step=options.frames_per_step,
        dropout=options.dropout,
    )


def cut(examples: Sequence[Utterance], longest: int) -> list[Utterance]:
    """Those that are not longer: what is said in a part of a sound is not known."""
    kept = [example for example in examples if len(example.frames) <= longest]
    _tell_left_out(examples, kept, f"they are longer than {longest} frames of 10 ms (--longest)")
    if not kept:
        raise DataError(
            f"every recording is longer than {longest} frames of 10 ms; cut them at pauses, or "
            "set longest higher."
        )
    return kept


def _tell_left_out(before: Sequence[Utterance], kept: Sequence[Utterance], why: str) -> None:
    there = {id(example) for example in kept}
    lost = [example.place or example.name for example in before if id(example) not in there]
    if lost:
        shown = "; ".join(lost[:3]) + ("; ..." if lost[3:] else "")
        print(f"{len(lost)} recordings are left out ({shown}): {why}.", file=sys.stderr)


def length(example: Utterance) -> int:
    """How many frames a sound has."""
    return len(example.frames)


def collate(
    examples: Sequence[Utterance],
    symbols: SpeechSymbols,
    options: Options,
    generator: Generator | None = None,
) -> dict[str, Tensor]:
    """Normalised frames (time, batch, mel) and the symbols of the transcripts, with lengths.

    For training, frames are changed at random.
    """
    frames = [example.frames.astype(np.float32) for example in examples]
    targets = [symbols.pieces.encode(example.text or "") for example in examples]
    if generator is None:
        heard = [normalised(each, symbols.normal) for each in frames]
    else:
        seed = int(torch.randint(2**62, (1,), generator=generator))
        random = np.random.default_rng(seed)
        changes = SoundChanges(
            options.speed, options.size, options.noise, options.colour, options.masks
        )
        heard = []
        for each, target in zip(frames, targets, strict=True):
            other = changed(each, changes, random)
            # made faster, a sound may become too short for what is said in it
            if steps_of(len(other), options.frames_per_step) < steps_needed(target):
                other = each
            heard.append(masked(normalised(other, symbols.normal), options.masks, random))
    batch = {
        "frames": pad_sequence([torch.from_numpy(each) for each in heard]),
        "lengths": torch.tensor([len(each) for each in heard]),
    }
    if all([example.text is not None for example in examples]):
        batch["symbols"], batch["symbol_counts"] = pad_sequences(targets)
    return batch


def validate(fitted: Fitted, examples: Sequence[Utterance]) -> dict[str, Any]:
    """Word and character error rates of the best paths, which are found quickly, and the loss.

    More wrong words than there are count as if all were wrong: at first nothing is written, then
    nonsense, which is progress, and the loss tells.
    """
    model, pieces = _transcriber(fitted), fitted.symbols.pieces

    def answer(batch: Sequence[Utterance]) -> list[tuple[str, float]]:
        tensors = collate(batch, fitted.symbols, fitted.options)
        scores = model(tensors["frames"], tensors["lengths"])
        losses = model.losses(scores, tensors["symbols"], tensors["symbol_counts"]).tolist()
        texts = [pieces.decode(symbols) for symbols in best_path(*scores)]
        return list(zip(texts, losses, strict=True))

    answers = ask(model, examples, length, answer)
    found = _error_rates(examples, [text for text, _ in answers])
    loss = sum([each for _, each in answers]) / len(answers)
    return {
        "wer": min(1.0, found["wer"]),
        "cer": min(1.0, found["cer"]),
        "loss": loss,
        BLANKS: sum([not text for text, _ in answers]) / len(answers),
    }


def score(fitted: Fitted, examples: Sequence[Utterance], wanted: PredictOptions) -> dict[str, Any]:
    """Word and character error rates over all examples (jiwer)."""
    return _error_rates(examples, [answer.text for answer in predict(fitted, examples, wanted)])


def _scorer() -> Any:
    """The library that counts wrong words, or what to install."""
    with extra("speech", "counting wrong words"):
        import jiwer
    return jiwer


def _error_rates(examples: Sequence[Utterance], written: list[str]) -> dict[str, Any]:
    jiwer = _scorer()
    said = [str(example.text) for example in examples]
    return {
        "wer": float(jiwer.wer(said, written)),
        "cer": float(jiwer.cer(said, written)),
        "sentence_error_rate": sum([a != b for a, b in zip(said, written, strict=True)])
        / len(said),
        "words": sum([len(text.split()) for text in said]),
        "examples": len(examples),
    }


def read_inputs(path: Path, options: Options) -> list[Utterance]:
    """A sound file; the sound files in a folder; or those that a manifest names."""
    if path.is_dir():
        return [_read_sound(file, options) for file in audio_files(path)]
    if path.suffix.lower() in (".jsonl", ".ndjson", ".json", ".csv", ".tsv"):
        column = "file_name" if path.name == "metadata.csv" else options.audio_column
        found = text_rows(path, text_column=column, label_column="", labelled=False)
        names = [each.text for each in values_or_error(found)]
        return [_read_sound(path.parent / name, options) for name in names]
    return [_read_sound(path, options)]


def _read_sound(path: Path, options: Options) -> Utterance:
    hearing = _hearing(options)
    return hearing.utterance(str(path), read_audio(path, options.sample_rate), None)


def as_input(value: Any) -> Any:
    """An utterance as it is; anything else becomes one when the model's rate is known."""
    if isinstance(value, str):
        return Path(value)
    return value


def _utterance(value: Any, options: Options) -> Utterance:
    """From a path, or from samples and their rate."""
    if isinstance(value, Utterance):
        return value
    if isinstance(value, Path):
        return _read_sound(value, options)
    try:
        samples, rate = value
        numbers = np.asarray(samples, np.float32)
        rate = int(rate)
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"speech: an input is {type(value).__name__}; give the path of a sound file, or "
            "(samples, rate), samples being numbers from -1 to 1."
        ) from error
    numbers = mono(numbers) if numbers.ndim == 2 else numbers
    heard = resample(numbers, rate, options.sample_rate)
    sound = Sound(heard, len(numbers) / rate, rate, 1, "")
    return _hearing(options).utterance(f"{len(numbers) / rate:.1f} s of sound", sound, None)


def predict(fitted: Fitted, inputs: Sequence[Any], wanted: PredictOptions) -> list[Transcript]:
    """What is said in each recording."""
    model, pieces = _transcriber(fitted), fitted.symbols.pieces
    fusion = _fusion(fitted, wanted)
    asked = [_utterance(value, fitted.options) for value in inputs]
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

    return ask(model, asked, length, answer)


def _transcriber(fitted: Fitted) -> Transcriber:
    assert isinstance(fitted.model, Transcriber)
    return fitted.model


def _without_text(example: Utterance) -> Utterance:
    return Utterance(example.name, example.frames, example.seconds, example.fingerprint)


def _fusion(fitted: Fitted, wanted: PredictOptions) -> TextFusion | None:
    """The language model of the search, if there is one."""
    if wanted.lm == "none" or wanted.beam == 1:
        return None
    language = fitted.symbols.language
    if wanted.lm != "own":
        language = Language.read(Path(wanted.lm))
    if language is None:
        return None
    options: Options = fitted.options
    weight = options.language_weight if wanted.lm_weight is None else wanted.lm_weight
    bonus = options.language_bonus if wanted.lm_bonus is None else wanted.lm_bonus
    return TextFusion(language, fitted.symbols.pieces.pieces, weight, bonus)


def _words(
    pieces: Pieces, symbols: Sequence[int], spans: Sequence[tuple[int, int]], seconds: float
) -> tuple[Word, ...]:
    """The words of symbols, from the first step of each to its last."""
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


def stream(fitted: Fitted, source: BinaryIO, wanted: PredictOptions) -> Iterator[str]:
    """The text so far whenever words have been added that will stay, then the whole text.

    ``source`` is raw sound at ``wanted.rate``: 16 bits a sample, little-endian, one channel.
    """
    options: Options = fitted.options
    if wanted.rate < 1000:
        raise OptionError(f"rate is {wanted.rate}; give the samples a second, such as 16000.")
    pieces: Pieces = fitted.symbols.pieces
    search: Search = GreedySearch()
    if wanted.beam > 1:
        search = PrefixBeam(wanted.beam, fusion=_fusion(fitted, wanted))
    listener = Listener(
        _transcriber(fitted),
        fitted.symbols.normal,
        search,
        rate=wanted.rate,
        sample_rate=options.sample_rate,
        num_mels=options.num_mels,
    )
    shown = 0
    for piece in pcm_pieces(source):
        listener.accept(piece)
        words = pieces.decode(search.stable()).split(" ")[:-1]  # the last may go on
        if len(words) > shown:
            shown = len(words)
            yield f"[dim]{listener.seconds:7.2f} s  {escape(_tail(words))}[/]"
    listener.finish()
    yield escape(pieces.decode(search.best()))


def _tail(words: Sequence[str], count: int = 12) -> str:
    """The last words: a line does not grow for ever."""
    return " ".join(words) if len(words) <= count else "... " + " ".join(words[-count:])


def save(predictions: Sequence[Transcript], wanted: PredictOptions) -> list[Path]:
    """The picture, if one is wanted; of several recordings one each, numbered."""
    if not wanted.png:
        return []
    path = Path(wanted.png)
    paths = []
    for number, each in enumerate(predictions, 1):
        name = path if len(predictions) == 1 else path.with_stem(f"{path.stem}-{number}")
        write_whole(name, draw_spectrogram(each.frames, each.words, Path(each.name).name))
        paths.append(name)
    return paths


def poster_settings(folder: Path) -> Mapping[str, object]:
    """A picture of the sound and its words."""
    return {"png": str(folder / "speech.png")}


def show(prediction: Transcript) -> str:
    """The text; with times, a line for each word."""
    text = f"[bold]{escape(prediction.text)}[/]" if prediction.text else "[dim](nothing)[/]"
    if not prediction.timed:
        return text
    lines = [f"{word.start:7.2f} {word.end:7.2f}  {escape(word.text)}" for word in prediction.words]
    return "\n".join([text, *lines])


def record(prediction: Transcript) -> dict[str, Any]:
    """The text and its words as a JSON object."""
    return {
        "audio": prediction.name,
        "text": prediction.text,
        "seconds": round(prediction.seconds, 3),
        "words": [asdict(word) for word in prediction.words],
    }
