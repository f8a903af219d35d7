"""Speech recognition: transcribes recordings.  Many to many, unaligned.

A recurrent network reads the audio; CTC, or a transducer, finds its characters without aligned
training data.
A unidirectional network also transcribes live (``streaming.py``).  An n-gram language model can
be added to the search (``language_model.py``).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO

import elman.shipped
from elman.tasks.speech.options import SpeechOptions, TranscribeOptions
from elman.tasks.task import TEXT_CUTS, Fitted, Task, Vocab
from elman.training import LoopOptions

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from elman.data import DataReport
    from elman.data.faults import Row
    from elman.graph import Cell
    from elman.tasks.speech.answers import Transcript
    from elman.tasks.speech.data import Utterance
    from elman.tasks.speech.symbols import SpeechSymbols
    from elman.training.baselines import Baseline


class SpeechRecognition(
    Task["Utterance", "SpeechSymbols", "Transcript", Any, SpeechOptions, TranscribeOptions]
):
    """Transcribes recordings."""

    name = "speech"
    title = "speech recognition: recordings to text"
    metric = "wer"
    pipeline_tag = "automatic-speech-recognition"
    higher_is_better = False
    training = LoopOptions(
        batch_size=16,
        epochs=60,
        learning_rate=1e-3,
        warmup_steps=100,
        plateau_patience=3,
        patience=12,
        average_weights=0.998,
        buffer_examples=1024,
    )
    Options = SpeechOptions
    PredictOptions = TranscribeOptions
    independent = True
    train_file = "train.jsonl"
    valid_file = "valid.jsonl"
    demo = MappingProxyType({"fox.flac": Path(elman.shipped.__file__).parent / "demo" / "fox.flac"})
    input_kind = "file"
    symbol_options = (
        "units",
        "dictionary",
        "subwords",
        "language",
        "language_text",
        "language_order",
        "language_size",
    )
    reads_once = ("dictionary", "language_text")
    streams = True
    live = True
    live_input = "raw audio at `rate` hertz, one channel, encoded as `encoding`"
    live_records = MappingProxyType(
        {
            "words": {"seconds": "number", "final": "string", "provisional": "string"},
            "sentence": {
                "seconds": "number",
                "text": "string",
                "start": "number",
                "end": "number",
                "words": "array",
            },
            "text": {"text": "string"},
        }
    )
    cuts = TEXT_CUTS

    def samples(self) -> Mapping[str, str | bytes]:
        from elman.tasks.speech.samples import tone_samples

        return tone_samples()

    def read(self, path: Path, options: SpeechOptions) -> list[Row[Utterance]]:
        from elman.tasks.speech import reading

        return reading.read(path, options)

    def build_vocab(
        self, examples: Sequence[Utterance], options: SpeechOptions, seed: int
    ) -> Vocab[SpeechSymbols]:
        from elman.tasks.speech import scores, symbols

        scores.scorer()  # a missing package is reported before training, not after the first epoch
        return symbols.build_vocab(examples, options, seed)

    def build(self, options: SpeechOptions, cell: Cell, vocab: Vocab[SpeechSymbols]) -> nn.Module:
        from elman.tasks.speech import model

        return model.build(options, cell, vocab)

    def initial_layers(self, options: SpeechOptions, start: SpeechOptions) -> tuple[str, ...]:
        return ("",) if options.decoder == start.decoder else ("encoder.",)

    def cut(self, examples: Sequence[Utterance], longest: int) -> list[Utterance]:
        from elman.tasks.speech import batches

        return batches.cut(examples, longest)

    def collate(
        self,
        examples: Sequence[Utterance],
        symbols: SpeechSymbols,
        options: SpeechOptions,
        generator: Generator | None = None,
    ) -> dict[str, Tensor]:
        from elman.tasks.speech import batches

        return batches.collate(examples, symbols, options, generator)

    def validate(
        self, fitted: Fitted[SpeechSymbols, SpeechOptions], examples: Sequence[Utterance]
    ) -> dict[str, Any]:
        from elman.tasks.speech import scores

        return scores.validate(fitted, examples)

    def baselines(
        self,
        train: Sequence[Utterance],
        valid: Sequence[Utterance],
        fitted: Fitted[SpeechSymbols, SpeechOptions],
    ) -> Sequence[Baseline]:
        from elman.tasks.speech import baselines

        return baselines.baselines(train, valid)

    def score(
        self,
        fitted: Fitted[SpeechSymbols, SpeechOptions],
        examples: Sequence[Utterance],
        wanted: TranscribeOptions,
    ) -> dict[str, Any]:
        from elman.tasks.speech import scores

        return scores.score(fitted, examples, wanted)

    def predict(
        self,
        fitted: Fitted[SpeechSymbols, SpeechOptions],
        inputs: Sequence[Any],
        wanted: TranscribeOptions,
    ) -> list[Transcript]:
        from elman.tasks.speech import transcription

        return transcription.predict(fitted, inputs, wanted)

    def check(self, path: Path, options: SpeechOptions) -> DataReport:
        from elman.tasks.speech.data import check_recordings
        from elman.tasks.speech.reading import feature_config

        config, ctc = feature_config(options), options.decoder == "ctc"
        return check_recordings(path, config, options.frames_per_step, ctc=ctc)

    def group(self, example: Utterance) -> Hashable:
        return example.fingerprint

    def load_symbols(self, text: str) -> SpeechSymbols:
        from elman.tasks.speech import symbols

        return symbols.load_symbols(text)

    def read_inputs(self, path: Path, options: SpeechOptions) -> list[Any]:
        from elman.tasks.speech import reading

        return reading.read_inputs(path, options)

    def as_input(self, value: Any) -> Any:
        from elman.tasks.speech import reading

        return reading.as_input(value)

    def stream(
        self,
        fitted: Fitted[SpeechSymbols, SpeechOptions],
        source: BinaryIO,
        wanted: TranscribeOptions,
    ) -> Iterator[str]:
        from elman.tasks.speech import transcription

        return transcription.stream(fitted, source, wanted)

    def stream_records(
        self,
        fitted: Fitted[SpeechSymbols, SpeechOptions],
        pieces: Iterable[bytes],
        wanted: TranscribeOptions,
    ) -> Iterator[dict[str, Any]]:
        from elman.tasks.speech import transcription

        return transcription.stream_records(fitted, pieces, wanted)

    def save(self, answers: Sequence[Transcript], wanted: TranscribeOptions) -> list[Path]:
        from elman.tasks.speech import answers as found

        return found.save(answers, wanted)

    def show(self, answer: Transcript) -> str:
        from elman.tasks.speech import answers

        return answers.show(answer)

    def source(self, answer: Transcript) -> str:
        return answer.name

    def record(self, answer: Transcript) -> dict[str, Any]:
        from elman.tasks.speech import answers

        return answers.record(answer)

    def demo_settings(self, folder: Path) -> Mapping[str, object]:
        return {"png": str(folder / "speech.png")}
