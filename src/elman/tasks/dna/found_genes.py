"""Converts a path through the grammar to genes, and writes GFF3 and BED.

``StateRuns`` takes states in pieces and stores only their changes, so that the path of a chromosome
is never in memory as a whole.  ``gff3.py`` reads genes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from elman.tasks.dna.genes import CodingGene, Part
from elman.tasks.dna.grammar import Grammar


class Run(NamedTuple):
    """Bases ``start`` to ``end`` (exclusive) with one label, strand and gene.

    ``first`` and ``last`` are the names of the first and last state.
    """

    label: str
    strand: str
    start: int
    end: int
    first: str
    last: str
    #: whether a new gene starts directly after the previous one
    begins_gene: bool


class StateRuns:
    """Collects the runs of states with one label, from states in pieces.

    >>> from elman.tasks.dna.grammar import gene_grammar
    >>> grammar = gene_grammar(both_strands=False)
    >>> runs = StateRuns(grammar)
    >>> for name in ("N", "N", "U5", "S1", "S2"):
    ...     runs.feed(np.array([grammar.index(name)]))
    >>> [(run.label, run.start, run.end) for run in runs.finish()]
    [('N', 0, 2), ('U', 2, 3), ('E', 3, 5)]
    """

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self.length = 0
        minus = np.array([name.endswith("-") for name in grammar.states])
        self._kinds = np.array(["NUEI".index(label) for label in grammar.labels]) + 4 * minus
        # adjacent genes: a new gene may start without a change of label
        fives = np.array([name.rstrip("-") in ("U5", "S1") for name in grammar.states])
        threes = np.array([name.rstrip("-")[0] in "EX" for name in grammar.states])
        threes |= np.array([name.rstrip("-") == "U3" for name in grammar.states])
        self._ends = np.where(minus, fives, threes)
        self._begins = np.where(minus, threes, fives)
        #: start, first state, whether it starts a gene
        self._open: tuple[int, int, bool] | None = None
        self._last = 0
        self._done: list[Run] = []

    def feed(self, states: npt.NDArray[np.integer[Any]]) -> None:
        """Processes the next states."""
        if not len(states):
            return
        begin = self.length
        before = np.concatenate([[states[0] if self._open is None else self._last], states[:-1]])
        kinds, kinds_before = self._kinds[states], self._kinds[before]
        new_gene = (kinds // 4 == kinds_before // 4) & self._ends[before] & self._begins[states]
        new_gene &= ~((before == states) | (kinds == 0) | (kinds_before == 0))
        changes = np.flatnonzero((kinds != kinds_before) | new_gene)
        if self._open is None:
            self._open = (0, int(states[0]), False)
        for k in changes.tolist():
            self._close(begin + k, int(before[k]))
            self._open = (begin + k, int(states[k]), bool(new_gene[k]))
        self._last = int(states[-1])
        self.length += len(states)

    def finish(self) -> list[Run]:
        """Returns all runs."""
        if self._open is not None:
            self._close(self.length, self._last)
            self._open = None
        return self._done

    def _close(self, end: int, last: int) -> None:
        assert self._open is not None
        start, first, begins = self._open
        names = self.grammar.states
        label, strand = self.grammar.labels[first], "-" if names[first].endswith("-") else "+"
        self._done.append(Run(label, strand, start, end, names[first], names[last], begins))


def genes_of(runs: Sequence[Run], name: str) -> list[CodingGene]:
    """Builds genes from runs; ignores genes with nothing but an intron."""
    found: list[CodingGene] = []
    group: list[Run] = []
    for run in [*runs, Run("N", "+", 0, 0, "N", "N", False)]:
        if group and (run.label == "N" or run.begins_gene or run.strand != group[-1].strand):
            exons = _joined([(r.start, r.end) for r in group if r.label != "I"])
            coding = [r for r in group if r.label == "E"]
            if exons:
                strand = group[0].strand
                phase = 0
                if coding:
                    phase = _phase(coding[0].first if strand == "+" else coding[-1].last)
                found.append(
                    CodingGene(
                        f"{name}.{len(found) + 1}",
                        "+" if strand == "+" else "-",
                        tuple(exons),
                        tuple([(r.start, r.end) for r in coding]),
                        phase,
                    )
                )
            group = []
        if run.label != "N":
            group.append(run)
    return found


def _joined(parts: Iterable[Part]) -> list[Part]:
    found: list[Part] = []
    for start, end in parts:
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def _phase(state: str) -> int:
    """The phase of a coding part that starts with this state."""
    if state.startswith(("E1", "X2", "S2")):
        return 2
    return 1 if state.startswith(("E2", "X3", "S3")) else 0


@dataclass(frozen=True)
class FoundGene:
    """A predicted gene, and the mean coding probability of its coding bases.

    ``partial`` says which ends are not those of the gene, because the sequence ends there:
    "start", "end", both or none, along the given strand.
    """

    gene: CodingGene
    probability: float | None = None
    partial: tuple[str, ...] = ()


def partial_ends(runs: Sequence[Run], gene: CodingGene, length: int) -> tuple[str, ...]:
    """The ends of a gene at which the sequence ends: "start", "end" or both.

    A gene that starts inside an intron has its first exon later than its first run.
    """
    whole = [run for run in runs if run.label != "N" and run.strand == gene.strand]
    found = []
    if runs and runs[0] in whole and gene.start <= _first_exon(whole):
        found.append("start")
    if runs and runs[-1] in whole and runs[-1].end == length and gene.end >= _last_exon(whole):
        found.append("end")
    return tuple(found)


def _first_exon(runs: Sequence[Run]) -> int:
    return next((run.start for run in runs if run.label != "I"), -1)


def _last_exon(runs: Sequence[Run]) -> int:
    return next((run.end for run in reversed(runs) if run.label != "I"), -1)


def gff3_text(found: Sequence[tuple[str, int, Sequence[FoundGene]]]) -> str:
    """GFF3 for (sequence, length, genes): gene, mRNA, exon, CDS with phase, and UTRs.

    >>> gene = CodingGene("s.1", "+", ((2, 9),), ((3, 9),))
    >>> gff3_text([("s", 20, [FoundGene(gene, 0.9)])]).splitlines()[4].split()[2:5]
    ['exon', '3', '9']
    """
    lines = ["##gff-version 3"]
    for sequence, length, genes in found:
        seq = quote(sequence, safe="")
        lines.append(f"##sequence-region {seq} 1 {length}")
        for each in genes:
            lines += _gene_lines(seq, each)
    return "\n".join(lines) + "\n"


def _gene_lines(sequence: str, found: FoundGene) -> list[str]:
    gene = found.gene
    name = quote(gene.name, safe="")
    score = "." if found.probability is None else f"{found.probability:.3f}"

    def line(kind: str, part: Part, attributes: str, score: str = ".", phase: str = ".") -> str:
        start, end = part
        columns = (sequence, "elman", kind, start + 1, end, score, gene.strand, phase, attributes)
        return "\t".join(map(str, columns))

    whole = (gene.start, gene.end)
    # the attributes of NCBI: the gene goes on beyond the end of the sequence
    partial = ";partial=true" if found.partial else ""
    if "start" in found.partial:
        partial += f";start_range=.,{gene.start + 1}"
    if "end" in found.partial:
        partial += f";end_range={gene.end},."
    lines = [
        line("gene", whole, f"ID={name}{partial}", score),
        line("mRNA", whole, f"ID={name}.mRNA;Parent={name}{partial}", score),
    ]
    parent = f"Parent={name}.mRNA"
    lines += [
        line("exon", part, f"ID={name}.exon{k};{parent}") for k, part in enumerate(gene.exons, 1)
    ]
    done = -gene.phase
    phases = {}
    for start, end in gene.coding if gene.strand == "+" else gene.coding[::-1]:
        phases[start] = str(-done % 3)
        done += end - start
    lines += [
        line("CDS", part, f"ID={name}.cds;{parent}", score, phases[part[0]]) for part in gene.coding
    ]
    for part in _untranslated(gene):
        before = part[0] < gene.coding[0][0]
        kind = "five_prime_UTR" if before == (gene.strand == "+") else "three_prime_UTR"
        lines.append(line(kind, part, parent))
    return lines


def _untranslated(gene: CodingGene) -> list[Part]:
    if not gene.coding:
        return []
    first, last = gene.coding[0][0], gene.coding[-1][1]
    before = [(start, min(end, first)) for start, end in gene.exons if start < first]
    return before + [(max(start, last), end) for start, end in gene.exons if end > last]


def bed_text(found: Sequence[tuple[str, int, Sequence[FoundGene]]]) -> str:
    """BED12 with a line per gene: exons are blocks, the coding region is thick.

    >>> gene = CodingGene("s.1", "+", ((2, 9), (12, 20)), ((3, 9), (12, 15)))
    >>> bed_text([("s", 20, [FoundGene(gene, 0.9)])]).split()[1:9]
    ['2', '20', 's.1', '900', '+', '3', '15', '0']
    """
    lines = []
    for sequence, _, genes in found:
        for each in genes:
            gene = each.gene
            score = 0 if each.probability is None else round(1000 * each.probability)
            thick = (
                (gene.coding[0][0], gene.coding[-1][1]) if gene.coding else (gene.start, gene.start)
            )
            columns = (
                *(sequence, gene.start, gene.end, gene.name, score, gene.strand, *thick, 0),
                len(gene.exons),
                ",".join([str(end - start) for start, end in gene.exons]),
                ",".join([str(start - gene.start) for start, _ in gene.exons]),
            )
            lines.append("\t".join(map(str, columns)) + "\n")
    return "".join(lines)
