"""What a model of series learns before training: columns, scales, categories, the season.

All statistics are those of the training data.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import DataError
from elman.saved import different, of_kind, parse_json, sentences
from elman.tasks.series.options import SeriesOptions
from elman.tasks.series.series import Covariate, Series
from elman.tasks.series.times import Floats, Step, in_steps

#: more categories than this are no categories
_MOST = 100


@dataclass(frozen=True)
class Scale:
    """A mean and a standard deviation.

    >>> Scale.of(np.array([1.0, 3.0, np.nan]))
    Scale(mean=2.0, std=1.0)
    """

    mean: float
    std: float

    @classmethod
    def of(cls, values: Floats) -> Scale:
        there = values[np.isfinite(values)]
        if not len(there):
            return cls(0.0, 1.0)
        std = float(there.std())
        mean = float(there.mean())
        return cls(mean, std if std > 1e-9 * max(1.0, abs(mean)) else 1.0)

    @classmethod
    def from_json(cls, record: Any) -> Scale:
        mean, std = [float(of_kind(record, name, float)) for name in ("mean", "std")]
        if not (math.isfinite(mean) and math.isfinite(std) and std > 0):
            raise ValueError("a scale that is not finite")
        return cls(mean, std)


@dataclass(frozen=True)
class Encoding:
    """How a covariate becomes numbers: scaled, or one-hot by ``categories``."""

    scale: Scale | None
    categories: tuple[str, ...] = ()
    #: whether the training data lack some values, so that the model knows what that is like
    missing: bool = True

    @property
    def size(self) -> int:
        """The number of features, with one for what is missing."""
        return 2 if self.scale is not None else len(self.categories) + 1

    def encode(self, column: Covariate, name: str, whose: str) -> Floats:
        """(time, size): the features; ``DataError`` where the column has another kind."""
        if (self.scale is None) != (column.dtype == object):
            if self.scale is not None:
                raise DataError(
                    f'{whose}: the column "{name}" has text, but numbers in the training data; '
                    "correct it."
                )
            column = _as_names(column)
        if self.scale is not None:
            there = np.isfinite(column.astype(np.float64))
            scaled = np.where(there, (column - self.scale.mean) / self.scale.std, 0.0)
            return np.stack([scaled.astype(np.float64), (~there).astype(np.float64)], 1)
        found = np.zeros((len(column), self.size))
        index = {category: k for k, category in enumerate(self.categories)}
        for row, value in enumerate(column):
            found[row, index.get(value, len(self.categories))] = 1.0
        return found

    def unknown(self, column: Covariate) -> list[str]:
        """The texts that are none of the categories."""
        if self.scale is not None:
            return []
        known = {"", *self.categories}
        return [*dict.fromkeys([each for each in _as_names(column) if each not in known])]

    def refuse_unknown(self, column: Covariate, name: str, whose: str) -> list[str]:
        """Raise ``DataError`` for a text that is no category, or return those read as missing.

        They are read so only where the training data lack values, too.
        """
        found = self.unknown(column)
        if found and not self.missing:
            raise DataError(
                f'{whose}: the column "{name}" has "{found[0][:40]}", which the training data do '
                f"not have ({', '.join(self.categories[:20])}); correct it, or train a model with "
                "it."
            )
        return found

    @classmethod
    def of(cls, columns: Sequence[Covariate], name: str) -> Encoding:
        gaps = any([bool(lacking(column).any()) for column in columns])
        if all([column.dtype != object for column in columns]):
            return cls(Scale.of(np.concatenate(columns).astype(np.float64)), missing=gaps)
        names: set[str] = set()
        for column in columns:
            names.update([name for name in _as_names(column) if name])
        if len(names) > _MOST:
            raise DataError(
                f'the column "{name}" has {len(names)} different texts; it must hold numbers or at '
                f"most {_MOST} categories."
            )
        return cls(None, tuple(sorted(names)), gaps)

    @classmethod
    def from_json(cls, record: Any) -> Encoding:
        scale = of_kind(record, "scale", dict | None)
        categories = of_kind(record, "categories", list)
        if not all([isinstance(each, str) for each in categories]):
            raise ValueError("a category that is no text")
        missing = record.get("missing", True)  # not saved until 0.1
        if not isinstance(missing, bool):
            raise ValueError(f"a flag {missing!r} that is neither true nor false")
        return cls(None if scale is None else Scale.from_json(scale), tuple(categories), missing)


@dataclass(frozen=True, eq=False)
class SeriesSymbols:
    """The names of the targets with their scales, the covariates' encodings, and the season."""

    targets: dict[str, Scale]
    known: dict[str, Encoding]
    past: dict[str, Encoding]
    static: dict[str, Encoding]
    season: int
    calendar: tuple[str, ...]
    #: whether training series have missing values or lie on no grid
    gaps: bool
    #: the classes, by index
    labels: tuple[str, ...] = ()
    #: the mean and spread of the number to regress on
    response: Scale | None = None
    #: the different steps of the training series; none if one of them lies on no grid
    steps: tuple[Step, ...] = ()
    #: successive steps that are read as one input
    patch: int = 1

    def to_json(self) -> str:
        """Serialises to JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> SeriesSymbols:
        """Loads the output of ``to_json``; ``RunError`` if it is invalid."""
        record = parse_json(text, "symbols.json")
        with sentences("symbols.json"):
            season = of_kind(record, "season", int)
            if not 1 <= season < 2**31:
                raise ValueError(f"a season of {season}")
            calendar = tuple(of_kind(record, "calendar", list))
            if not set(calendar) <= {"day", "week", "year"}:
                raise ValueError("an unknown cycle")
            targets = of_kind(record, "targets", dict)
            if not targets:
                raise ValueError("no targets")
            known, past, static = [
                {
                    name: Encoding.from_json(each)
                    for name, each in of_kind(record, group, dict).items()
                }
                for group in ("known", "past", "static")
            ]
            scales = {name: Scale.from_json(each) for name, each in targets.items()}
            gaps = of_kind(record, "gaps", bool)
            response = of_kind(record, "response", dict | None)
            return cls(
                scales, known, past, static, season, calendar, gaps,
                different(record, "labels"),
                None if response is None else Scale.from_json(response),
                tuple([_step(each) for each in of_kind(record, "steps", list)]),
                _patch(record),
            )  # fmt: skip


def symbols_of(series: Sequence[Series], options: SeriesOptions) -> SeriesSymbols:
    """The symbols of training series; ``DataError`` where their values cannot be modelled."""
    first = series[0]
    for each in series:
        if each.targets != first.targets:
            raise DataError(
                f"{each.file}: the targets are {', '.join(each.targets)}, and in {first.file} "
                f"{', '.join(first.targets)}; give every file the same columns."
            )
    season = season_of(series, options)
    values = np.concatenate([transformed(each, options) for each in series])
    static = {name: [_one(each.static[name]) for each in series] for name in first.static}
    return SeriesSymbols(
        {name: Scale.of(values[:, k]) for k, name in enumerate(first.targets)},
        {n: Encoding.of([each.known[n] for each in series], n) for n in first.known},
        {n: Encoding.of([each.past[n] for each in series], n) for n in first.past},
        {n: Encoding.of(columns, n) for n, columns in static.items()},
        season,
        _calendar(series) if options.calendar else (),
        any([not (each.regular and np.isfinite(each.values).all()) for each in series]),
        _labels(series, options),
        _response(series, options),
        _steps(series),
        options.chosen_patch(float(np.median([len(each) for each in series]))),
    )


def season_of(series: Sequence[Series], options: SeriesOptions) -> int:
    """The steps per season; ``DataError`` if no series is longer than a chosen season, or lag."""
    longest = max(series, key=len)
    if options.forecasts and options.season == "auto":
        _refuse_other_seasons(series)
    season = longest.step.season if options.season == "auto" else options.season
    if options.season == "auto" and season >= len(longest):
        season = 1
    asked = {"season": season} if options.season != "auto" else {}
    if options.forecasts and options.lags != "auto":
        asked["lags"] = max(options.chosen_lags(season), default=0)
    for name, length in asked.items():
        if length >= len(longest) and length > 1:
            raise DataError(
                f"{longest.file}: {name} is {length}, but the longest training series has "
                f"{in_steps(len(longest))}; lower --{name}, or give longer series."
            )
    return season


def _refuse_other_seasons(series: Sequence[Series]) -> None:
    """Raise ``DataError`` if the steps of two series have different usual seasons."""
    gridded = [each for each in series if each.regular and len(each) > 1]
    for each in gridded[1:]:
        if each.step.season != gridded[0].step.season:
            first, other = [f"{one.file} has steps of {one.step}" for one in (gridded[0], each)]
            raise DataError(
                f"{first}, whose season has {in_steps(gridded[0].step.season)}, and {other}, whose "
                f"season has {in_steps(each.step.season)}; train a model for each, or choose one "
                "season with --season."
            )


def _calendar(series: Sequence[Series]) -> tuple[str, ...]:
    """The cycles of all steps."""
    found = {name for each in series for name in each.step.calendar}
    return tuple([name for name in ("day", "week", "year") if name in found])


def _steps(series: Sequence[Series]) -> tuple[Step, ...]:
    if not all([each.regular for each in series]):
        return ()
    return tuple(dict.fromkeys(each.step for each in series if len(each.times) > 1))


def _patch(record: Any) -> int:
    found = record.get("patch", 1)  # not saved until 0.1
    if isinstance(found, bool) or not isinstance(found, int) or not 1 <= found <= 1000:
        raise ValueError(f"a patch of {found!r}")
    return found


def _step(record: Any) -> Step:
    unit, size = of_kind(record, "unit", str), float(of_kind(record, "size", int | float))
    if unit not in ("months", "seconds", "number") or not 0 < size < math.inf:
        raise ValueError("an unknown step")
    return Step(unit, size)


def _labels(series: Sequence[Series], options: SeriesOptions) -> tuple[str, ...]:
    if options.mode not in ("classify", "label"):
        return ()
    if options.mode == "classify":
        found = {each.label for each in series}
    else:
        found = {label for each in series if each.labels is not None for label in each.labels}
    found.discard("")
    if len(found) < 2:
        only = next(iter(found), "")
        raise DataError(
            f'every training example has the label "{only}"; provide at least two labels.'
        )
    return tuple(sorted(found))


def _response(series: Sequence[Series], options: SeriesOptions) -> Scale | None:
    if options.mode != "regress":
        return None
    return Scale.of(np.array([float(each.label) for each in series]))


def lacking(column: Covariate) -> NDArray[np.bool_]:
    """Which values of a column are missing."""
    if column.dtype == object:
        return np.array([each == "" for each in column], bool)
    return np.isnan(column.astype(np.float64))


def _as_names(column: Covariate) -> Covariate:
    if column.dtype == object:
        return column
    return np.array([f"{value:g}" if value == value else "" for value in column], object)


def _one(value: float | str) -> Covariate:
    return np.array([value], object if isinstance(value, str) else np.float64)


def why_not_modelled(value: float, options: SeriesOptions) -> str:
    """Why the options do not go with a value, or "".

    >>> why_not_modelled(0.5, SeriesOptions(likelihood="negative_binomial"))
    'the value 0.5 is no integer, but likelihood negative_binomial is for counts; choose another.'
    """
    counts = options.likelihood == "negative_binomial"
    needs = {"transform log": options.transform == "log", "likelihood negative_binomial": counts}
    for what, needed in needs.items():
        if needed and value < 0:
            return (
                f"the value {value:g} is negative, but {what} needs values of at least 0; choose "
                "another."
            )
    if counts and value == value and value != round(value):
        return (
            f"the value {value:g} is no integer, but likelihood negative_binomial is for "
            "counts; choose another."
        )
    return ""


def transformed(series: Series, options: SeriesOptions) -> Floats:
    """(time, target): the values that are modelled; readers ask ``why_not_modelled`` before."""
    return np.log1p(series.values) if options.transform == "log" else series.values


def inverse(values: Floats, options: SeriesOptions) -> Floats:
    """The values before ``transformed``."""
    if options.transform != "log":
        return values
    return np.expm1(np.minimum(values, 600.0))
