"""Evaluates gene finding: bases, exact exons, whole genes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from elman.tasks.dna.bases import Codes
from elman.tasks.dna.data import Segment, collate
from elman.tasks.dna.genes import coding_parts
from elman.tasks.dna.grammar import LABELS
from elman.tasks.dna.options import DnaOptions, GeneFileOptions
from elman.tasks.dna.paths import PIECE, best_states, states_in_pieces
from elman.tasks.dna.symbols import GeneSymbols
from elman.tasks.inference import in_batches
from elman.tasks.task import Fitted
from elman.training.metrics import Score
from elman.training.watch import CHANCE


def validate(
    fitted: Fitted[GeneSymbols, DnaOptions], examples: Sequence[Segment]
) -> dict[str, Any]:
    """The metrics, and the F1 of a baseline that finds no exons (zero)."""
    return {**score(fitted, examples, GeneFileOptions()), CHANCE: 0.0}


def score(
    fitted: Fitted[GeneSymbols, DnaOptions], examples: Sequence[Segment], wanted: GeneFileOptions
) -> dict[str, Any]:
    """Base accuracy, F1 of exact coding exons, the fraction of whole genes, and scores per label.

    An exon is correct if both its ends are, a gene if all its exons are.
    """
    symbols: GeneSymbols = fitted.symbols
    labels = np.array([LABELS.index(label) for label in symbols.grammar.labels])
    losses, steps = [], []
    table = np.zeros((4, 4), dtype=np.int64)
    right = there = found = whole = 0

    def answer(batch: Sequence[Segment]) -> list[npt.NDArray[np.int64]]:
        tensors = collate(batch, symbols, fitted.options)
        scores = fitted.model(tensors["codes"], tensors["lengths"])
        loss = fitted.model.loss_of(scores, **tensors)  # type: ignore[operator]
        losses.append(float(loss) * int(tensors["lengths"].sum()))
        steps.append(int(tensors["lengths"].sum()))
        return best_states(fitted, scores, tensors["codes"], tensors["lengths"])

    short = [k for k, example in enumerate(examples) if len(example) <= PIECE]
    answered = in_batches(fitted.model, [examples[k] for k in short], len, answer)
    known = dict(zip(short, answered, strict=True))
    for k, example in enumerate(examples):
        states = known.get(k)
        if states is None:
            pieces = states_in_pieces(fitted, len(example), _slices(example.codes))
            states = np.concatenate(list(pieces))
        expected, predicted = labels[example.path], labels[states]
        np.add.at(table, (expected, predicted), 1)
        exons, guesses = (
            set(coding_parts("".join([LABELS[k] for k in row]))) for row in (expected, predicted)
        )
        right, there, found = right + len(exons & guesses), there + len(exons), found + len(guesses)
        whole += exons == guesses
    exon = Score.of(right, there, found)
    per_label = {
        label: Score.of(int(table[k, k]), int(table[k].sum()), int(table[:, k].sum()))
        for k, label in enumerate(LABELS)
    }
    return {
        "base_accuracy": float(table.trace() / table.sum()),
        "exon_f1": exon.f1,
        "exon_precision": exon.precision,
        "exon_recall": exon.recall,
        "whole_genes": whole / len(examples),
        "per_type": {
            label: {"precision": each.precision, "recall": each.recall, "f1": each.f1}
            for label, each in per_label.items()
        },
        # there is no loss for sequences that are read in pieces
        **({"loss": sum(losses) / sum(steps)} if sum(steps) else {}),
        "examples": len(examples),
    }


def _slices(codes: Codes) -> Callable[[int, int], Codes]:
    return lambda start, end: codes[start:end]
