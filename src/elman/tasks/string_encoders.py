"""Language models as encoders in models of other tasks: what a run saves, and reading words.

``--init-from`` of a task on words takes one or two language models.  Their layers below the output
layer become a part of the new model (``models/string_features.py``); the run saves their tokens and
sizes, so it does not need the language models again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from elman.data.units import BOUNDARY, Units
from elman.graph import Cell, read_cell
from elman.models.string_features import StringEncoder, StringFeatures
from elman.nn import Recurrent
from elman.nn.embedding import WordEmbedding
from elman.saved import of_kind

#: options of ``Recurrent`` that a language model may have
_BETWEEN = ("residual", "norm", "learned_state")


@dataclass(frozen=True)
class EncoderSpec:
    """The tokens, the cell and the sizes of an encoder; ``backward`` reads from the end."""

    units: Units
    cell: Cell
    backward: bool
    embedding_size: int
    hidden_size: int
    num_layers: int
    #: further options of ``Recurrent``, such as ``{"residual": True}``
    between: Mapping[str, Any] = field(default_factory=dict)

    def to_record(self) -> dict[str, Any]:
        """The specification as a JSON object."""
        return {
            "units": json.loads(self.units.to_json()),
            "cell": self.cell.text,
            "backward": self.backward,
            "sizes": [self.embedding_size, self.hidden_size, self.num_layers],
            **({"between": dict(self.between)} if self.between else {}),
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> EncoderSpec:
        """The specification that ``to_record`` wrote."""
        embedding_size, hidden_size, num_layers = of_kind(record, "sizes", list)
        between = of_kind(record, "between", dict) if "between" in record else {}
        return cls(
            Units.from_json(json.dumps(record["units"])),
            read_cell(of_kind(record, "cell", str)),
            of_kind(record, "backward", bool),
            int(embedding_size),
            int(hidden_size),
            int(num_layers),
            {name: of_kind(between, name, bool) for name in _BETWEEN if name in between},
        )

    def build(self) -> StringEncoder:
        """A new encoder; its weights are those of a language model later."""
        return StringEncoder(
            WordEmbedding(len(self.units), self.embedding_size),
            Recurrent(
                self.cell,
                self.embedding_size,
                self.hidden_size,
                self.num_layers,
                **self.between,
            ),
        )

    def read(self, words: Sequence[str]) -> tuple[list[int], list[int]]:
        """The tokens of a sentence, and for each word where it has been read.

        >>> import elman
        >>> spec = EncoderSpec(Units.characters(["ab "]), elman.cells.gru, False, 2, 2, 1)
        >>> spec.read(["ab", "b"])
        ([2, 4, 5, 3, 5], [2, 4])
        """
        tokens, starts, ends = [BOUNDARY], [], []
        space = self.units.kind != "subwords"  # a subword holds the space before it
        for number, word in enumerate(words):
            start = len(tokens)
            tokens += self.units.encode(f" {word}" if number else word).tolist()
            starts.append(min(start + bool(number and space), len(tokens) - 1))
            ends.append(len(tokens) - 1)
        if not self.backward:
            return tokens, ends
        # the boundary comes first in this direction, too
        tokens = [BOUNDARY, *tokens[:0:-1]]
        return tokens, [len(tokens) - max(start, 1) for start in starts]


def string_tensors(
    sentences: Sequence[Sequence[str]], specs: Sequence[EncoderSpec]
) -> dict[str, Tensor]:
    """What ``StringFeatures`` reads: ``strings`` and ``string_places``; empty without encoders."""
    if not specs:
        return {}
    read = [[spec.read(words) for words in sentences] for spec in specs]
    longest = max([len(tokens) for rows in read for tokens, _ in rows])
    most = max([len(words) for words in sentences])
    strings = torch.zeros(len(specs), longest, len(sentences), dtype=torch.int64)
    places = torch.zeros(len(specs), most, len(sentences), dtype=torch.int64)
    for k, rows in enumerate(read):
        for row, (tokens, ends) in enumerate(rows):
            strings[k, : len(tokens), row] = torch.tensor(tokens)
            places[k, : len(ends), row] = torch.tensor(ends, dtype=torch.int64)
    return {"strings": strings, "string_places": places}


def string_features(specs: Sequence[EncoderSpec], unfreeze_steps: int) -> StringFeatures | None:
    """The encoders as a part of a model; ``None`` if there are none."""
    if not specs:
        return None
    return StringFeatures([spec.build() for spec in specs], unfreeze_steps=unfreeze_steps)


def put_encoder_weights(model: nn.Module, language_models: Sequence[nn.Module]) -> None:
    """Copies the weights of language models to the encoders of ``model``."""
    [features] = [each for each in model.modules() if isinstance(each, StringFeatures)]
    for encoder, source in zip(features.encoders, language_models, strict=True):
        own = encoder.state_dict()
        weights = source.state_dict()
        encoder.load_state_dict({name: weights[name] for name in own})
