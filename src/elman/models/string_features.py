"""Features of words from language models that read the whole text: contextual string embeddings.

A language model reads a sentence token by token; its output after the last token of a word is the
feature of the word.  A second one, which reads from the end, adds what follows (Peters et al. 2018;
Akbik, Blythe and Vollgraf 2018).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.nn import Recurrent
from elman.nn.embedding import WordEmbedding


class StringEncoder(nn.Module):
    """The layers of a language model below its output layer."""

    def __init__(self, embedding: WordEmbedding, recurrent: Recurrent) -> None:
        super().__init__()
        self.embedding = embedding
        self.recurrent = recurrent

    def forward(
        self, tokens: Int64[Tensor, "time batch"], places: Int64[Tensor, "word batch"]
    ) -> Float[Tensor, "word batch features"]:
        """The outputs at ``places``, a time for each word."""
        y, _ = self.recurrent(self.embedding(tokens))
        found: Tensor = y.gather(0, places[..., None].expand(-1, -1, y.shape[-1]))
        return found

    def groups(self) -> list[list[nn.Parameter]]:
        """The parameters of each layer, the top one first."""
        count = self.recurrent.num_layers
        layers = [self.recurrent.layer_parameters(layer) for layer in range(count)]
        return [*layers[::-1], list(self.embedding.parameters())]


class StringFeatures(nn.Module):
    """The features of all ``encoders``, concatenated.

    The encoders are frozen if ``unfreeze_steps`` is 0.  Otherwise training unfreezes one more layer
    of each after every ``unfreeze_steps`` steps, from the top (Howard and Ruder 2018).

    >>> import elman, torch
    >>> encoder = StringEncoder(WordEmbedding(9, 4), elman.Recurrent(elman.cells.gru, 4, 6))
    >>> features = StringFeatures([encoder])
    >>> strings = torch.randint(3, 9, (1, 7, 2))  # encoder time batch
    >>> places = torch.tensor([[[2, 3], [6, 5]]])  # encoder word batch
    >>> features(strings, places).shape, features.output_size
    (torch.Size([2, 2, 6]), 6)
    """

    def __init__(self, encoders: Sequence[StringEncoder], *, unfreeze_steps: int = 0) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.unfreeze_steps = unfreeze_steps
        self.output_size = sum([encoder.recurrent.output_size for encoder in encoders])
        #: the number of training steps so far, which checkpoints hold
        self.carried = {"steps": torch.tensor(0)}
        for parameter in self.parameters():
            parameter.requires_grad_(unfreeze_steps > 0)

    @property
    def leaves_out_parameters(self) -> bool:
        """Whether steps of training leave out parameters; several processes must know."""
        return self.unfreeze_steps > 0

    def forward(
        self,
        strings: Int64[Tensor, "encoder time batch"],
        places: Int64[Tensor, "encoder word batch"],
    ) -> Float[Tensor, "word batch features"]:
        """The features of each word, from the tokens and the place of each word in them."""
        learns = self.training and torch.is_grad_enabled() and self.unfreeze_steps > 0
        trained = int(self.carried["steps"]) // self.unfreeze_steps if learns else 0
        if learns:
            self.carried["steps"] = self.carried["steps"] + 1
        found = []
        for encoder, tokens, each in zip(self.encoders, strings, places, strict=True):
            assert isinstance(encoder, StringEncoder)
            with _frozen(encoder.groups()[trained:]):
                found.append(encoder(tokens, each))
        return torch.cat(found, -1)


@contextmanager
def _frozen(groups: Sequence[Sequence[nn.Parameter]]) -> Iterator[None]:
    """Records no gradients of these parameters."""
    held = [p for group in groups for p in group if p.requires_grad]
    for parameter in held:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in held:
            parameter.requires_grad_(True)
