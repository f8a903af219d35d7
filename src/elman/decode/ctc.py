"""Decodes the output of CTC: greedy decoding, prefix beam search, alignment.

CTC (Graves et al. 2006) predicts at each step the probabilities of all symbols and of a blank,
symbol 0.  A path becomes a text by merging repetitions and removing blanks.  ``best_path`` takes
the best path.  ``PrefixBeam`` sums over all paths of a text (Hannun et al. 2014), can add a
language model, and works on streams.  ``align`` finds the time of each symbol.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int64
from torch import Tensor

from elman.decode.prefixes import BLANK, NEVER, Fusion, Prefix, PrefixSearch, log_add
from elman.errors import OptionError


def best_path(
    log_probs: Float[Tensor, "time batch symbol"], lengths: Int64[Tensor, " batch"]
) -> list[list[int]]:
    """Greedy decoding: the best path of each row, merged.

    >>> import torch
    >>> steps = torch.tensor([[1, 1, 0, 1, 2]]).T
    >>> best_path(torch.nn.functional.one_hot(steps, 3).float(), torch.tensor([5]))
    [[1, 1, 2]]
    """
    best = log_probs.argmax(-1)
    return [
        merge(column[:length].tolist())
        for column, length in zip(best.T, lengths.tolist(), strict=True)
    ]


def merge(path: Sequence[int], last: int = BLANK) -> list[int]:
    """Merges repetitions and removes blanks from a path that follows the symbol ``last``."""
    found = []
    for symbol in path:
        if symbol not in (last, BLANK):
            found.append(symbol)
        last = symbol
    return found


class PrefixBeam(PrefixSearch[tuple[float, float]]):
    """Prefix beam search for the most likely text, for steps that arrive over time.

    Keeps ``width`` texts after each step.  Skips symbols with a log probability of ``least`` or
    less at a step.  With an unlimited width, ``least`` of -inf and no fusion, ``best`` is exact.

    >>> import torch
    >>> steps = torch.tensor([[0.6, 0.4], [0.6, 0.4]]).log().numpy()
    >>> beam = PrefixBeam(8)
    >>> beam.advance(steps)
    >>> beam.best()  # the best path is two blanks, but more paths say 1
    [1]
    """

    def __init__(self, width: int, *, fusion: Fusion | None = None, least: float = -9.0) -> None:
        root = Prefix(None, BLANK, None if fusion is None else fusion.start, 0.0)
        # per text, the log probability of its paths that end in a blank, and of the others
        super().__init__(root, (0.0, NEVER), width, fusion)
        self._least = least

    def advance(self, log_probs: Float[np.ndarray, "time symbol"]) -> None:
        """Processes more steps."""
        for row in log_probs:
            tried = [s for s in np.flatnonzero(row > self._least).tolist() if s != BLANK]
            self._step(row.tolist(), tried)

    def _step(self, row: list[float], tried: list[int]) -> None:
        new: dict[Prefix, list[float]] = {}
        for prefix, (blank, other) in self._beams.items():
            total = log_add(blank, other)
            own = new.setdefault(prefix, [NEVER, NEVER])
            own[0] = log_add(own[0], total + row[BLANK])
            if prefix.symbol != BLANK:
                own[1] = log_add(own[1], other + row[prefix.symbol])
            for symbol in tried:
                child = self._child(prefix, symbol)
                so_far = blank if symbol == prefix.symbol else total
                if so_far > NEVER:
                    its = new.setdefault(child, [NEVER, NEVER])
                    its[1] = log_add(its[1], so_far + row[symbol])
        self._keep({prefix: (blank, other) for prefix, (blank, other) in new.items()})

    def _total(self, paths: tuple[float, float]) -> float:
        return log_add(*paths)


def prefix_beam(
    log_probs: Float[np.ndarray, "time symbol"],
    width: int,
    *,
    fusion: Fusion | None = None,
    least: float = -9.0,
) -> list[int]:
    """Finds the most likely text of all steps; see ``PrefixBeam``."""
    beam = PrefixBeam(width, fusion=fusion, least=least)
    beam.advance(log_probs)
    return beam.best()


def align(
    log_probs: Float[np.ndarray, "time symbol"], symbols: Sequence[int]
) -> list[tuple[int, int]]:
    """The (start, end) steps of each symbol on the best path of these symbols; end is exclusive.

    Raises ``OptionError`` if there are too few steps for the symbols.

    >>> steps = np.log([[0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.1, 0.1, 0.8]])
    >>> align(steps, [1, 2])
    [(0, 1), (2, 4)]
    """
    if not symbols:
        return []
    states = [BLANK]
    for symbol in symbols:
        states += [symbol, BLANK]
    labels = np.array(states)
    skip = np.zeros(len(labels), bool)  # may skip the blank before a different symbol
    skip[2:] = (labels[2:] != BLANK) & (labels[2:] != labels[:-2])
    score = np.full(len(labels), NEVER)
    score[:2] = log_probs[0, labels[:2]] if len(log_probs) else NEVER
    back = np.zeros((len(log_probs), len(labels)), np.int8)
    for t in range(1, len(log_probs)):
        one = np.concatenate([[NEVER], score[:-1]])
        two = np.where(skip, np.concatenate([[NEVER, NEVER], score[:-2]]), NEVER)
        ways = np.stack([score, one, two])
        back[t] = ways.argmax(0)
        score = ways.max(0) + log_probs[t, labels]
    state = len(labels) - 1 if score[-1] >= score[-2] else len(labels) - 2
    if score[state] == NEVER:
        raise OptionError(f"align: {len(symbols)} symbols do not fit into {len(log_probs)} steps.")
    spans: list[list[int]] = [[-1, -1] for _ in symbols]
    for t in range(len(log_probs) - 1, -1, -1):
        if labels[state] != BLANK:
            span = spans[state // 2]
            span[0], span[1] = t, span[1] if span[1] >= 0 else t + 1
        state -= int(back[t, state])
    return [(start, end) for start, end in spans]
