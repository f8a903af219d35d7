"""Decodes the best path of states and the label probabilities, for batches and in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from elman.tasks.dna.bases import Codes
from elman.tasks.dna.grammar import LABELS
from elman.tasks.dna.grammar_crf import GrammarCRF
from elman.tasks.dna.grammar_path import Automaton, PathSearch, best_paths
from elman.tasks.dna.model import BaseTagger
from elman.tasks.dna.options import DnaOptions
from elman.tasks.dna.symbols import GeneSymbols, plain_classes, plain_states
from elman.tasks.task import Fitted

#: longer sequences are read in pieces of this many bases, without probabilities
PIECE = 30_000


def _automaton(crf: GrammarCRF) -> Automaton:
    with torch.no_grad():
        tensors = (crf.state_classes, crf.costs, crf.edges, crf.edge_scores(), crf.start, crf.end)
        return Automaton(
            *[
                tensor.double().numpy() if tensor.is_floating_point() else tensor.numpy()
                for tensor in tensors
            ]
        )


def best_states(
    fitted: Fitted[GeneSymbols, DnaOptions], scores: Tensor, codes: Tensor, lengths: Tensor
) -> list[npt.NDArray[np.int64]]:
    """Decodes the best path of each row."""
    crf = fitted.model.crf
    if isinstance(crf, GrammarCRF):
        return best_paths(_automaton(crf), scores, codes, lengths)
    states = plain_states(fitted.symbols)[scores.argmax(-1).numpy()]
    return [states[:size, row] for row, size in enumerate(lengths.tolist())]


def label_probabilities(
    fitted: Fitted[GeneSymbols, DnaOptions], scores: Tensor, codes: Tensor, lengths: Tensor
) -> Tensor:
    """The probability of each label at each base, (time, batch, label)."""
    symbols: GeneSymbols = fitted.symbols
    crf = fitted.model.crf
    if isinstance(crf, GrammarCRF):
        groups = torch.tensor([LABELS.index(label) for label in symbols.grammar.labels])
        return crf.marginals(scores, codes, lengths, groups)
    each = scores.softmax(-1)
    kinds = torch.tensor([LABELS.index(c[0]) for c in plain_classes(symbols)])
    return torch.zeros(*each.shape[:2], 4).index_add_(2, kinds, each)


def states_in_pieces(
    fitted: Fitted[GeneSymbols, DnaOptions],
    length: int,
    codes: Callable[[int, int], Codes],
    size: int = PIECE,
) -> Iterator[npt.NDArray[np.int64]]:
    """Yields the best path of a sequence, as far as it is decided after each piece."""
    model = fitted.model
    assert isinstance(model, BaseTagger)

    def read_codes(start: int, end: int) -> Tensor:
        return torch.from_numpy(codes(start, end).astype(np.int64))

    search = None if model.crf is None else PathSearch(_automaton(model.crf))
    begin = 0
    for scores in model.in_pieces(length, read_codes, size):
        if search is None:
            yield plain_states(fitted.symbols)[scores.argmax(-1).numpy()]
        else:
            yield search.feed(scores, read_codes(begin, begin + len(scores)))
        begin += len(scores)
    if search is not None:
        yield search.finish()
