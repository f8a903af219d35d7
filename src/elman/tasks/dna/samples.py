"""Generated genes for ``elman new``, as FASTA and GFF3.

They follow the rules of real genes (ATG, codons, GT..AG, a stop codon) with exaggerated signals,
so that a small model learns them in a minute.
"""

from __future__ import annotations

import numpy as np

from elman.tasks.dna.bases import reverse_complement
from elman.tasks.dna.found_genes import FoundGene, gff3_text
from elman.tasks.dna.genes import CodingGene, Part
from elman.tasks.dna.grammar import STOPS

#: codons of the generated genes
_FAVOURITES = ("GCC", "CTG", "GAG", "AAG", "GGC", "GTG", "ATC", "CCC", "AGC", "GAC")


def sample_genes(count: int, seed: int) -> tuple[str, str]:
    """FASTA and GFF3 of ``count`` sequences with one gene each, a third on the reverse strand."""
    random = np.random.default_rng(seed)
    fasta: list[str] = []
    found = []
    for k in range(count):
        name = f"s{k + 1}"
        bases, gene = _sequence(random, name)
        if k % 3 == 2:
            bases, gene = reverse_complement(bases), gene.reverse_complement(len(bases))
        lines = [bases[at : at + 60] for at in range(0, len(bases), 60)]
        fasta += [f">{name}", *lines]
        found.append((name, len(bases), [FoundGene(gene)]))
    return "\n".join(fasta) + "\n", gff3_text(found)


def _sequence(random: np.random.Generator, name: str) -> tuple[str, CodingGene]:
    """Generates outside bases, 5' end, coding parts separated by introns, 3' end, outside bases."""
    codons = random.choice(_FAVOURITES, int(random.integers(20, 40)))
    coding = "ATG" + "".join(codons) + str(random.choice(STOPS))
    cuts = np.sort(random.choice(np.arange(10, len(coding) - 10, 10), 2, replace=False))
    pieces = [coding[a:b] for a, b in zip([0, *cuts], [*cuts, len(coding)], strict=True)]
    bases = _random(random, "ATATATGC", int(random.integers(20, 40)))
    begins = len(bases)
    bases += _random(random, "CTCTCTGA", int(random.integers(10, 20))) + "AAAACC"
    parts: list[Part] = []
    for k, piece in enumerate(pieces):
        if k:
            inside = _random(random, "TTTTTTAC", int(random.integers(18, 30)))
            bases += f"GTAAGT{inside}TTTTCAG"
        parts.append((len(bases), len(bases) + len(piece)))
        bases += piece
    bases += _random(random, "GTGTGTAC", int(random.integers(10, 20))) + "AATAAA"
    ends = len(bases)
    bases += _random(random, "ATATATGC", int(random.integers(20, 40)))
    exons = [list(part) for part in parts]
    exons[0][0], exons[-1][1] = begins, ends
    return bases, CodingGene(
        f"{name}.gene", "+", tuple([(start, end) for start, end in exons]), tuple(parts)
    )


def _random(random: np.random.Generator, letters: str, length: int) -> str:
    return "".join(random.choice(list(letters), length))
