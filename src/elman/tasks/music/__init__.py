"""Music generation: composes a tune, from nothing or from a primer.  One to many.

There are two models.  Frames: the pitches at each step of a time grid, as a set, predicted in order
or independently (Boulanger-Lewandowski et al. 2012), or as those of several voices.  Events: the
start and end of each note with a resolution of 10 ms (Oore et al. 2018).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from elman.tasks.music.options import ComposeOptions, MusicOptions
from elman.tasks.small_data import SmallData
from elman.tasks.task import Fitted, Task, Vocab
from elman.training import LoopOptions

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from elman.data import DataReport
    from elman.data.faults import Row
    from elman.graph import Cell
    from elman.tasks.music.answers import Music
    from elman.tasks.music.data import MusicSymbols, Tune
    from elman.tasks.music.notes import Piece
    from elman.training.baselines import Baseline


class MusicGeneration(
    Task["Tune", "MusicSymbols", "Music", "Piece | None", MusicOptions, ComposeOptions]
):
    """Composes tunes, from nothing or from a primer."""

    name = "music"
    title = "music generation: tunes from nothing or from a primer"
    metric = "nll"
    higher_is_better = False
    unit = "nats a step"
    training = LoopOptions(
        batch_size=16,
        epochs=400,
        learning_rate=3e-3,
        weight_decay=0.2,
        patience=40,
        plateau_patience=7,
        average_weights=0.99,
    )
    # short windows give more steps of training in each pass over few tunes, and less dropout makes
    # each of them count for more
    small_data = MappingProxyType(
        {
            "longest": SmallData(96, most=100_000, large=1_000_000, unit="steps"),
            "dropout": SmallData(0.3, most=100_000, large=1_000_000, unit="steps"),
            "choice_dropout": SmallData(0.2, most=100_000, large=1_000_000, unit="steps"),
            "choice_size": SmallData(128, most=100_000, large=1_000_000, unit="steps"),
        }
    )
    Options = MusicOptions
    PredictOptions = ComposeOptions
    train_file = "train.json"
    valid_file = "valid.json"
    demo = MappingProxyType({"∅": None})
    input_kind = "nothing"
    live = True
    live_input = "a MIDI file to continue, or a part of one; nothing for a new tune"
    live_records = MappingProxyType(
        {
            "on": {
                "seconds": "number",
                "pitch": "integer",
                "velocity": "integer",
                "voice?": "integer",
            },
            "off": {"seconds": "number", "pitch": "integer", "voice?": "integer"},
            "tune": {
                "key": "string or null",
                "seconds": "number",
                "notes": "array",
                "files": "array",
            },
        }
    )

    def samples(self) -> Mapping[str, str | bytes]:
        from elman.tasks.music.samples import CHORALES_TRAIN, CHORALES_VALID, PRIMER

        return {
            self.train_file: CHORALES_TRAIN,
            self.valid_file: CHORALES_VALID,
            "primer.mid": PRIMER,
        }

    def read(self, path: Path, options: MusicOptions) -> list[Row[Tune]]:
        from elman.tasks.music import data

        return data.read(path, options)

    def build_vocab(
        self, examples: Sequence[Tune], options: MusicOptions, seed: int
    ) -> Vocab[MusicSymbols]:
        from elman.tasks.music import data

        return data.build_vocab(examples, options, seed)

    def build(self, options: MusicOptions, cell: Cell, vocab: Vocab[MusicSymbols]) -> nn.Module:
        from elman.tasks.music import model

        return model.build(options, cell, vocab)

    def cut(self, examples: Sequence[Tune], longest: int) -> list[Tune]:
        from elman.tasks.music import data

        return data.cut(examples, longest)

    def collate(
        self,
        examples: Sequence[Tune],
        symbols: MusicSymbols,
        options: MusicOptions,
        generator: Generator | None = None,
    ) -> dict[str, Tensor]:
        from elman.tasks.music import data

        return data.collate(examples, symbols, options, generator)

    def check_labels(self, rows: Sequence[Row[Tune]], symbols: MusicSymbols) -> None:
        from elman.tasks.music import data

        data.check_voices(rows, symbols)

    def baselines(
        self,
        train: Sequence[Tune],
        valid: Sequence[Tune],
        fitted: Fitted[MusicSymbols, MusicOptions],
    ) -> Sequence[Baseline]:
        from elman.tasks.music import baselines

        return baselines.baselines(train, valid, fitted.options)

    def score(
        self,
        fitted: Fitted[MusicSymbols, MusicOptions],
        examples: Sequence[Tune],
        wanted: ComposeOptions,
    ) -> dict[str, Any]:
        from elman.tasks.music import scores

        return scores.score(fitted, examples, wanted)

    def predict(
        self,
        fitted: Fitted[MusicSymbols, MusicOptions],
        inputs: Sequence[Piece | None],
        wanted: ComposeOptions,
    ) -> list[Music]:
        from elman.tasks.music import composition

        return composition.predict(fitted, inputs, wanted)

    def check(self, path: Path, options: MusicOptions) -> DataReport:
        from elman.tasks.music.report import check_music

        voices = options.by_voices
        return check_music(path, grid=options.grid, tempo=options.tempo, voices=voices)

    def part(self, example: Tune) -> str | None:
        return example.part

    def group(self, example: Tune) -> Hashable:
        return example.steps

    def load_symbols(self, text: str) -> MusicSymbols:
        from elman.tasks.music import data

        return data.load_symbols(text)

    def read_inputs(self, path: Path, options: MusicOptions) -> list[Piece | None]:
        from elman.tasks.music import data

        return [*data.read_inputs(path, options)]

    def as_input(self, value: Piece | str | Path | None) -> Piece | None:
        from elman.tasks.music import data

        return data.as_input(value)

    def stream_records(
        self,
        fitted: Fitted[MusicSymbols, MusicOptions],
        pieces: Iterable[bytes],
        wanted: ComposeOptions,
    ) -> Iterator[dict[str, Any]]:
        from elman.tasks.music import live

        return live.stream_records(fitted, pieces, wanted)

    def save(self, answers: Sequence[Music], wanted: ComposeOptions) -> list[Path]:
        from elman.tasks.music import answers as found

        return found.save(answers, wanted)

    def show(self, answer: Music) -> str:
        from elman.tasks.music import answers

        return answers.show(answer)

    def record(self, answer: Music) -> dict[str, Any]:
        from elman.tasks.music import answers

        return answers.record(answer)

    def demo_settings(self, folder: Path) -> Mapping[str, object]:
        return {
            "out": str(folder / "tune.mid"),
            "wav": str(folder / "tune.wav"),
            "png": str(folder / "tune.png"),
        }
