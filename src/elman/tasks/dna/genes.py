"""Protein-coding genes: the positions of exons and coding parts on a sequence.

Positions count from 0 along the given strand; ends are exclusive.  ``gff3.py`` reads files of
genes; ``grammar.py`` defines which genes are valid.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Part = tuple[int, int]


@dataclass(frozen=True)
class CodingGene:
    """One transcript of a gene: its exons and its coding parts, each sorted.

    ``phase`` is the number of first coding bases, on the strand of the gene, that complete a codon
    whose start is missing: 0 for a complete gene.
    """

    name: str
    strand: Literal["+", "-"]
    exons: tuple[Part, ...]
    coding: tuple[Part, ...]
    phase: int = 0

    @property
    def start(self) -> int:
        """The position of the first base."""
        return self.exons[0][0]

    @property
    def end(self) -> int:
        """The position after the last base."""
        return self.exons[-1][1]

    @property
    def coding_length(self) -> int:
        """The number of coding bases."""
        return sum(end - start for start, end in self.coding)

    def moved(self, by: int) -> CodingGene:
        """The gene shifted by ``by`` bases."""
        exons, coding = (
            tuple([(start + by, end + by) for start, end in parts])
            for parts in (self.exons, self.coding)
        )
        return CodingGene(self.name, self.strand, exons, coding, self.phase)

    def reverse_complement(self, length: int) -> CodingGene:
        """The gene on the reverse complement of a sequence of this length."""
        exons, coding = (
            tuple([(length - end, length - start) for start, end in reversed(parts)])
            for parts in (self.exons, self.coding)
        )
        return CodingGene(self.name, "-" if self.strand == "+" else "+", exons, coding, self.phase)


def label_bases(length: int, genes: Sequence[CodingGene]) -> str:
    """One letter per base: N outside, U untranslated, E coding exon, I intron.

    >>> gene = CodingGene("g", "+", ((2, 6), (9, 12)), ((3, 6), (9, 11)))
    >>> label_bases(14, [gene])
    'NNUEEEIIIEEUNN'
    """
    labels = bytearray(b"N" * length)
    for gene in genes:
        labels[gene.start : gene.end] = b"I" * (gene.end - gene.start)
        for letter, parts in ((b"U", gene.exons), (b"E", gene.coding)):
            for start, end in parts:
                labels[start:end] = letter * (end - start)
    return labels.decode()


def coding_parts(labels: str) -> list[Part]:
    """The positions of the runs of E.

    >>> coding_parts("NEEIEE")
    [(1, 3), (4, 6)]
    """
    return [match.span() for match in re.finditer("E+", labels)]
