"""What a translation may consist of, while it is searched for.

Words are those of the training translations (``spelling.py``), a placeholder is written once and
only if the source has it, and no phrase is repeated at once.  A translation that ends without a
placeholder of its source, or within a quotation, is penalised, and so is one whose attention has
left out a part of the source (Wu et al. 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from elman.data.subwords import END, START
from elman.models.translator import Writing
from elman.tasks.translation.placeholders import PLACEHOLDER
from elman.tasks.translation.spelling import AFTER_WORD, Spelling

#: subtracted from log p of the end, for each missing placeholder, and for an open quotation
_MISSING, _OPEN = 8.0, 4.0
#: phrases of up to this many subwords are not written twice in a row
_PHRASE = 4


@dataclass(frozen=True)
class Written:
    """The state of a search: that of the model, and what each row has written.

    ``attended`` (rows, source) is the attention that each subword of the source got.
    """

    state: Writing
    tokens: tuple[tuple[int, ...], ...]
    nodes: tuple[int, ...]
    sources: tuple[int, ...]
    attended: Tensor

    def select(self, rows: Tensor) -> Written:
        """Selects rows, which may be repeated."""
        kept = rows.tolist()
        return Written(
            self.state.select(rows),
            tuple([self.tokens[row] for row in kept]),
            tuple([self.nodes[row] for row in kept]),
            tuple([self.sources[row] for row in kept]),
            self.attended.index_select(0, rows),
        )


class Rules:
    """The steps of a search in which translations follow the rules.

    ``texts`` are the sources as the model reads them.  Without a ``spelling``, of a model that has
    no word list, any subword may follow.
    """

    def __init__(
        self, model: Any, spelling: Spelling | None, texts: Sequence[str], coverage: float
    ) -> None:
        self._model = model
        self._spelling = spelling
        self._coverage = coverage
        self._signs = [frozenset(PLACEHOLDER.findall(text)) for text in texts]
        self._quotes = [text.count('"') for text in texts]
        self._repeats = [_repeats(text) for text in texts]

    def start(self, source: Tensor, lengths: Tensor) -> Written:
        """The state before the first step."""
        state: Writing = self._model.start(source, lengths)
        rows = len(lengths)
        return Written(
            state,
            ((),) * rows,
            (AFTER_WORD,) * rows,
            tuple(range(rows)),
            torch.zeros(rows, len(source), dtype=torch.float64),
        )

    def step(self, tokens: Tensor, state: Written) -> tuple[Tensor, Written]:
        """As in ``greedy_search``."""
        state = self._with(tokens.tolist(), state)
        scores, weights, after = self._model.attending_step(tokens, state.state)
        state = replace(state, state=after, attended=state.attended + weights)
        if self._spelling is None:
            return scores, state
        allowed = self._spelling.allowed(state.nodes)
        allowed[:, list(self._spelling.placeholders)] &= self._placeholders(state)
        for row, (written, source) in enumerate(zip(state.tokens, state.sources, strict=True)):
            if not self._repeats[source] and (repeating := self._repeating(written)):
                allowed[row, repeating] = False
        # a row in which nothing is left ends
        allowed[~allowed.any(1), END] = True
        scores = scores.masked_fill(~allowed, -torch.inf)
        scores[:, END] -= self._unfinished(state)
        return scores, state

    def penalty(self, state: Written) -> Tensor:
        """What the score of each row loses for the parts of the source that it left out."""
        inside = torch.arange(state.attended.shape[1]) < state.state.memory.lengths[:, None]
        lost = state.attended.clamp(1e-3, 1.0).log().where(inside, torch.zeros(()).double())
        # rounded, as the sum of a row must not depend on the padding of its batch
        return (self._coverage * lost.sum(1)).mul(1e6).round().div(1e6)

    def _with(self, tokens: Sequence[int], state: Written) -> Written:
        if tokens and tokens[0] == START:
            return state
        written = [(*row, token) for row, token in zip(state.tokens, tokens, strict=True)]
        nodes = state.nodes
        if self._spelling is not None:
            after = self._spelling.after
            nodes = tuple([after(n, token) for n, token in zip(nodes, tokens, strict=True)])
        return replace(state, tokens=tuple(written), nodes=nodes)

    def _placeholders(self, state: Written) -> Tensor:
        """Which placeholder tokens each row may write: those of its source that it has not yet."""
        assert self._spelling is not None
        tokens = self._spelling.placeholders
        if not any(self._signs):
            return torch.zeros(1, len(tokens), dtype=torch.bool)
        left = [self._left(*row) for row in zip(state.tokens, state.sources, strict=True)]
        return torch.tensor([[sign in each for sign in tokens.values()] for each in left])

    def _left(self, written: Sequence[int], source: int) -> frozenset[str]:
        """The placeholders of a source that are not written yet."""
        assert self._spelling is not None
        signs = self._signs[source]
        if not signs:
            return signs
        return signs - {self._spelling.placeholders.get(token, "") for token in written}

    def _repeating(self, written: Sequence[int]) -> list[int]:
        """The tokens that would write a phrase for the second time in a row."""
        assert self._spelling is not None
        found = []
        for size in range(1, _PHRASE + 1):
            first = written[len(written) - 2 * size + 1 : len(written) - size + 1]
            if len(written) < 2 * size - 1 or not self._spelling.begins[first[0]]:
                continue
            if tuple(first[:-1]) == tuple(written[len(written) - size + 1 :]):
                found.append(first[-1])
        return found

    def _unfinished(self, state: Written) -> Tensor:
        """What the end of each row loses for what is missing before it."""
        assert self._spelling is not None
        lost = []
        for written, source in zip(state.tokens, state.sources, strict=True):
            quotes = sum([self._spelling.quotes[token] for token in written])
            opened = (quotes - self._quotes[source]) % 2
            lost.append(_MISSING * len(self._left(written, source)) + _OPEN * opened)
        return torch.tensor(lost)


def _repeats(text: str) -> bool:
    """Whether a source says something twice in a row, such as "très très"."""
    words = [word.strip(".,;:!?\"'") for word in text.lower().split()]
    return any(
        words[k : k + size] == words[k + size : k + 2 * size]
        for size in range(1, _PHRASE + 1)
        for k in range(len(words) - 2 * size + 1)
    )
