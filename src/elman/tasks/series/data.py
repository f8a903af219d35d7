"""Series as training examples: read, cut to windows, held out by time, collated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Generator, Tensor

from elman.data.faults import Fault, Place, Row, rows_or_error
from elman.errors import DataError, OptionError
from elman.tasks.series.features import batch_of
from elman.tasks.series.options import SeriesOptions
from elman.tasks.series.reading import Item, series_rows
from elman.tasks.series.series import Window
from elman.tasks.series.symbols import SeriesSymbols, symbols_of
from elman.tasks.task import Vocab


def items(path: Path, options: SeriesOptions) -> Iterator[Item]:
    """Series, faults and notes; a series that is too short for one forecast is a fault."""
    for item in series_rows(path, options):
        if isinstance(item, Row) and len(item.value) < options.horizon + 2:
            series = item.value
            named = f'the series "{series.name}"' if series.name else "the series"
            yield Fault(
                item.place,
                f"{named} has {len(series)} steps, but a forecast of {options.horizon} needs at "
                f"least {options.horizon + 2}; lower --horizon, or remove the series.",
            )
        else:
            yield item


def read(path: Path, options: SeriesOptions) -> list[Row[Window]]:
    """The series of a file or folder, whole."""
    rows = rows_or_error(items(path, options))
    if not rows:
        raise DataError(f"{path}: there is no series; give at least one.")
    return [Row(row.place, Window(row.value, options.horizon, options.stride)) for row in rows]


def hold_out(
    rows: Sequence[Row[Window]], fold: int, folds: int
) -> tuple[list[Row[Window]], list[Row[Window]]]:
    """The steps before a part of time for training; forecasts of that part for validation.

    Part 0 is the last of ``folds``, part 1 the one before.  A part has at least one horizon.
    """
    train: list[Row[Window]] = []
    valid: list[Row[Window]] = []
    for row in rows:
        window = row.value
        count = len(window.series)
        size = max(window.horizon, count // folds)
        end = count - fold * size
        start = end - size
        if start < window.horizon + 2:
            continue  # too short to be split: it is trained on whole
        before = replace(window, series=window.series.until(start))
        train.append(Row(row.place, before))
        valid.append(Row(row.place, replace(window, series=window.series.until(end), first=start)))
    if not valid:
        place: Place = rows[0].place
        horizon = rows[0].value.horizon
        raise DataError(
            f"{place.path}: no series is long enough to hold out {horizon} steps for validation "
            f"and train on {horizon + 2} before them; name validation data, or lower --horizon."
        )
    return train, valid


def build_vocab(
    examples: Sequence[Window], options: SeriesOptions, seed: int
) -> Vocab[SeriesSymbols]:
    """The scales, categories and season of the training series."""
    if options.likelihood == "negative_binomial" and options.transform != "none":
        raise OptionError(
            f"likelihood negative_binomial is for counts, but transform is {options.transform}; "
            "choose transform none."
        )
    if not examples:
        raise DataError(
            "no training series has values before and after a point from which to forecast; "
            "provide longer series, or lower --horizon."
        )
    unique = {id(example.series): example.series for example in examples}
    return Vocab(symbols_of([*unique.values()], options))


def cut(examples: Sequence[Window], longest: int) -> list[Window]:
    """The training windows of all series."""
    return [
        example.at(origin) for example in examples for origin in example.training_origins(longest)
    ]


def collate(
    examples: Sequence[Window],
    symbols: SeriesSymbols,
    options: SeriesOptions,
    generator: Generator | None = None,
) -> dict[str, Tensor]:
    """The tensors of the windows."""
    batch = batch_of(examples, symbols, options)
    return {name: getattr(batch, name) for name in batch.__dataclass_fields__}
