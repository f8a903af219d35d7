"""Exports a ``Forecaster``: the past and what is known of the future become parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Generator, Tensor

from elman.export.forms import Calls, Form, draw_lengths, forms_of
from elman.tasks.series.model import Forecaster


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
