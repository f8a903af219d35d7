"""Series as training examples: read, cut to windows, held out by time, collated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Generator, Tensor
from torch.nn.utils.rnn import pad_sequence

from elman.data.faults import Fault, Place, Row, rows_or_error
from elman.errors import DataError, OptionError
from elman.tasks.series.classifier import UNLABELLED
from elman.tasks.series.features import batch_of
from elman.tasks.series.holes import check_covariates, warn_of_holes
from elman.tasks.series.options import SeriesOptions, steps_read
from elman.tasks.series.reading import Item, series_rows
from elman.tasks.series.series import Series, Window
from elman.tasks.series.symbols import SeriesSymbols, symbols_of
from elman.tasks.series.table import numbers
from elman.tasks.series.times import in_steps
from elman.tasks.task import Vocab

#: with fewer series, the last steps of each validate a model that labels steps
_FEW = 10


def items(path: Path, options: SeriesOptions) -> Iterator[Item]:
    """Series, faults and notes; a series that cannot be an example is a fault."""
    for item in series_rows(path, options):
        if isinstance(item, Row) and (message := _unfit(item.value, options)):
            yield Fault(item.place, message)
        else:
            yield item


def _unfit(series: Series, options: SeriesOptions) -> str:
    """What is wrong with a training example, or ""."""
    named = f'the series "{series.name}"' if series.name else "the series"
    if options.forecasts:
        if len(series) >= options.ahead + 2:
            return ""
        return (
            f"{named} has {in_steps(len(series))}, but a forecast of {in_steps(options.ahead)} "
            f"(horizon) needs at least {options.ahead + 2}; give more, or remove the series."
        )
    if series.labels is None:
        return (
            f'there is no column "{options.label_column}"; mode {options.mode} needs one (option '
            "label_column)."
        )
    if not series.label:
        return f'{named} has no label (column "{options.label_column}"); write one or remove it.'
    if options.mode == "regress":
        [number], wrong = numbers([series.label])
        if wrong or number != number:
            return f'{named} has the label "{series.label[:40]}"; mode regress needs a number.'
    return ""


def read(path: Path, options: SeriesOptions) -> list[Row[Window]]:
    """The series of a file or folder, whole."""
    rows = rows_or_error(items(path, options))
    if not rows:
        raise DataError(f"{path}: there is no series; give at least one.")
    warn_of_holes([row.value for row in rows])
    return [Row(row.place, Window(row.value, options.ahead, options.stride)) for row in rows]


def check_labels(rows: Sequence[Row[Window]], symbols: SeriesSymbols) -> None:
    """Raise ``DataError`` for the first series with a label that the model does not have.

    Categories of covariates count, too (``check_covariates``).
    """
    check_covariates([row.value.series for row in rows], symbols)
    for row in rows:
        labels = row.value.series.labels
        if not symbols.labels or labels is None:
            continue
        for label in labels:
            if label and label not in symbols.labels:
                raise DataError(
                    f'{row.place}: the model has no label "{label}"; its labels are '
                    f"{', '.join(symbols.labels)}. Correct the label, or train a model with it."
                )


def splits_by_time(rows: Sequence[Row[Window]]) -> bool:
    """Whether the last steps validate, not other series: for forecasts and labels of steps."""
    first = rows[0].value
    labels = first.series.labels
    of_steps = labels is not None and len({each for each in labels if each}) > 1
    return not first.whole or (of_steps and len(rows) < _FEW)


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
        if start < window.horizon + 2 or size < 1:
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
    if options.recursive and options.mode != "forecast":
        raise OptionError(
            f"strategy recursive is for mode forecast, but mode is {options.mode}; omit it."
        )
    if options.patch not in (1, "auto") and not options.gives_one:
        raise OptionError(
            f"patch is {options.patch}, but mode {options.mode} needs every step; omit it."
        )
    if not examples:
        raise DataError(
            "no training series has values before and after a point from which to forecast; "
            "provide longer series, or lower --horizon."
        )
    unique = {id(example.series): example.series for example in examples}
    return Vocab(symbols_of([*unique.values()], options))


def cut(examples: Sequence[Window], longest: int | str) -> list[Window]:
    """The training windows of all series; whole series in pieces of at most ``longest`` steps."""
    found: list[Window] = []
    for example in examples:
        most = steps_read(longest, not example.whole)
        if example.whole:
            count = len(example.series)
            labels = example.series.labels
            steps = labels is not None and len({each for each in labels if each}) > 1
            ends = range(count, 0, -most) if steps else [count]
            found += [example.at(end) for end in ends]
        else:
            found += [example.at(origin) for origin in example.training_origins(most)]
    return found


def collate(
    examples: Sequence[Window],
    symbols: SeriesSymbols,
    options: SeriesOptions,
    generator: Generator | None = None,
) -> dict[str, Tensor]:
    """The tensors of the windows."""
    batch = batch_of(examples, symbols, options)
    if options.forecasts:
        return {name: getattr(batch, name) for name in batch.__dataclass_fields__}
    found = {"x": batch.x, "lengths": batch.lengths}
    if any([example.series.labels is None for example in examples]):
        return found
    if options.mode == "classify":
        places = [symbols.labels.index(example.series.label) for example in examples]
        return {**found, "labels": torch.tensor(places)}
    if options.mode == "regress":
        assert symbols.response is not None
        own = [float(example.series.label) for example in examples]
        scaled = (torch.tensor(own) - symbols.response.mean) / symbols.response.std
        return {**found, "numbers": scaled}
    index = {label: k for k, label in enumerate(symbols.labels)}
    rows = []
    for example, length in zip(examples, batch.lengths.tolist(), strict=True):
        assert example.series.labels is not None
        own_labels = example.series.labels[example.end - length : example.end]
        rows.append(torch.tensor([index.get(label, UNLABELLED) for label in own_labels]))
    return {**found, "labels": pad_sequence(rows, padding_value=UNLABELLED)}
