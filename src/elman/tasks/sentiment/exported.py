"""Exports the ensemble of a network and naive Bayes; phrases are a third input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Generator, Tensor

from elman.export.forms import Calls, Form, draw_indices, forms_of
from elman.tasks.sentiment.model import WithPhrases


@forms_of.register
def _(model: WithPhrases) -> list[Form]:
    (reader,) = forms_of(model.reader)

    def draw(sizes: Mapping[str, int], generator: Generator) -> Sequence[Tensor]:
        shape = sizes["length"], sizes["batch"]
        phrases = draw_indices(len(model.bayes.evidence), *shape, generator=generator)
        return [*reader.draw(sizes, generator), phrases]

    return [
        Form(
            "sequence",
            Calls(model, model),
            {**reader.inputs, "phrases": ["place", "batch"]},
            reader.outputs,
            draw,
            answer=reader.answer,
        )
    ]
