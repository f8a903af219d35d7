"""Series: numbers over time.  Forecasts the next steps, or labels a series or its steps.

Tables are read to series on a grid of time (``reading.py``), and series become tensors
(``features.py``).  An encoder reads the past, and a decoder gives the distribution of each step of
the future (``forecaster.py``, or step by step ``recursive.py``).  ``scores.py`` has the backtest,
``fan.py`` draws forecasts; ``labelling.py`` and ``detection.py`` have the other modes
(``modes.py``).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO

from elman.errors import DataError
from elman.tasks.series.options import ForecastOptions, SeriesOptions
from elman.tasks.task import Fitted, Task, Vocab
from elman.training import LoopOptions
from elman.training.baselines import Metric

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from elman.data import DataReport
    from elman.data.faults import Row
    from elman.graph import Cell
    from elman.tasks.series.answers import Answer
    from elman.tasks.series.series import Window
    from elman.tasks.series.symbols import SeriesSymbols
    from elman.training.baselines import Baseline


class SeriesModelling(
    Task["Window", "SeriesSymbols", "Answer", Path, SeriesOptions, ForecastOptions]
):
    """Forecasts, classifies and labels series of numbers, and finds what does not fit."""

    name = "series"
    title = "series: forecasts, classes and anomalies of numbers over time"
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
    independent = True
    side_inputs = frozenset({"m", "d"})
    train_file = "train.csv"
    valid_file = "valid.csv"
    symbol_options = (
        "mode",
        "known_columns",
        "past_columns",
        "static_columns",
        "season",
        "calendar",
        "transform",
        "patch",
    )
    demo = MappingProxyType({"visitors of two museums": Path("valid.csv")})
    input_kind = "file"
    reads_whole = (".parquet",)
    label_layers = ("output.",)
    streams = True
    live = True
    live_input = "rows of CSV, the header first, cut anywhere"
    live_records = MappingProxyType(
        {
            "forecast": {
                "values": "integer",
                "series": "string",
                "times": "array",
                "forecast": "object",
                "quantiles": "object",
            },
            "classify": {
                "values": "integer",
                "series": "string",
                "label?": "string",
                "probability?": "number",
                "probabilities?": "object",
            },
            "regress": {"values": "integer", "series": "string", "value?": "number"},
            "label": {"values": "integer", "series": "string", "spans?": "array"},
            "anomaly": {
                "values": "integer",
                "series": "string",
                "spans?": "array",
                "threshold?": "number",
                "scores?": "array",
            },
        }
    )

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

        if data.splits_by_time(rows):
            return data.hold_out(rows, fold, folds)
        return super().hold_out(rows, fold, folds)

    def held_out(self, options: SeriesOptions) -> str:
        if options.mode in ("forecast", "anomaly"):
            return "the last tenth of each series"
        return super().held_out(options)

    def check_labels(self, rows: Sequence[Row[Window]], symbols: SeriesSymbols) -> None:
        from elman.tasks.series import data

        data.check_labels(rows, symbols)

    def merge_symbols(self, known: SeriesSymbols, found: SeriesSymbols) -> SeriesSymbols:
        new = set(found.labels) - set(known.labels)
        return replace(known, labels=found.labels) if new else known

    def training_for(self, options: SeriesOptions) -> LoopOptions:
        if not options.gives_one:
            return self.training
        # a few series validate: a plateau of their accuracy is chance, and would end the learning
        return replace(self.training, schedule="constant", epochs=100, patience=50)

    def metric_for(self, options: SeriesOptions) -> Metric:
        return {
            "forecast": Metric("mase", higher_is_better=False, unit=""),
            "regress": Metric("rmse", higher_is_better=False, unit=""),
            "anomaly": Metric("loss", higher_is_better=False, unit=""),
        }.get(options.mode, Metric("accuracy"))

    def metric_on(
        self, fitted: Fitted[SeriesSymbols, SeriesOptions], valid: Sequence[Window]
    ) -> Metric:
        if fitted.options.mode == "forecast":
            from elman.tasks.series import scores

            windows = scores.windows_of(valid, fitted.options.steps_read)
            if not scores.has_mase(windows, fitted.symbols.season):
                return Metric("mae", higher_is_better=False, unit="")
        return self.metric_for(fitted.options)

    def calibrates(self, options: SeriesOptions) -> bool:
        return options.mode in ("classify", "label")

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

    def cut(self, examples: Sequence[Window], longest: int | str) -> list[Window]:
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
        from elman.tasks.series.modes import mode_of

        return mode_of(fitted.options).baselines(train, valid, fitted)

    def score(
        self,
        fitted: Fitted[SeriesSymbols, SeriesOptions],
        examples: Sequence[Window],
        wanted: ForecastOptions,
    ) -> dict[str, Any]:
        from elman.tasks.series.modes import mode_of

        return mode_of(fitted.options).score(fitted, examples, wanted)

    def finish(
        self, fitted: Fitted[SeriesSymbols, SeriesOptions], examples: Sequence[Window]
    ) -> bool:
        from elman.tasks.series.modes import mode_of

        return mode_of(fitted.options).finish(fitted, examples)

    def predict(
        self,
        fitted: Fitted[SeriesSymbols, SeriesOptions],
        inputs: Sequence[Path],
        wanted: ForecastOptions,
    ) -> list[Answer]:
        from elman.tasks.series.modes import mode_of

        return [*mode_of(fitted.options).predict(fitted, inputs, wanted)]

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
        from elman.tasks.series import streaming

        return streaming.stream(fitted, source, wanted)

    def stream_records(
        self,
        fitted: Fitted[SeriesSymbols, SeriesOptions],
        pieces: Iterable[bytes],
        wanted: ForecastOptions,
    ) -> Iterator[dict[str, Any]]:
        from elman.tasks.series import streaming

        return streaming.stream_records(fitted, pieces, wanted)

    def save(self, answers: Sequence[Answer], wanted: ForecastOptions) -> list[Path]:
        from elman.tasks.series import output

        return output.save(answers, wanted)

    def show(self, answer: Answer) -> str:
        from elman.tasks.series import output

        return output.show(answer)

    def source(self, answer: Answer) -> str:
        return answer.file

    def record(self, answer: Answer) -> dict[str, Any]:
        from elman.tasks.series import output

        return output.record(answer)
