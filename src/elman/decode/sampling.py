"""Drawing sequences from a model's probabilities: temperature, top-k, nucleus.

``Sampler`` draws an index from logits, ``generate`` runs a step function for as long as is wanted.
Neither knows a model: a step function takes what came last and a state, and returns what is known
and the next state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from elman.errors import OptionError

Item = TypeVar("Item")
State = TypeVar("State")
Known = TypeVar("Known")


@dataclass(frozen=True)
class Sampler:
    """Draws an index from logits (..., n); the same ``seed`` draws the same.

    ``temperature`` divides the logits: below 1 what is likely becomes likelier, and 0 takes the
    likeliest always.  ``top_k`` leaves the k likeliest (Fan et al. 2018; 0 leaves all), ``top_p``
    the fewest that together have that probability (the nucleus; Holtzman et al. 2020), the
    likeliest in any case.  Raises ``OptionError`` for values that cannot be.

    >>> import torch
    >>> logits = torch.tensor([[0.0, 3.0, 1.0]])
    >>> Sampler(temperature=0)(logits), Sampler(top_k=1)(logits), Sampler(top_p=0.5)(logits)
    (tensor([1]), tensor([1]), tensor([1]))
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    _random: torch.Generator = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.temperature >= 0:
            raise OptionError(f"temperature is {self.temperature}; it must be at least 0.")
        if self.top_k < 0:
            raise OptionError(f"top_k is {self.top_k}; it must be at least 0, which leaves all.")
        if not 0 < self.top_p <= 1:
            raise OptionError(f"top_p is {self.top_p}; it must be above 0 and at most 1.")
        if self.seed < 0:
            raise OptionError(f"seed is {self.seed}; it must be at least 0.")
        object.__setattr__(self, "_random", torch.Generator().manual_seed(self.seed))

    def __call__(self, logits: Float[Tensor, "*rows choice"]) -> Int64[Tensor, "*rows"]:
        """An index for each row."""
        if self.temperature == 0:
            return logits.argmax(-1)
        p = self.probabilities(logits)
        flat = p.reshape(-1, p.shape[-1])
        return torch.multinomial(flat, 1, generator=self._random).reshape(p.shape[:-1])

    def probabilities(self, logits: Float[Tensor, "*rows choice"]) -> Float[Tensor, "*rows choice"]:
        """What each index is drawn with; ``temperature`` must be above 0.

        >>> Sampler(top_k=2).probabilities(torch.tensor([0.6, 0.3, 0.1]).log())
        tensor([0.6667, 0.3333, 0.0000])
        >>> Sampler(top_p=0.7).probabilities(torch.tensor([0.6, 0.1, 0.3]).log())
        tensor([0.6667, 0.0000, 0.3333])
        """
        p = (logits / self.temperature).softmax(-1)
        if (self.top_k == 0 or self.top_k >= p.shape[-1]) and self.top_p == 1:
            return p
        ranked, order = p.sort(stable=True, dim=-1, descending=True)
        if self.top_k:
            ranked[..., self.top_k :] = 0
            ranked = ranked / ranked.sum(-1, keepdim=True)
        # an index stays while those before it do not have enough together
        ranked[ranked.cumsum(-1) - ranked >= self.top_p] = 0
        kept = torch.zeros_like(p).scatter(-1, order, ranked)
        return kept / kept.sum(-1, keepdim=True)


def generate(
    step: Callable[[Item, State], tuple[Known, State]],
    draw: Callable[[Known], Item],
    first: Item,
    state: State,
) -> Iterator[Item]:
    """Items without end, each drawn from what is known after the one before it.

    ``first`` is what the first one follows, with the ``state`` before it: what marks a beginning,
    or the last item of a sequence to go on with.  Only the last item and state are kept, so memory
    does not grow.

    >>> from itertools import islice
    >>> doubled = generate(lambda x, n: ((x, n), n + 1), lambda known: sum(known), 1, 0)
    >>> list(islice(doubled, 4))
    [1, 2, 4, 7]
    """
    item = first
    while True:
        known, state = step(item, state)
        item = draw(known)
        yield item
