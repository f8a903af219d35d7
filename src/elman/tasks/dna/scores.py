"""Evaluates gene finding: bases, exact exons, whole genes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from typing import Any

import numpy as np
import numpy.typing as npt

from elman.tasks.dna.bases import Codes
from elman.tasks.dna.data import Segment, collate, judged_path
from elman.tasks.dna.found_genes import StateRuns, genes_of
from elman.tasks.dna.genes import CodingGene
from elman.tasks.dna.grammar import LABELS, Grammar, gene_grammar
from elman.tasks.dna.options import DnaOptions, GeneFileOptions
from elman.tasks.dna.paths import PIECE, best_states, states_in_pieces
from elman.tasks.dna.symbols import GeneSymbols
from elman.tasks.inference import in_batches
from elman.tasks.task import Fitted
from elman.training.metrics import Score


def score(
    fitted: Fitted[GeneSymbols, DnaOptions], examples: Sequence[Segment], wanted: GeneFileOptions
) -> dict[str, Any]:
    """Scores of bases, of exact coding exons and of whole genes, and what they leave out.

    An exon is correct if both its ends and its strand are, a gene if all its coding exons are.
    ``coding_f1`` compares coding bases with their strands.  ``whole_genes`` is the fraction of
    sequences whose exons are all correct and complete.  ``left_out`` counts the genes of the
    annotation that the model cannot judge, by reason.
    """
    symbols: GeneSymbols = fitted.symbols
    grammar = symbols.grammar
    labels = np.array([LABELS.index(label) for label in grammar.labels])
    losses, steps = [], []
    table = np.zeros((4, 4), dtype=np.int64)
    exons, genes, coding = (_Matches() for _ in range(3))
    left_out: Counter[str] = Counter()
    whole = 0

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
        path = judged_path(example, symbols)
        left_out.update(example.left_out)
        if path is not example.path:
            both = gene_grammar(both_strands=True, shortest_intron=symbols.shortest_intron)
            other = [gene for gene in _genes(both, example.path) if gene.strand == "-"]
            left_out[_OTHER_STRAND] += len(other)
        np.add.at(table, (labels[path], labels[states]), 1)
        expected, found = _genes(grammar, path), _genes(grammar, states)
        own = exons.add(_exons(expected), _exons(found))
        genes.add({(g.strand, g.coding) for g in expected}, {(g.strand, g.coding) for g in found})
        for strand in "+-":
            coding.add(*[{(strand, x) for x in _bases(each, strand)} for each in (expected, found)])
        whole += own
    per_label = {
        label: Score.of(int(table[k, k]), int(table[k].sum()), int(table[:, k].sum()))
        for k, label in enumerate(LABELS)
    }
    return {
        "base_accuracy": float(table.trace() / table.sum()),
        "exon_f1": exons.of().f1,
        "exon_precision": exons.of().precision,
        "exon_recall": exons.of().recall,
        "coding_f1": coding.of().f1,
        "gene_f1": genes.of().f1,
        "whole_genes": whole / len(examples),
        "genes": genes.there,
        "per_type": {
            label: {"precision": each.precision, "recall": each.recall, "f1": each.f1}
            for label, each in per_label.items()
        },
        "per_strand": {
            strand: {
                "exon_f1": exons.of(strand).f1,
                "coding_f1": coding.of(strand).f1,
                "gene_f1": genes.of(strand).f1,
            }
            for strand in ("+", "-")[: 2 if symbols.both_strands else 1]
        },
        "left_out": dict(left_out),
        # there is no loss for sequences that are read in pieces
        **({"loss": sum(losses) / sum(steps)} if sum(steps) else {}),
        "examples": len(examples),
    }


#: a reason why genes are left out, as a clause after "genes that"
_OTHER_STRAND = "are on the - strand, which this model does not read"


class _Matches:
    """Counts the things that are annotated, found, and both; each is a tuple with its strand."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, expected: Set[tuple[Any, ...]], found: Set[tuple[Any, ...]]) -> bool:
        """Counts these; returns whether they are the same."""
        for name, each in (("right", expected & found), ("there", expected), ("found", found)):
            self._counts.update((name, item[0]) for item in each)
        return expected == found

    @property
    def there(self) -> int:
        """How many are annotated."""
        return self._counts["there", "+"] + self._counts["there", "-"]

    def of(self, strands: str = "+-") -> Score:
        """Precision, recall and F1 of these strands."""
        sums = [
            sum(self._counts[name, strand] for strand in strands)
            for name in ("right", "there", "found")
        ]
        return Score.of(*sums)


def _genes(grammar: Grammar, states: npt.NDArray[Any]) -> list[CodingGene]:
    """The genes of a path, without those that have no coding part."""
    runs = StateRuns(grammar)
    runs.feed(states.astype(np.int64))
    return [gene for gene in genes_of(runs.finish(), "") if gene.coding]


def _exons(genes: Iterable[CodingGene]) -> set[tuple[Any, ...]]:
    return {(gene.strand, *part) for gene in genes for part in gene.coding}


def _bases(genes: Iterable[CodingGene], strand: str) -> Iterator[int]:
    for gene in genes:
        if gene.strand == strand:
            for start, end in gene.coding:
                yield from range(start, end)


def _slices(codes: Codes) -> Callable[[int, int], Codes]:
    return lambda start, end: codes[start:end]
