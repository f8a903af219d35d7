"""Samples sequences from a model: temperature, top-k, nucleus.

``Sampler`` draws an index from logits; ``generate`` iterates a step function.  Neither depends on a
model: a step function takes the last item and a state, and returns features and the next state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from elman.errors import OptionError

#: a temperature below this is 0: logits that are divided by it overflow
_COLDEST = 1e-6
#: a temperature above this is this one: as infinity, it would make excluded choices NaN
_HOTTEST = 1e30

Item = TypeVar("Item")
State = TypeVar("State")
Known = TypeVar("Known")


@dataclass(frozen=True)
class Sampler:
    """Draws an index from logits (..., n), reproducibly for a ``seed``.

    ``temperature`` divides the logits: below 1 it sharpens the distribution, and 0 always takes the
    most likely index.  ``top_k`` keeps the k most likely indices (Fan et al. 2018; 0 keeps all).
    ``top_p`` keeps the fewest indices with this total probability (nucleus sampling; Holtzman et
    al. 2020), at least one.  Raises ``OptionError`` for invalid values.

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
            raise OptionError(f"top_k is {self.top_k}; it must be at least 0 (0 keeps all).")
        if not 0 < self.top_p <= 1:
            raise OptionError(f"top_p is {self.top_p}; it must be above 0 and at most 1.")
        if self.seed < 0:
            raise OptionError(f"seed is {self.seed}; it must be at least 0.")
        object.__setattr__(self, "_random", torch.Generator().manual_seed(self.seed))

    def __call__(self, logits: Float[Tensor, "*rows choice"]) -> Int64[Tensor, "*rows"]:
        """Draws an index for each row."""
        if self.temperature < _COLDEST:
            return logits.argmax(-1)
        p = self.probabilities(logits)
        flat = p.reshape(-1, p.shape[-1])
        return torch.multinomial(flat, 1, generator=self._random).reshape(p.shape[:-1])

    def probabilities(self, logits: Float[Tensor, "*rows choice"]) -> Float[Tensor, "*rows choice"]:
        """The probability of drawing each index; ``temperature`` must be above 0.

        >>> Sampler(top_k=2).probabilities(torch.tensor([0.6, 0.3, 0.1]).log())
        tensor([0.6667, 0.3333, 0.0000])
        >>> Sampler(top_p=0.7).probabilities(torch.tensor([0.6, 0.1, 0.3]).log())
        tensor([0.6667, 0.0000, 0.3333])
        """
        p = (logits / min(self.temperature, _HOTTEST)).softmax(-1)
        if (self.top_k == 0 or self.top_k >= p.shape[-1]) and self.top_p == 1:
            return p
        ranked, order = p.sort(stable=True, dim=-1, descending=True)
        if self.top_k:
            ranked[..., self.top_k :] = 0
            ranked = ranked / ranked.sum(-1, keepdim=True)
        # keep an index while the more likely ones have less than top_p in total
        dropped = ranked.cumsum(-1) - ranked >= self.top_p
        dropped[..., 0] = False  # a top_p that is 0 in the precision of the logits keeps one, too
        ranked[dropped] = 0
        kept = torch.zeros_like(p).scatter(-1, order, ranked)
        return kept / kept.sum(-1, keepdim=True)


def generate(
    step: Callable[[Item, State], tuple[Known, State]],
    draw: Callable[[Known], Item],
    first: Item,
    state: State,
) -> Iterator[Item]:
    """Yields items without end, each drawn from the output of ``step`` for the previous item.

    ``first`` is the item before the first one: a start symbol, or the last item of a sequence to
    continue; ``state`` is the state before it.  Memory use is constant.

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
