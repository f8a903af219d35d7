"""A new model of series for the mode: a forecaster, a classifier, a tagger."""

from __future__ import annotations

from torch import nn

from elman.errors import OptionError
from elman.graph import Cell
from elman.tasks.recurrent_options import recurrent_layer
from elman.tasks.series.classifier import SeriesClassifier, SeriesRegressor, SeriesTagger
from elman.tasks.series.distributions import distribution_of
from elman.tasks.series.features import input_sizes
from elman.tasks.series.forecaster import Detector, Forecaster
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
    encoder, decoder = [
        recurrent_layer(
            options, cell, size, options.hidden_size, options.num_layers, dropout=options.dropout
        )
        for size in (past, future + fed_back + options.hidden_size)
    ]
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
    encoder = recurrent_layer(
        options, cell, size, options.hidden_size, options.num_layers,
        bidirectional=options.bidirectional, dropout=options.dropout,
    )  # fmt: skip
    if options.mode == "label":
        return SeriesTagger(encoder, len(symbols.labels), dropout=options.dropout)
    kind = SeriesRegressor if options.mode == "regress" else SeriesClassifier
    count = 1 if options.mode == "regress" else len(symbols.labels)
    return kind(nn.Identity(), encoder, count, pooling=options.pooling, dropout=options.dropout)
