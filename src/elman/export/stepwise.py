"""A model as a chain of one step: a look-up, recurrent layers, a linear layer.

Exporters of a step read a model as this.  A model that must see the whole input, because it
reads in both directions or pools over all steps, has no step and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

from elman.errors import ExportError
from elman.export.layers import Layers, layers_of
from elman.models.classifier import Classifier
from elman.models.generator import Generator
from elman.models.tagger import Tagger
from elman.models.transcriber import Transcriber
from elman.models.transducer import Transducer
from elman.nn.embedding import WordEmbedding
from elman.nn.predictions import AdaptiveToken, IndependentPitches, NextToken
from elman.nn.recurrent import Recurrent
from elman.nn.stack import State
from elman.nn.torch_layers import GRU, LSTM, RNN
from elman.nn.voices import VoicedPitches


@dataclass(frozen=True)
class Linear:
    """A linear layer as data: ``weight`` (output, input) and ``bias`` (output,)."""

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class Stepwise:
    """The parts of a step: ``table`` (symbol, size) of vectors or none, layers, output or none.

    ``meaning`` says what the output is, in words that end a sentence.
    """

    layers: Layers
    table: Tensor | None = None
    output: Linear | None = None
    log_probabilities: bool = False
    meaning: str = ""

    def on_reference_engine(
        self, x: Tensor, state: State, inputs: Mapping[str, Tensor] = MappingProxyType({})
    ) -> Tensor:
        """The outputs of x, (time, batch) symbols or (time, batch, input), in the state's dtype.

        ``inputs`` are the cell's side inputs, (time, batch, size).
        """
        dtype = state[0].dtype
        sides = {name: side.to(dtype) for name, side in inputs.items()}
        if self.table is not None:
            x = nn.functional.embedding(x, self.table)
        y, _ = self.layers.to(dtype).on_reference_engine(x.to(dtype), state, None, sides)
        if self.output is not None:
            y = y @ self.output.weight.to(dtype).T + self.output.bias.to(dtype)
        return y.log_softmax(-1) if self.log_probabilities else y


def stepwise(module: nn.Module) -> Stepwise:
    """The parts of a layer or model; raises ``ExportError`` where it has no step."""
    title = type(module).__name__
    if isinstance(module, Recurrent | RNN | LSTM | GRU):
        return Stepwise(_one_direction(title, module))
    if isinstance(module, Transcriber):
        return Stepwise(
            _one_direction(title, module.encoder),
            output=linear(module.output),
            log_probabilities=True,
            meaning="the log probability of each symbol, the blank first",
        )
    if isinstance(module, Transducer):
        raise ExportError(
            f"{title}: it is three networks (encoder, prediction and joint network) that a search "
            "runs in turn, which one step cannot express; export it to ONNX, or its recurrent "
            "layers one by one."
        )
    if isinstance(module, Generator):
        layers = _one_direction(title, module.recurrent)
        if isinstance(module.prediction, VoicedPitches):
            raise ExportError(
                f"{title}: a step of this model draws the pitches of voices one after another "
                "(VoicedPitches), which a step in one pass cannot do; export it to ONNX or torch, "
                "or its recurrent layers alone."
            )
        table = _table(title, module.embedding)
        if isinstance(module.prediction, NextToken):
            return Stepwise(
                layers,
                table,
                linear(module.prediction.output),
                True,
                "the log probability of each token",
            )
        if isinstance(module.prediction, IndependentPitches):
            return Stepwise(
                layers, table, linear(module.prediction.output), False,
                "the logit of each pitch, which sounds with the probability sigmoid(logit)",
            )  # fmt: skip
        if isinstance(module.prediction, AdaptiveToken):
            raise ExportError(
                f"{title}: an adaptive softmax cannot be exported; train a model with the softmax "
                "full, or export the recurrent layers alone."
            )
        raise ExportError(
            f"{title}: a step of this model draws pitches one after another "
            f"({type(module.prediction).__name__}), which a step in one pass cannot do; train one "
            "that predicts tokens or independent pitches."
        )
    if isinstance(module, Classifier):
        layers = _one_direction(title, module.encoder)
        if module.pooling != "last":
            raise ExportError(
                f'{title}: the pooling "{module.pooling}" reads the outputs of all steps, so the '
                'model has no step; train one with the pooling "last".'
            )
        said = "the logit of each class after the symbols so far"
        return Stepwise(layers, _table(title, module.embedding), linear(module.output), False, said)
    if isinstance(module, Tagger):
        layers = _one_direction(title, module.encoder)
        features = module.features
        if features.characters is not None or features.shapes is not None:
            raise ExportError(
                f"{title}: a word's features are made of its characters and its shape as well, "
                "which a step on an index cannot read; train one on words alone."
            )
        said = "the score of each tag" + ("" if module.crf is None else ", before the CRF")
        return Stepwise(
            layers, _table(title, features.embedding), linear(module.output), False, said
        )
    raise ExportError(
        f"{title} has no step that can be exported; pass a recurrent layer, or a model made of a "
        "look-up, recurrent layers in one direction and an output layer."
    )


def linear(module: nn.Linear) -> Linear:
    """The weights of a linear layer, with a bias of zeros where it has none."""
    weight = module.weight.detach().to("cpu", torch.float32, copy=True)
    if module.bias is None:
        return Linear(weight, torch.zeros(len(weight)))
    return Linear(weight, module.bias.detach().to("cpu", torch.float32, copy=True))


def _one_direction(title: str, module: nn.Module) -> Layers:
    layers = layers_of(module).folded()
    if layers.stack.bidirectional:
        raise ExportError(
            f"{title}: it reads in both directions and must see the whole input, so it has no "
            "step; use bidirectional=False, or export the whole sequence to ONNX."
        )
    return layers


def _table(title: str, embedding: nn.Module) -> Tensor | None:
    """The vectors of symbols, or nothing where a step's input is its features already."""
    if isinstance(embedding, nn.Identity):
        return None
    if isinstance(embedding, WordEmbedding | nn.Embedding):
        return embedding.weight.detach().to("cpu", torch.float32, copy=True)
    raise ExportError(
        f"{title}: its steps are read by a {type(embedding).__name__}, and only a table of "
        "vectors can be exported; export its recurrent layers alone."
    )
