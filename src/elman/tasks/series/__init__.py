"""Series: numbers over time.  Forecasts the next steps of a series, with their quantiles.

Tables are read to series on a grid of time (``reading.py``), and series become tensors
(``features.py``).  An encoder reads the past, and a decoder gives the distribution of each step of
the future (``model.py``).  ``scores.py`` has the backtest, ``fan.py`` draws forecasts.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO

from elman.errors import DataError
from elman.tasks.series.options import ForecastOptions, SeriesOptions
from elman.tasks.task import Fitted, Task, Vocab
from elman.training import LoopOptions

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from elman.data import DataReport
    from elman.data.faults import Row
    from elman.graph import Cell
    from elman.tasks.series.forecast import Continuation
    from elman.tasks.series.series import Window
    from elman.tasks.series.symbols import SeriesSymbols
    from elman.training.baselines import Baseline


class SeriesModelling(
    Task["Window", "SeriesSymbols", "Continuation", Path, SeriesOptions, ForecastOptions]
):
    """Forecasts series of numbers."""

    name = "series"
    title = "series: forecasts of numbers over time"
    metric = "mase"
    higher_is_better = False
    unit = ""
    pipeline_tag = "time-series-forecasting"
    training = LoopOptions(
        batch_size=32,
        epochs=60,
        learning_rate=3e-3,
        weight_decay=0.01,
        clip_norm=1.0,
        patience=12,
        plateau_patience=3,
    )
    Options = SeriesOptions
    PredictOptions = ForecastOptions
    train_file = "train.csv"
    valid_file = "valid.csv"
    demo = MappingProxyType({"visitors of two museums": Path("valid.csv")})
    input_kind = "file"
    streams = True
    live = True

    def samples(self) -> Mapping[str, str | bytes]:
        from elman.tasks.series.samples import TRAIN, VALID

        return {self.train_file: TRAIN, self.valid_file: VALID}

    def read(self, path: Path, options: SeriesOptions) -> list[Row[Window]]:
        from elman.tasks.series import data

        return data.read(path, options)

    def hold_out(
        self, rows: Sequence[Row[Window]], fold: int, folds: int
    ) -> tuple[list[Row[Window]], list[Row[Window]]]:
        from elman.tasks.series import data

        return data.hold_out(rows, fold, folds)

    def build_vocab(
        self, examples: Sequence[Window], options: SeriesOptions, seed: int
    ) -> Vocab[SeriesSymbols]:
        from elman.tasks.series import data

        return data.build_vocab(examples, options, seed)

    def load_symbols(self, text: str) -> SeriesSymbols:
        from elman.tasks.series.symbols import SeriesSymbols

        return SeriesSymbols.from_json(text)

    def build(self, options: SeriesOptions, cell: Cell, vocab: Vocab[SeriesSymbols]) -> nn.Module:
        import elman.tasks.series.exported  # noqa: F401 - says how its model is exported
        from elman.tasks.series import model

        return model.build(options, cell, vocab.symbols)

    def cut(self, examples: Sequence[Window], longest: int) -> list[Window]:
        from elman.tasks.series import data

        return data.cut(examples, longest)

    def length(self, example: Window) -> int:
        return example.end

    def collate(
        self,
        examples: Sequence[Window],
        symbols: SeriesSymbols,
        options: SeriesOptions,
        generator: Generator | None = None,
    ) -> dict[str, Tensor]:
        from elman.tasks.series import data

        return data.collate(examples, symbols, options, generator)

    def baselines(
        self,
        train: Sequence[Window],
        valid: Sequence[Window],
        fitted: Fitted[SeriesSymbols, SeriesOptions],
    ) -> Sequence[Baseline]:
        from elman.tasks.series import baselines

        return baselines.baselines(train, valid, fitted)

    def score(
        self,
        fitted: Fitted[SeriesSymbols, SeriesOptions],
        examples: Sequence[Window],
        wanted: ForecastOptions,
    ) -> dict[str, Any]:
        from elman.tasks.series import scores

        return scores.score(fitted, examples, wanted)

    def predict(
        self,
        fitted: Fitted[SeriesSymbols, SeriesOptions],
        inputs: Sequence[Path],
        wanted: ForecastOptions,
    ) -> list[Continuation]:
        from elman.tasks.series import forecasting

        return forecasting.predict(fitted, inputs, wanted)

    def check(self, path: Path, options: SeriesOptions) -> DataReport:
        from elman.tasks.series.report import check_series

        return check_series(path, options)

    def group(self, example: Window) -> Hashable:
        return example.series.digest

    def read_inputs(self, path: Path, options: SeriesOptions) -> list[Path]:
        from elman.data.folders import files_below
        from elman.data.sources import is_folder

        if not is_folder(path):
            return [path]
        files = files_below(path)
        if not files:
            raise DataError(f"{path}: there are no files in this folder; it must hold tables.")
        return files

    def as_input(self, value: str | Path) -> Path:
        return Path(value)

    def stream(
        self,
        fitted: Fitted[SeriesSymbols, SeriesOptions],
        source: BinaryIO,
        wanted: ForecastOptions,
    ) -> Iterator[str]:
        from elman.tasks.series import forecasting

        return forecasting.stream(fitted, source, wanted)

    def stream_records(
        self,
        fitted: Fitted[SeriesSymbols, SeriesOptions],
        pieces: Iterable[bytes],
        wanted: ForecastOptions,
    ) -> Iterator[dict[str, Any]]:
        from elman.tasks.series import forecasting

        return forecasting.stream_records(fitted, pieces, wanted)

    def save(self, answers: Sequence[Continuation], wanted: ForecastOptions) -> list[Path]:
        from elman.tasks.series import answers as found

        return found.save(answers, wanted)

    def show(self, answer: Continuation) -> str:
        from elman.tasks.series import answers

        return answers.show(answer)

    def source(self, answer: Continuation) -> str:
        return answer.file

    def record(self, answer: Continuation) -> dict[str, Any]:
        from elman.tasks.series import answers

        return answers.record(answer)
