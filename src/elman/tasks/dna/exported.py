"""Exports a ``BaseTagger`` (bases to class scores), and runs the exported file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Generator, Tensor, nn

from elman.export.forms import Axes, Calls, Form, draw_indices, draw_lengths, forms_of
from elman.tasks.dna.model import BaseTagger
from elman.tasks.onnx_models import answer_by
from elman.tasks.onnx_network import Files

#: weights of the grammar that the search for genes needs
_WEIGHTS = ("weights", "start", "end")


@forms_of.register
def _(model: BaseTagger) -> list[Form]:
    def draw(sizes: Mapping[str, int], generator: Generator) -> Sequence[Tensor]:
        shape = sizes["time"], sizes["batch"]
        codes = draw_indices(len(model.reader.symbols), *shape, generator=generator)
        return codes, draw_lengths(sizes, generator)

    crf = model.crf
    outputs: dict[str, Axes] = {"scores": ["time", "batch", "class"]}
    if crf is not None:
        outputs |= {f"crf.{name}": [name] for name in _WEIGHTS}

    def score(codes: Tensor, lengths: Tensor) -> list[Tensor]:
        weights = [] if crf is None else [getattr(crf, name) for name in _WEIGHTS]
        return [model(codes, lengths), *weights]

    def answer(found: Mapping[str, Tensor]) -> Tensor:
        if crf is not None:
            for name in _WEIGHTS:
                getattr(crf, name).data = found[f"crf.{name}"]
        return found["scores"]

    inputs = {"codes": ["time", "batch"], "lengths": ["batch"]}
    return [Form("sequence", Calls(score, model), inputs, outputs, draw, answer=answer)]


@answer_by.register
def _(model: BaseTagger, files: Files) -> None:
    answer_by.dispatch(nn.Module)(model, files)

    def in_pieces(length: int, read: Callable[[int, int], Tensor], size: int) -> Iterator[Tensor]:
        """Reads the whole sequence at once: memory grows with its length."""
        codes = read(0, length)[:, None]
        yield from model(codes, torch.tensor([length]))[:, 0].split(size)

    if model.crf is not None:  # loads the weights, which the search needs before the first piece
        model(torch.zeros(1, 1, dtype=torch.int64), torch.tensor([1]))
    model.in_pieces = in_pieces  # type: ignore[method-assign]
