"""Exports a ``BaseTagger``: bases as input, class scores of each base as output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Generator, Tensor

from elman.export.onnx_format.forms import Calls, Form, draw_indices, draw_lengths, forms_of
from elman.tasks.dna.model import BaseTagger


@forms_of.register
def _(model: BaseTagger) -> list[Form]:
    def draw(sizes: Mapping[str, int], generator: Generator) -> Sequence[Tensor]:
        shape = sizes["time"], sizes["batch"]
        codes = draw_indices(len(model.reader.symbols), *shape, generator=generator)
        return codes, draw_lengths(sizes, generator)

    return [
        Form(
            "sequence",
            Calls(model, model),
            {"codes": ["time", "batch"], "lengths": ["batch"]},
            {"scores": ["time", "batch", "class"]},
            draw,
        )
    ]
