"""Coding parts that end before their stop codon, as in GTF, although no line gives the stop codon.

Programs differ: in GFF3 and GenBank the stop codon is a part of the CDS; in GTF it is a feature of
its own, and files that were converted have often lost it.
"""

from __future__ import annotations

from dataclasses import replace

from elman.tasks.dna.bases import reverse_complement
from elman.tasks.dna.genes import CodingGene
from elman.tasks.dna.grammar import STOPS


def with_stop_codon(bases: str, gene: CodingGene) -> CodingGene | None:
    """The gene with the three bases after its coding part, if those are its stop codon.

    None if the coding part ends with a stop codon, or if no stop codon follows.

    >>> gene = CodingGene("g", "+", ((0, 9),), ((0, 6),))
    >>> with_stop_codon("ATGCCCTAA", gene).coding
    ((0, 9),)
    >>> with_stop_codon("ATGCCCTAA", replace(gene, coding=((0, 9),))) is None
    True
    """
    if gene.strand == "-":
        found = with_stop_codon(reverse_complement(bases), gene.reverse_complement(len(bases)))
        return None if found is None else found.reverse_complement(len(bases))
    if (gene.coding_length - gene.phase) % 3 or gene.coding_length < 3:
        return None
    inside = [k for start, end in gene.coding for k in range(start, end)][-3:]
    end = gene.coding[-1][1]
    after = [k for start, stop in gene.exons for k in range(start, stop) if k >= end]
    after = (after or list(range(end, end + 3)))[:3]
    if len(after) < 3 or after[-1] >= len(bases):
        return None
    codon = "".join([bases[k] for k in after]).upper().replace("U", "T")
    last = "".join([bases[k] for k in inside]).upper().replace("U", "T")
    if codon not in STOPS or last in STOPS:
        return None
    coding = list(gene.coding)
    for k in after:
        if coding[-1][1] == k:
            coding[-1] = (coding[-1][0], k + 1)
        else:
            coding.append((k, k + 1))
    exons = list(gene.exons)
    exons[-1] = (exons[-1][0], max(exons[-1][1], after[-1] + 1))
    return replace(gene, exons=tuple(exons), coding=tuple(coding))
