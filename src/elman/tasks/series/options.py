"""The options of series: numbers over time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from elman.errors import OptionError
from elman.options import DeclaredOptions, option
from elman.tasks.recurrent_options import BidirectionalOptions

#: bounds memory: a forecast is computed for all its steps at once
MOST_STEPS = 10_000
#: steps that the model reads, before a forecast and of a series that it reads as a whole
_PAST, _WHOLE = 64, 2000
#: inputs that successive steps of a long series are joined to
_INPUTS = 32


@dataclass(frozen=True)
class SeriesOptions(BidirectionalOptions):
    """The options of series.

    Columns are named as in the file, several separated by commas.
    """

    mode: Literal["forecast", "classify", "regress", "label", "anomaly"] = option(
        "forecast",
        "what a series becomes: its next steps, a class, a number, a class for each step, or the "
        "stretches that do not fit",
        reads_data=True,
    )
    horizon: int = option(12, "steps to forecast", minimum=1, maximum=MOST_STEPS, reads_data=True)
    longest: int | Literal["auto"] = option(
        "auto",
        f"maximum number of steps that the model reads; auto: {_PAST} before a forecast, otherwise "
        f"{_WHOLE}",
        minimum=1,
        maximum=1_000_000,
    )
    stride: int = option(
        1, "steps between the starts of training windows", minimum=1, reads_data=True
    )
    layout: Literal["long", "wide"] = option(
        "long",
        "long: the rows of a group are one series, with a value per target column; wide: each "
        "target column is a series of its own",
        reads_data=True,
    )
    time_column: str = option(
        "",
        "name of the time column; default: time, date, datetime, timestamp or ds",
        reads_data=True,
    )
    time_format: str = option(
        "",
        "format of the times, as for strptime (%d.%m.%Y); default: ISO 8601, or numbers",
        reads_data=True,
    )
    time_zone: str = option(
        "",
        "zone of times without an offset, such as Europe/Berlin; answers have its times, too",
        reads_data=True,
    )
    target_columns: str = option(
        "",
        "names of the columns to forecast; default: value, target or y, or else all columns of "
        "numbers without another role",
        reads_data=True,
    )
    group_column: str = option(
        "",
        "name of the column that tells several series apart; default: group, series or unique_id",
        reads_data=True,
    )
    label_column: str = option(
        "label", "name of the column of labels, or of numbers to regress on", reads_data=True
    )
    known_columns: str = option(
        "", "names of columns whose future values are known in advance", reads_data=True
    )
    past_columns: str = option(
        "", "names of further columns that are known up to now", reads_data=True
    )
    static_columns: str = option(
        "", "names of columns that are constant in a series", reads_data=True
    )
    season: int | Literal["auto"] = option(
        "auto",
        "steps per season; auto: by the time between steps (hours 24, days 7, weeks 52, months 12, "
        "quarters 4), otherwise, and of series that are no longer than that, 1",
        minimum=1,
        maximum=MOST_STEPS,
        reads_data=True,
    )
    lags: int | str = option(
        "auto",
        "also read the values this many steps ago, one number or several (1 7 14); auto: the "
        "season; 0: none",
        reads_data=True,
    )
    calendar: bool = option(
        True, "read the time of the day, of the week and of the year, as sines and cosines"
    )
    transform: Literal["none", "log"] = option(
        "none",
        "model the values, or log(1 + value) of values of at least 0",
        reads_data=True,
    )
    scaling: Literal["auto", "window", "training", "none"] = option(
        "auto",
        "subtract the mean and divide by the standard deviation: of the values that the model "
        "reads (window), of the training data, or none; auto: window to forecast, else training",
    )
    anchor: Literal["season", "last", "none"] = option(
        "season",
        "forecast the difference to the value one season ago, to the last value, or the value",
    )
    strategy: Literal["direct", "recursive"] = option(
        "direct",
        "forecast all steps at once (direct), or each step from the one before it, by sample paths "
        "(recursive)",
    )
    lowest: float | None = option(
        None, "forecasts are raised to at least this, such as 0 for counts; none: no bound"
    )
    likelihood: Literal["quantiles", "gaussian", "student_t", "negative_binomial"] = option(
        "quantiles",
        "quantiles by the pinball loss, or the parameters of a distribution; negative_binomial is "
        "for counts",
        reads_data=True,
    )
    quantiles: float | str = option(
        "0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9",
        "probabilities of the quantiles that are forecast, between 0 and 1; the median is always",
    )
    anomaly_by: Literal["forecast", "reconstruction"] = option(
        "forecast",
        "a step does not fit if it is far from its forecast, or from its reconstruction",
    )
    threshold: float = option(
        0.995,
        "fraction of the validation steps that are no anomaly; sets the threshold of the score",
        above=0,
        below=1,
    )
    bidirectional: bool = option(
        False, "also read backwards (classify, regress, label); such a model cannot stream"
    )
    pooling: Literal["last", "mean", "max", "attention"] = option(
        "mean", "how the outputs of all steps become one (classify, regress)"
    )
    patch: int | Literal["auto"] = option(
        "auto",
        "successive steps that are read as one input (classify, regress); auto: 1 for series of up "
        f"to {2 * _INPUTS - 1} steps, otherwise so many that the median series has about {_INPUTS} "
        "inputs",
        minimum=1,
        maximum=1000,
    )
    cell: str = option("gru", "a cell from the catalogue, or FILE.py:NAME for your own cell")
    hidden_size: int = option(48, "hidden units per layer", minimum=1)
    num_layers: int = option(1, "number of stacked recurrent layers", minimum=1)
    dropout: float = option(
        0.0, "dropout rate between and after the recurrent layers", minimum=0, below=1
    )

    def __post_init__(self) -> None:
        """Also rejects probabilities and lags that cannot be."""
        super().__post_init__()
        if not isinstance(self.quantiles, str):
            self.levels  # noqa: B018 - raises
        if not isinstance(self.lags, str):
            self.chosen_lags(1)

    @property
    def forecasts(self) -> bool:
        """Whether the model forecasts or reconstructs values."""
        return self.mode in ("forecast", "anomaly")

    @property
    def gives_one(self) -> bool:
        """Whether a series becomes one class or number."""
        return self.mode in ("classify", "regress")

    def chosen_patch(self, steps: float) -> int:
        """The steps that are read as one input, of series with this median length.

        >>> SeriesOptions(mode="classify").chosen_patch(251), SeriesOptions().chosen_patch(251)
        (8, 1)
        """
        if not self.gives_one:
            return 1
        if self.patch != "auto":
            return self.patch
        most = min(steps, self.steps_read)
        return round(most / _INPUTS) if most >= 2 * _INPUTS else 1

    @property
    def recursive(self) -> bool:
        """Whether each step of a forecast reads the one before it."""
        return self.strategy == "recursive"

    @property
    def ahead(self) -> int:
        """The steps of a window that are forecast, or reconstructed; 0 where none are."""
        if self.mode == "anomaly" and self.anomaly_by == "forecast":
            return 1
        return self.horizon if self.forecasts else 0

    @property
    def reconstructs(self) -> bool:
        """Whether the model gives back what it reads."""
        return self.mode == "anomaly" and self.anomaly_by == "reconstruction"

    @property
    def steps_read(self) -> int:
        """The most steps that the model reads."""
        return steps_read(self.longest, self.forecasts)

    @property
    def scale(self) -> str:
        """The scaling that is used."""
        if self.scaling == "auto":
            return "window" if self.forecasts else "training"
        return self.scaling

    @property
    def levels(self) -> tuple[float, ...]:
        """The probabilities of the quantiles, in order, the median among them.

        >>> SeriesOptions(quantiles="0.9 0.1").levels
        (0.1, 0.5, 0.9)
        """
        found = {0.5}
        for word in str(self.quantiles).replace(",", " ").split():
            try:
                level = float(word)
            except ValueError:
                level = math.nan
            if not 0 < level < 1:
                raise OptionError(
                    f"quantiles is {self.quantiles!r}; it must be probabilities between 0 and 1, "
                    "such as 0.1 0.5 0.9."
                )
            found.add(level)
        return tuple(sorted(found))

    def chosen_lags(self, season: int) -> tuple[int, ...]:
        """The lags in steps, without the previous value, which the model reads anyway.

        >>> SeriesOptions().chosen_lags(7), SeriesOptions(lags="1 14").chosen_lags(7)
        ((7,), (1, 14))
        """
        if self.lags == "auto":
            return (season,) if season > 1 else ()
        found = []
        for word in str(self.lags).replace(",", " ").split():
            if not word.isascii() or not word.isdigit() or int(word) > MOST_STEPS:
                raise OptionError(
                    f"lags is {self.lags!r}; it must be auto, or integers from 0 to {MOST_STEPS}."
                )
            if int(word):
                found.append(int(word))
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True)
class ForecastOptions(DeclaredOptions):
    """The options of prediction and evaluation."""

    origins: int = option(
        0,
        "score forecasts from this many points of time at the end of each series, a horizon apart; "
        "0: all that leave enough past",
        minimum=0,
    )
    paths: int = option(
        200,
        "number of sample paths of a recursive forecast",
        minimum=1,
        maximum=100_000,
        request_maximum=1000,
    )
    feedback: Literal["sample", "median"] = option(
        "sample",
        "what the next step of a recursive forecast reads: samples, or the median, whose quantiles "
        "are those of each step alone",
        request_choices=("sample", "median"),
    )
    seed: int = option(0, "random seed of the sample paths", minimum=0)
    png: str = option(
        "", "draw the values and the forecast quantiles to this PNG file", scored=False
    )
    csv: str = option("", "write the forecast quantiles to this CSV file", scored=False)


def steps_read(longest: int | str, forecasts: bool) -> int:
    """The number that the option ``longest`` stands for."""
    if isinstance(longest, int):
        return longest
    return _PAST if forecasts else _WHOLE


def columns(text: str) -> tuple[str, ...]:
    """The names in an option, separated by commas.

    >>> columns("price, promotion")
    ('price', 'promotion')
    """
    return tuple([name.strip() for name in text.split(",") if name.strip()])
