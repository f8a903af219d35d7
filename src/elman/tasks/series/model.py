"""A new model of series for the mode: a forecaster, a classifier, a tagger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from torch import nn

from elman.errors import OptionError
from elman.graph import Cell
from elman.nn import Recurrent
from elman.tasks.recurrent_options import recurrent_layer
from elman.tasks.series.classifier import SeriesClassifier, SeriesRegressor, SeriesTagger
from elman.tasks.series.distributions import distribution_of
from elman.tasks.series.features import input_sizes
from elman.tasks.series.forecaster import Detector, Forecaster
from elman.tasks.series.observed import ObservedRecurrent
from elman.tasks.series.options import SeriesOptions
from elman.tasks.series.recursive import FollowingForecaster, RecursiveForecaster
from elman.tasks.series.symbols import SeriesSymbols


def build(options: SeriesOptions, cell: Cell, symbols: SeriesSymbols) -> nn.Module:
    """A new model for the mode."""
    past, future = input_sizes(symbols, options)
    if not options.forecasts:
        return _reader(options, cell, symbols, past)
    if options.bidirectional:
        raise OptionError(
            f"bidirectional is true, but mode {options.mode} reads forwards only; omit it, or "
            "choose the mode classify, regress or label."
        )
    fed_back = 2 * len(symbols.targets) * options.recursive
    encoder = _layer(options, cell, past, symbols)
    # the decoder begins with the state of the encoder
    without = replace(options, learned_state=False)
    decoder = _layer(without, cell, future + fed_back + encoder.output_size, None)
    kind: type[Forecaster] = Detector if options.mode == "anomaly" else Forecaster
    if options.recursive:
        kind = FollowingForecaster if options.anchor == "last" else RecursiveForecaster
    return kind(
        encoder,
        decoder,
        distribution_of(options.likelihood, options.levels),
        len(symbols.targets),
        dropout=options.dropout,
    )


def _reader(options: SeriesOptions, cell: Cell, symbols: SeriesSymbols, size: int) -> nn.Module:
    encoder = _layer(options, cell, size, symbols)
    if options.mode == "label":
        return SeriesTagger(encoder, len(symbols.labels), dropout=options.dropout)
    kind = SeriesRegressor if options.mode == "regress" else SeriesClassifier
    count = 1 if options.mode == "regress" else len(symbols.labels)
    return kind(nn.Identity(), encoder, count, pooling=options.pooling, dropout=options.dropout)


def _layer(
    options: SeriesOptions, cell: Cell, size: int, symbols: SeriesSymbols | None
) -> Recurrent:
    """A layer that reads the features of the past; without ``symbols``, others."""
    kind: Callable[..., Recurrent] | None = None
    if cell.inputs:
        if options.bidirectional or (symbols is not None and symbols.patch != 1):
            raise OptionError(
                f"the cell {cell.name} reads one step after the other, with the time since the "
                "last value; omit bidirectional, and set patch to 1."
            )
        targets, gaps = (len(symbols.targets), symbols.gaps) if symbols else (0, False)
        kind = partial(ObservedRecurrent, targets=targets, gaps=gaps)
    return recurrent_layer(
        options, cell, size, options.hidden_size, options.num_layers,
        bidirectional=options.bidirectional, dropout=options.dropout, kind=kind,
    )  # fmt: skip
