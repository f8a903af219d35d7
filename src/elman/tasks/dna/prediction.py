"""Finds genes in sequences of any length."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from elman.tasks.dna.answers import Reading
from elman.tasks.dna.bases import Codes, encode_bases
from elman.tasks.dna.data import pad_codes
from elman.tasks.dna.fasta import Bases
from elman.tasks.dna.found_genes import FoundGene, StateRuns, genes_of, partial_ends
from elman.tasks.dna.grammar import LABELS, Grammar
from elman.tasks.dna.options import DnaOptions, GeneFileOptions
from elman.tasks.dna.paths import PIECE, best_states, label_probabilities, states_in_pieces
from elman.tasks.dna.symbols import GeneSymbols
from elman.tasks.inference import in_batches
from elman.tasks.task import Fitted


def predict(
    fitted: Fitted[GeneSymbols, DnaOptions], inputs: Sequence[Bases], wanted: GeneFileOptions
) -> list[Reading]:
    """Predicts labels and genes; reads sequences longer than ``PIECE`` in pieces."""
    short = [k for k, each in enumerate(inputs) if 0 < len(each) <= PIECE]
    answered = in_batches(
        fitted.model, [inputs[k] for k in short], len, partial(_read_batch, fitted)
    )
    readings = dict(zip(short, answered, strict=True))
    fitted.model.eval()
    return [
        readings[k] if k in readings else _read_long(fitted, each) for k, each in enumerate(inputs)
    ]


def _read_long(fitted: Fitted[GeneSymbols, DnaOptions], sequence: Bases) -> Reading:
    """Predicts the genes of a long or empty sequence."""
    if not len(sequence):
        return Reading(sequence.name, 0, ())
    return read_in_pieces(fitted, sequence)


def _read_batch(fitted: Fitted[GeneSymbols, DnaOptions], batch: Sequence[Bases]) -> list[Reading]:
    texts = [each.part(0, len(each)) for each in batch]
    codes, lengths = pad_codes([encode_bases(text) for text in texts])
    scores = fitted.model(codes, lengths)
    probabilities = label_probabilities(fitted, scores, codes, lengths)
    readings = []
    for row, states in enumerate(best_states(fitted, scores, codes, lengths)):
        grammar = fitted.symbols.grammar
        own = probabilities[: len(states), row].numpy()
        readings.append(
            Reading(
                name=batch[row].name,
                length=len(states),
                genes=_genes(grammar, [states], batch[row].name, own),
                bases=texts[row],
                labels="".join([grammar.labels[k] for k in states]),
                probabilities=own,
            )
        )
    return readings


def read_in_pieces(
    fitted: Fitted[GeneSymbols, DnaOptions], sequence: Bases, size: int = PIECE
) -> Reading:
    """Predicts the genes of a sequence of any length, ``size`` bases at a time.

    The result is the same as for the whole sequence at once.
    """

    def codes(start: int, end: int) -> Codes:
        return encode_bases(sequence.part(start, end))

    states = states_in_pieces(fitted, len(sequence), codes, size)
    genes = _genes(fitted.symbols.grammar, states, sequence.name, None)
    return Reading(sequence.name, len(sequence), genes)


def _genes(
    grammar: Grammar, states: Any, name: str, probabilities: npt.NDArray[np.float32] | None
) -> tuple[FoundGene, ...]:
    runs = StateRuns(grammar)
    for piece in states:
        runs.feed(piece)
    found = []
    done = runs.finish()
    for gene in genes_of(done, name):
        probability = None
        if probabilities is not None and gene.coding:
            inside = np.concatenate([probabilities[a:b, LABELS.index("E")] for a, b in gene.coding])
            probability = float(inside.mean())
        found.append(FoundGene(gene, probability, partial_ends(done, gene, runs.length)))
    return tuple(found)
