"""Beam search: keeps the best few sequences at each step, for many rows at once.

It takes functions and does not depend on a model.  With a sufficiently wide beam, it is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from elman.decode.hypothesis import Hypothesis, Select, State, Step
from elman.errors import OptionError


def beam_search(
    step: Step[State],
    select: Select[State],
    state: State,
    *,
    longest: Sequence[int],
    start: int,
    end: int,
    beam: int = 5,
    n_best: int = 1,
    length_penalty: float = 1.0,
    penalty: Callable[[State], torch.Tensor] | None = None,
) -> list[list[Hypothesis]]:
    """Finds up to ``n_best`` hypotheses for each row of ``state``, best first.

    ``step`` and ``select`` are as for ``greedy_search``.  The score of a hypothesis is
    log p / length ** ``length_penalty``, where the length includes the end token: 0 ranks by
    probability, which favours short sequences, and 1 by the mean per token.  The search of a row
    ends when ``beam`` hypotheses are complete, or when no other can overtake the ``n_best``-th.
    Hypotheses are truncated at ``longest[row]`` tokens.  ``penalty(state)``, of shape (rows,) and
    at most 0, is added to the scores of hypotheses that end in this state.  Raises ``OptionError``
    for invalid values.

    >>> first, then = torch.tensor([0.0, 0.55, 0.45]), torch.tensor([[0.5, 0.5, 0], [0.9, 0.1, 0]])
    >>> table = torch.cat([first[None], then]).log()      # token 0 ends, 3 starts
    >>> step = lambda tokens, state: (table[torch.where(tokens == 3, 0, tokens)], state)
    >>> [each] = beam_search(step, lambda state, rows: state, None, longest=[2], start=3, end=0,
    ...                      beam=2, length_penalty=0)
    >>> each[0].tokens, round(each[0].log_probability, 4)     # 0.45 * 0.9 is more than 0.55 * 0.5
    ((2,), -0.9039)
    """
    if beam < 1 or not 1 <= n_best <= beam:
        raise OptionError(
            f"beam_search: beam is {beam} and n_best is {n_best}; beam must be at least 1, and "
            "n_best from 1 to beam."
        )
    if length_penalty < 0:
        raise OptionError(f"beam_search: length_penalty is {length_penalty}; it must be 0 or more.")
    searches = [_Search(most, beam, n_best, length_penalty, end) for most in longest]
    alive = [row for row, search in enumerate(searches) if not search.done]
    # each row has `beam` consecutive places; at first all but one are empty
    places = torch.tensor([row for row in alive for _ in range(beam)], dtype=torch.int64)
    state = select(state, places)
    tokens = torch.full((len(places),), start, dtype=torch.int64)
    totals = torch.full((len(alive), beam), -torch.inf)
    totals[:, 0] = 0.0
    while alive:
        scores, state = step(tokens, state)
        sizes = scores.shape[-1]
        sums = (totals[:, :, None] + scores.float().view(len(alive), beam, sizes)).flatten(1)
        # twice the beam, because up to `beam` candidates may be end tokens
        extra = [0.0] * len(tokens) if penalty is None else penalty(state).tolist()
        best, which = sums.topk(min(2 * beam, sums.shape[1]), dim=1)
        kept, chosen, next_tokens, next_totals = [], [], [], []
        for at, (row, values, picks) in enumerate(
            zip(alive, best.tolist(), which.tolist(), strict=True)
        ):
            search = searches[row]
            theirs = extra[at * beam : (at + 1) * beam]
            going = search.advance(values, [divmod(pick, sizes) for pick in picks], theirs)
            if search.done:
                continue
            kept.append(row)
            chosen += [at * beam + place for place, _, _ in going]
            next_tokens += [token for _, token, _ in going]
            next_totals.append([total for _, _, total in going])
        alive = kept
        if alive:
            state = select(state, torch.tensor(chosen, dtype=torch.int64))
            tokens = torch.tensor(next_tokens, dtype=torch.int64)
            totals = torch.tensor(next_totals)
    return [search.best() for search in searches]


class _Search:
    """The search of one row: its active and completed hypotheses."""

    def __init__(
        self, longest: int, beam: int, n_best: int, length_penalty: float, end: int
    ) -> None:
        self.longest, self.beam, self.n_best, self.end = longest, beam, n_best, end
        self.length_penalty = length_penalty
        self.going: list[tuple[int, ...]] = [()] * beam
        self.ended: list[Hypothesis] = []
        self.done = longest < 1
        if self.done:
            self.ended.append(Hypothesis((), 0.0, 0.0, ended=False))

    def advance(
        self,
        totals: Sequence[float],
        picks: Sequence[tuple[int, int]],
        extra: Sequence[float],
    ) -> list[tuple[int, int, float]]:
        """Processes the best continuations (place, token); returns those that stay active.

        ``extra`` is added to the score of a hypothesis that ends, by its place.
        """
        going: list[tuple[int, int, float]] = []
        tokens: list[tuple[int, ...]] = []
        for rank, (total, (place, token)) in enumerate(zip(totals, picks, strict=True)):
            if total == -torch.inf or len(going) == self.beam:
                break
            if token == self.end:
                # an end token counts only if it ranks within the beam
                if rank < self.beam:
                    self._end(self.going[place], total, extra[place], ended=True)
            else:
                going.append((place, token, total))
                tokens.append((*self.going[place], token))
        length = len(tokens[0]) if tokens else 0
        if length == self.longest:
            for hypothesis, (place, _, total) in zip(tokens, going, strict=True):
                self._end(hypothesis, total, extra[place], ended=False)
        self.going = tokens
        self.done = not going or length == self.longest or self._decided(going[0][2])
        # fill empty places with hypotheses that cannot win
        while len(going) < self.beam:
            going.append((0, self.end, -torch.inf))
            self.going.append(())
        return going

    def best(self) -> list[Hypothesis]:
        """The best completed hypotheses."""
        return sorted(self.ended, key=lambda each: -each.score)[: self.n_best]

    def _end(self, tokens: tuple[int, ...], total: float, extra: float, *, ended: bool) -> None:
        score: float = total / max(1, len(tokens) + ended) ** self.length_penalty
        self.ended.append(Hypothesis(tokens, total, score + extra, ended))

    def _decided(self, total: float) -> bool:
        complete = [each for each in self.ended if each.ended]
        if len(complete) >= self.beam:
            return True
        if len(complete) < self.n_best:
            return False
        # upper bound: an active hypothesis reaches the maximum length without losing probability
        hope: float = total / (self.longest + 1) ** self.length_penalty
        return sorted([each.score for each in complete])[-self.n_best] >= hope
