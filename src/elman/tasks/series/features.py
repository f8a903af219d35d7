"""Tensors of series: what the model reads of the past, what it knows of the future.

A step of the past has, for each target, the scaled value and whether it is there, then the lagged
values, then what is known of the step: calendar, covariates, static columns.  A step of the future
has the values of each target at the same place in the last seasons, its distance, and what is known
in advance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from torch import Tensor

from elman.errors import DataError
from elman.tasks.series.options import SeriesOptions
from elman.tasks.series.series import Covariate, Series, Window
from elman.tasks.series.symbols import Encoding, SeriesSymbols, transformed
from elman.tasks.series.times import Floats, cycles

#: the least standard deviation of a window, as a fraction of that of the training data
_FLOOR = 0.01
#: values of the same place in earlier seasons that a step of the future reads
_SAME_PLACE = 3


@dataclass(frozen=True)
class Prepared:
    """The values and features of all steps of a series."""

    values: Floats
    #: the same, with those of earlier seasons where one is missing
    filled: Floats
    #: (time, feature): what is known of a step at that step
    now: Floats
    #: (time, feature): what is known of a step in advance
    ahead: Floats


_PREPARED: WeakKeyDictionary[Series, tuple[object, Prepared]] = WeakKeyDictionary()


def prepared(series: Series, symbols: SeriesSymbols, options: SeriesOptions) -> Prepared:
    """The features of a series up to a horizon after its end; the last result is kept."""
    key = (symbols, options)
    found = _PREPARED.get(series)
    if found is None or found[0] != key:
        found = key, _prepare(series, symbols, options)
        _PREPARED[series] = found
    return found[1]


def _prepare(series: Series, symbols: SeriesSymbols, options: SeriesOptions) -> Prepared:
    if (len(series.targets)) != len(symbols.targets):
        raise DataError(
            f"{series.file}: the targets are {', '.join(series.targets)}, but those of the model "
            f"are {', '.join(symbols.targets)}; give the file the same columns."
        )
    whose = f'{series.file}, series "{series.name}"' if series.name else series.file
    if options.forecasts:
        _refuse_other_step(series, symbols, whose)
    count = len(series) + options.ahead
    times = series.times_until(count)
    ahead = [cycles(series.clock(count), symbols.calendar)]
    ahead += [
        _encoded(series.known, name, encoding, count, whose)
        for name, encoding in symbols.known.items()
    ]
    for name, encoding in symbols.static.items():
        value = series.static[name]
        one = np.array([value], object if isinstance(value, str) else np.float64)
        ahead.append(np.repeat(encoding.encode(one, name, whose), count, 0))
    now = [
        _encoded(series.past, name, encoding, count, whose)
        for name, encoding in symbols.past.items()
    ]
    values = transformed(series, options)
    if symbols.gaps:
        steps = np.arange(count, dtype=np.float64)
        if not series.regular:
            steps = (times - times[0]) / series.step.size
        now.append(np.log1p(since_last(values, steps)))
    filled = filled_by_season(values, symbols.season)
    return Prepared(values, filled, np.concatenate([*ahead, *now], 1), np.concatenate(ahead, 1))


def _refuse_other_step(series: Series, symbols: SeriesSymbols, whose: str) -> None:
    """Raise ``DataError`` if the steps of a series are not those that the model was trained on."""
    step, known = series.step, symbols.steps
    if not known or not series.regular or len(series.times) < 2:
        return
    # without a calendar, a column of dates or none at all makes no difference
    units = {each.unit == "number" for each in known}
    if (step.unit == "number") not in units and not symbols.calendar:
        return
    if not any([step.is_like(each) for each in known]):
        raise DataError(
            f"{whose}: a step is {step}, but the model was trained on steps of "
            f"{' or '.join([str(each) for each in known])}; give a row for each such step, whose "
            "value may be empty, or train a model on such series."
        )


def since_last(values: Floats, steps: Floats) -> Floats:
    """(time, target): the time since the last value before each step, as GRU-D reads it.

    ``steps`` are the times, which may go on beyond the values (Che et al. 2018).

    >>> values = np.array([[1.0], [np.nan], [3.0]])
    >>> since_last(values, np.array([0.0, 1.0, 3.0, 4.0])).ravel().tolist()
    [0.0, 1.0, 3.0, 1.0]
    """
    found = np.zeros((len(steps), values.shape[1]))
    last = np.repeat(steps[:1], values.shape[1])
    for k, now in enumerate(steps):
        found[k] = np.maximum(now - last, 0.0)
        if k < len(values):
            last = np.where(np.isfinite(values[k]), now, last)
    return found


def _encoded(
    group: dict[str, Covariate], name: str, encoding: Encoding, count: int, whose: str
) -> Floats:
    """The features of a column, those of missing values where it ends."""
    column = group[name][:count]
    missing = "" if column.dtype == object else np.nan
    if len(column) < count:
        fill = np.full(count - len(column), missing, column.dtype)
        column = np.concatenate([column, fill])
    return encoding.encode(column, name, whose)


def input_sizes(symbols: SeriesSymbols, options: SeriesOptions) -> tuple[int, int]:
    """The number of features of a step of the past, and of one of the future."""
    targets = len(symbols.targets)
    known = 2 * len(symbols.calendar)
    known += sum([each.size for each in (*symbols.known.values(), *symbols.static.values())])
    past = sum([each.size for each in symbols.past.values()]) + targets * symbols.gaps
    lags = len(_lags(symbols, options))
    read = (targets * (2 + lags) + known + past) * symbols.patch
    return read, targets * _SAME_PLACE + 1 + known


@dataclass(frozen=True)
class Batch:
    """Windows as tensors, time first."""

    x: Float[Tensor, "time batch feature"]
    lengths: Int64[Tensor, " batch"]
    future: Float[Tensor, "horizon batch feature"]
    anchor: Float[Tensor, "horizon batch target"]
    mean: Float[Tensor, "batch target"]
    std: Float[Tensor, "batch target"]
    #: the transformed values, NaN where there is none
    target: Float[Tensor, "horizon batch target"]


def batch_of(windows: Sequence[Window], symbols: SeriesSymbols, options: SeriesOptions) -> Batch:
    """The windows with at most ``longest`` steps of past each."""
    parts = [_window(window, symbols, options) for window in windows]
    longest = max([len(part[0]) for part in parts])
    x = np.zeros((longest, len(parts), parts[0][0].shape[1]), np.float32)
    for k, part in enumerate(parts):
        x[: len(part[0]), k] = part[0]
    rest = [
        torch.from_numpy(np.stack(column, axis).astype(np.float32))
        for column, axis in zip(list(zip(*parts, strict=True))[1:], (1, 1, 0, 0, 1), strict=True)
    ]
    lengths = torch.tensor([-(-len(part[0]) // symbols.patch) for part in parts])
    return Batch(torch.from_numpy(joined(x, symbols.patch)), lengths, *rest)


def joined(x: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """(time / count, batch, count * feature): successive steps as one, the last filled with zeros.

    >>> joined(np.arange(6, dtype=np.float32).reshape(3, 1, 2), 2).tolist()
    [[[0.0, 1.0, 2.0, 3.0]], [[4.0, 5.0, 0.0, 0.0]]]
    """
    if count == 1:
        return x
    filled = np.pad(x, ((0, -len(x) % count), (0, 0), (0, 0)))
    parts = filled.reshape(-1, count, *x.shape[1:]).swapaxes(1, 2)
    return np.ascontiguousarray(parts.reshape(len(parts), x.shape[1], -1))


def _window(window: Window, symbols: SeriesSymbols, options: SeriesOptions) -> tuple[Floats, ...]:
    """The past, the future, the anchor, the scale and the target of one window."""
    series, end, horizon = window.series, window.end, window.horizon
    ready = prepared(series, symbols, options)
    known = end  # the steps before it are known
    start = max(0, end - options.steps_read)
    if options.reconstructs:  # the model reads what it gives back
        start, end = end, min(end + horizon, len(ready.values))
    past = ready.values[start:end]
    mean, std = _scale(past, symbols, options)
    scaled = (past - mean) / std
    columns = [np.nan_to_num(scaled), np.isfinite(scaled).astype(np.float64)]
    for lag in _lags(symbols, options):
        lagged = np.full_like(past, np.nan)
        first = max(start, lag)
        if first < end:
            lagged[first - start :] = ready.values[first - lag : end - lag]
        columns.append(np.nan_to_num((lagged - mean) / std))
    columns.append(ready.now[start:end])
    before = [np.zeros((horizon, past.shape[1]))] * _SAME_PLACE
    if not options.reconstructs and horizon:
        before = [
            np.nan_to_num((repeated(ready.filled, known, horizon, symbols.season, k) - mean) / std)
            for k in range(_SAME_PLACE)
        ]
    anchor = before[0]
    if options.anchor == "last" and not options.reconstructs and horizon:
        anchor = np.nan_to_num((repeated(ready.filled, known, horizon, 1) - mean) / std)
    elif options.anchor == "none":
        anchor = np.zeros_like(anchor)
    place = (np.arange(1, horizon + 1) / max(1, horizon))[:, None]
    ahead = np.zeros((horizon, ready.ahead.shape[1]))
    there = ready.ahead[known : known + horizon]
    ahead[: len(there)] = there
    target = np.full((horizon, len(mean)), np.nan)
    there = ready.values[known : known + horizon]
    target[: len(there)] = there
    future = np.concatenate([*before, place, ahead], 1)
    return np.concatenate(columns, 1), future, anchor, mean, std, target


def _lags(symbols: SeriesSymbols, options: SeriesOptions) -> tuple[int, ...]:
    """The lags; a network that reads whole series, or gives them back, has none."""
    return () if options.reconstructs or not options.ahead else options.chosen_lags(symbols.season)


def _scale(past: Floats, symbols: SeriesSymbols, options: SeriesOptions) -> tuple[Floats, Floats]:
    """The mean and standard deviation of each target."""
    known = [*symbols.targets.values()]
    if options.scale == "none":
        return np.zeros(len(known)), np.ones(len(known))
    mean = np.array([each.mean for each in known])
    std = np.array([each.std for each in known])
    if options.scale == "training":
        return mean, std
    for k, column in enumerate(past.T):
        there = column[np.isfinite(column)]
        if len(there):
            mean[k] = there.mean()
            # of one value, or of a constant, the spread is not known
            own = there.std() if len(there) > 1 else 0.0
            std[k] = max(own, _FLOOR * std[k]) if len(there) > 1 else std[k]
    return mean, std


def filled_by_season(values: Floats, season: int) -> Floats:
    """The values, with that of a season before where one is missing, if there is one.

    >>> filled_by_season(np.array([[1.0], [2.0], [np.nan], [4.0]]), 2).ravel().tolist()
    [1.0, 2.0, 1.0, 4.0]
    """
    filled = values.copy()
    for row, column in zip(*np.nonzero(~np.isfinite(values)), strict=True):  # in order of time
        if row >= season:
            filled[row, column] = filled[row - season, column]
    return filled


def repeated(filled: Floats, end: int, horizon: int, season: int, back: int = 0) -> Floats:
    """(horizon, target): the last season before ``end``, again and again: the seasonal naive.

    With ``back``, the one as many seasons before, or the first.  ``filled`` comes from
    ``filled_by_season``.  Where there still is no value, it is the last one of all.

    >>> repeated(np.array([[1.0], [2.0], [3.0]]), 3, 3, 2).ravel().tolist()
    [2.0, 3.0, 2.0]
    """
    ahead = np.arange(horizon)
    places = end + ahead - season * (ahead // season + 1 + back)
    places = np.where(places < 0, places % season, places)
    found: Floats = filled[np.minimum(places, end - 1)]
    for k in np.flatnonzero(~np.isfinite(found).all(0)):
        column = filled[:end, k]
        there = column[np.isfinite(column)]
        if len(there):
            found[:, k] = np.where(np.isfinite(found[:, k]), found[:, k], there[-1])
    return found
