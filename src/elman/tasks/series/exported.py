"""Exports the models of series, as whole sequences.

A ``Forecaster`` turns the past and what is known of the future into the parameters of the forecast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Generator, Tensor

from elman.errors import ExportError, RunError
from elman.export.forms import Axes, Calls, Form, draw_lengths, forms_of
from elman.tasks.onnx_models import answer_by
from elman.tasks.onnx_network import Files
from elman.tasks.series.classifier import SeriesClassifier, SeriesTagger
from elman.tasks.series.forecaster import Detector, Forecaster
from elman.tasks.series.recursive import RecursiveForecaster


@forms_of.register
def _(model: Forecaster) -> list[Form]:
    past, ahead = model.encoder.input_size, model.decoder.input_size - model.encoder.output_size

    def draw(sizes: Mapping[str, int], generator: Generator) -> Sequence[Tensor]:
        x = torch.randn((sizes["time"], sizes["batch"], past), generator=generator)
        future = torch.randn((sizes["length"], sizes["batch"], ahead), generator=generator)
        return x, draw_lengths(sizes, generator), future

    count = model.output.out_features // model.targets
    return [
        Form(
            "sequence",
            Calls(model, model),
            {
                "x": ["time", "batch", past],
                "lengths": ["batch"],
                "future": ["length", "batch", ahead],
            },
            {"parameters": ["length", "batch", model.targets, count]},
            draw,
            answer=lambda found: found["parameters"],
        )
    ]


@forms_of.register
def _(model: RecursiveForecaster) -> list[Form]:
    raise ExportError(
        "a recursive forecast feeds its samples back, which an exported file cannot; train with "
        "strategy direct."
    )


def _reads(
    model: SeriesClassifier | SeriesTagger, output: dict[str, Axes], size: int
) -> list[Form]:
    def draw(sizes: Mapping[str, int], generator: Generator) -> Sequence[Tensor]:
        x = torch.randn((sizes["time"], sizes["batch"], size), generator=generator)
        return x, draw_lengths(sizes, generator)

    return [
        Form(
            "sequence",
            Calls(model, model),
            {"x": ["time", "batch", size], "lengths": ["batch"]},
            output,
            draw,
            answer=lambda found: found["logits"],
        )
    ]


@forms_of.register
def _(model: SeriesClassifier) -> list[Form]:
    return _reads(model, {"logits": ["batch", "class"]}, model.encoder.input_size)


@forms_of.register
def _(model: SeriesTagger) -> list[Form]:
    return _reads(model, {"logits": ["time", "batch", "class"]}, model.encoder.input_size)


@answer_by.register
def _(model: Detector, files: Files) -> None:
    raise RunError(
        f"{files.path}: the threshold of anomalies is not in ONNX files; use the run folder."
    )
