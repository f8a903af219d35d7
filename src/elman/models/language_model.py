"""A language model: a generator of tokens that reads long texts window by window.

It adds to ``Generator`` what training on texts needs: the state that ends one window begins the
next one (stateful truncated backpropagation through time), and the output layer can share the
weights of the embedding.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from elman.errors import OptionError
from elman.models.generator import Generator, Lengths
from elman.nn import Recurrent
from elman.nn.embedding import WordEmbedding
from elman.nn.predictions import AdaptiveToken, NextToken
from elman.nn.stack import State

Tokens = Int64[Tensor, "time batch"]


class LanguageModel(Generator):
    """A recurrent language model (Mikolov et al. 2010).

    ``tied`` shares the weights of the embedding with the output layer (Press and Wolf 2017; Inan,
    Khosravi and Socher 2017); the sizes of embedding and hidden layer must then be equal, or
    ``OptionError`` is raised.  ``adaptive`` uses an ``AdaptiveToken`` as the output layer, which
    cannot be tied.  With ``carries_state``, training begins a window with the state at
    the end of the previous one wherever it continues the same row; gradients stop there.

    >>> import elman, torch
    >>> recurrent = elman.Recurrent(elman.cells.lstm, 8, 16)
    >>> model = LanguageModel(WordEmbedding(50, 8), recurrent, 50)
    >>> text = torch.randint(3, 50, (11, 2))  # time batch
    >>> first, second = text[:6], text[5:]
    >>> for window, place in ((first, 0), (second, 1)):
    ...     loss = model.loss(window[:-1], window[1:], torch.tensor([5, 5]),
    ...                       torch.tensor([place, 100 + place]))
    >>> sorted(model.carried)
    ['place', 'state.c', 'state.h']
    """

    embedding: WordEmbedding
    prediction: NextToken | AdaptiveToken

    def __init__(
        self,
        embedding: WordEmbedding,
        recurrent: Recurrent,
        num_tokens: int,
        *,
        tied: bool = False,
        adaptive: bool = False,
        by_frequency: Int64[Tensor, " token"] | None = None,
        carries_state: bool = True,
        dropout: float = 0.0,
    ) -> None:
        prediction: NextToken | AdaptiveToken = NextToken(recurrent.output_size, num_tokens)
        if adaptive:
            prediction = AdaptiveToken(recurrent.output_size, num_tokens, by_frequency)
        super().__init__(embedding, recurrent, prediction, dropout=dropout)
        if tied:
            if adaptive:
                raise OptionError(
                    "LanguageModel: an adaptive softmax cannot be tied to the embedding; choose "
                    "one of them."
                )
            if embedding.size != recurrent.output_size:
                raise OptionError(
                    f"LanguageModel: tied weights need an embedding of {recurrent.output_size} "
                    f"numbers, as many as the recurrent layer has units, but it has "
                    f"{embedding.size}."
                )
            prediction.output.weight = embedding.weight
        self.carries_state = carries_state
        #: the states at the end of the last window in training, and which window it was
        self.carried: dict[str, Tensor] = {}

    def loss(
        self,
        x: Tokens,
        y: Tokens,
        lengths: Lengths,
        place: Int64[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, ""]:
        """The mean of -log p over all steps of the batch.

        ``place`` numbers the windows of the text: a row goes on with the carried state where its
        place follows that of the last call.
        """
        if place is None or not (self.training and self.carries_state):
            return super().loss(x, y, lengths)
        full = int(lengths.min()) == len(x)
        features, state = self(x, None if full else lengths, self._initial(place))
        self._carry(state, place)
        if full:
            return -self.prediction.log_prob(features, y).mean()
        inside = torch.arange(len(x))[:, None] < lengths
        return -self.prediction.log_prob(features[inside], y[inside]).mean()

    def initial_state(self, batch: int) -> State:
        """The state with which texts begin: zero or learned."""
        return self.recurrent.first_state(batch)

    def _initial(self, place: Tensor) -> State | None:
        """The carried state, and that of a new text in rows that begin anew."""
        before = self.carried.get("place")
        if before is None or len(before) < len(place):
            return None
        # the rows that go on are the first ones
        goes_on = place == before[: len(place)] + 1
        states = [self.carried[f"state.{name}"][:, : len(place)] for name in self._states]
        if not goes_on.all():
            ended = (~goes_on).nonzero().squeeze(1)
            first = self.initial_state(len(ended))
            states = [
                state.index_copy(1, ended, new.to(state.dtype))
                for state, new in zip(states, first, strict=True)
            ]
        return tuple(states)

    def _carry(self, state: State, place: Tensor) -> None:
        named = zip(self._states, state, strict=True)
        self.carried.clear()
        self.carried.update({f"state.{name}": tensor.detach() for name, tensor in named})
        self.carried["place"] = place

    @property
    def _states(self) -> tuple[str, ...]:
        return self.recurrent.cell.states
