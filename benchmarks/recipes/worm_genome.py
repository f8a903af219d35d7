"""Training, validation and test data for gene finding in a genome: one hundredth of C. elegans.

    >>> paths = worm_genome(Path("runs/data"))  # doctest: +SKIP
    >>> paths = worm_genome(Path("runs/data"), held_out="IV")  # doctest: +SKIP

Chromosome III is the test set, X the validation set, and the others are training data.  X has only
ten genes, so choices were made on another split, in which ``held_out`` is validation data too.  The
genes of smallgenes (numbers that end in 0 or 1 excepted, which stay test and validation data) are
joined to sequences with pieces of what lies between the training genes; genes that share 60 bases
with test or validation data, on either strand, are left out.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from elman.data.faults import Row
from elman.files import write_whole
from elman.tasks.dna.bases import reverse_complement
from elman.tasks.dna.found_genes import FoundGene, gff3_text
from elman.tasks.dna.genes import CodingGene
from elman.tasks.dna.loci import Locus, locus_rows
from recipes.real_data import SOURCE, smallgenes

TRAINING = ("I", "II", "IV", "V")
#: two sequences that share this many bases are the same gene
_SHARED = 60
#: number of genes in a joined sequence
_JOINED = 10


def worm_genome(folder: Path, held_out: str = "") -> dict[str, Path]:
    """Writes the files; returns the training folder, and the validation and test FASTA.

    ``windows`` is the validation data in parts without pseudogenes, which training scores after
    each epoch.  ``held_out`` names a chromosome of the training data that becomes validation data.
    """
    target = folder / (f"worm-genome-without-{held_out}" if held_out else "worm-genome")
    chromosomes = {
        "train": [name for name in TRAINING if name != held_out],
        "valid": [name for name in (held_out, "X") if name],
        "test": ["III"],
    }
    paths = {part: target / part / "genome.fa" for part in chromosomes}
    windows = paths["valid"].with_name("windows-without-pseudogenes.fa")
    found = {**paths, "train": paths["train"].parent, "windows": windows}
    if windows.with_suffix(".gff3").exists():  # the last file that is written
        return found
    for part, names in chromosomes.items():
        fasta, annotation = [_text(f"celegans_1pct.{ending}.gz") for ending in ("fa", "gff3")]
        blocks = {block.split()[0]: f">{block}" for block in fasta.split(">")[1:]}
        lines = [line for line in annotation.splitlines(True) if line.split("\t")[0] in names]
        paths[part].parent.mkdir(parents=True, exist_ok=True)
        write_whole(paths[part], "".join([blocks[name] for name in names]))
        write_whole(paths[part].with_suffix(".gff3"), "".join(lines))
    genome = _loci(paths["train"])
    unseen = "".join(
        [each.bases + "|" for part in ("valid", "test") for each in _loci(paths[part])]
    )
    both = unseen + reverse_complement(unseen.replace("|", "N"))
    small = [
        locus
        for locus in _loci(smallgenes(folder)["train"])
        if len(locus.genes) == 1 and not _shares(locus.bases.upper(), both.upper())
    ]
    between = _between(genome, paths["train"].with_suffix(".gff3"))
    fasta, annotation = _joined(small, between, np.random.default_rng(0))
    write_whole(paths["train"].with_name("joined.fa"), fasta)
    write_whole(paths["train"].with_name("joined.gff3"), annotation)
    fasta, annotation = _windows(_loci(paths["valid"]), pseudogenes(paths["valid"]))
    write_whole(windows, fasta)
    write_whole(windows.with_suffix(".gff3"), annotation)
    return found


def pseudogenes(fasta: Path) -> list[tuple[str, int, int]]:
    """The pseudogenes of an annotated FASTA file: (sequence, start, end)."""
    lines = fasta.with_suffix(".gff3").read_text(encoding="utf-8").splitlines()
    columns = [line.split("\t") for line in lines]
    return [(c[0], int(c[3]) - 1, int(c[4])) for c in columns if c[2] == "pseudogenic_transcript"]


def _windows(
    loci: list[Locus], pseudogenes: list[tuple[str, int, int]], longest: int = 20_000
) -> tuple[str, str]:
    """What lies outside of pseudogenes, in parts of about ``longest`` bases with whole genes."""
    fasta: list[str] = []
    found = []
    for locus in loci:
        free = np.ones(len(locus), dtype=bool)
        for name, start, end in pseudogenes:
            free[start:end] &= name != locus.name
        for gene in locus.genes:
            free[gene.start : gene.end] = True
        edges = np.flatnonzero(np.diff(np.concatenate([[0], free, [0]])))
        for first, last in edges.reshape(-1, 2).tolist():
            start = first
            while start < last:
                end = min(last, start + longest)
                for gene in locus.genes:
                    if gene.start < end < gene.end:
                        end = min(last, gene.end + 200)
                genes = [FoundGene(g.moved(-start)) for g in locus.genes if start <= g.start < end]
                name = f"{locus.name}.{start + 1}"
                fasta.append(f">{name}\n{locus.bases[start:end]}\n")
                found.append((name, end - start, genes))
                start = end
    return "".join(fasta), gff3_text(found)


def _text(name: str) -> str:
    with gzip.open(SOURCE / "dna" / name, "rt", encoding="utf-8") as file:
        return file.read()


def _loci(path: Path) -> list[Locus]:
    return [row.value for row in locus_rows(path) if isinstance(row, Row)]


def _shares(bases: str, held_out: str) -> bool:
    """Whether any piece of a sequence occurs in the sequences that are held out."""
    starts = range(0, max(1, len(bases) - _SHARED + 1), _SHARED // 2)
    return any(bases[k : k + _SHARED] in held_out for k in starts)


def _between(genome: list[Locus], annotation: Path) -> list[str]:
    """The sequences between the features of the annotation, of 200 bases and more."""
    found = []
    for locus in genome:
        free = np.ones(len(locus), dtype=bool)
        for line in annotation.read_text(encoding="utf-8").splitlines():
            columns = line.split("\t")
            if columns[0] == locus.name and columns[2] != "circular_ncRNA":
                free[max(0, int(columns[3]) - 50) : int(columns[4]) + 50] = False
        edges = np.flatnonzero(np.diff(np.concatenate([[0], free, [0]])))
        found += [
            locus.bases[start:end]
            for start, end in edges.reshape(-1, 2).tolist()
            if end - start >= 200
        ]
    return found


def _joined(small: list[Locus], between: list[str], random: np.random.Generator) -> tuple[str, str]:
    """FASTA and GFF3 of the genes in random order, on random strands, with pieces between them."""
    weights = np.array([len(each) for each in between], dtype=float)
    order = random.permutation(len(small))
    fasta: list[str] = []
    found = []
    for first in range(0, len(order), _JOINED):
        name, bases = f"joined{first // _JOINED + 1}", ""
        genes: list[CodingGene] = []
        for k in order[first : first + _JOINED]:
            bases += _piece(between, weights, random)
            locus = small[k]
            (gene,) = locus.genes
            start = max(0, gene.start - int(random.integers(20, 101)))
            end = min(len(locus), gene.end + int(random.integers(20, 101)))
            part, moved = locus.bases[start:end], gene.moved(-start)
            if random.random() < 0.5:
                part, moved = reverse_complement(part), moved.reverse_complement(len(part))
            genes.append(moved.moved(len(bases)))
            bases += part
        bases += _piece(between, weights, random)
        fasta.append(f">{name}\n{bases}\n")
        named = [
            FoundGene(CodingGene(f"{name}.{n}", g.strand, g.exons, g.coding, g.phase))
            for n, g in enumerate(genes, 1)
        ]
        found.append((name, len(bases), named))
    return "".join(fasta), gff3_text(found)


def _piece(between: list[str], weights: np.ndarray, random: np.random.Generator) -> str:
    """100 to 800 bases from between genes, on a random strand."""
    source = between[int(random.choice(len(between), p=weights / weights.sum()))]
    size = min(len(source), int(random.integers(100, 801)))
    start = int(random.integers(0, len(source) - size + 1))
    piece = source[start : start + size]
    return piece if random.random() < 0.5 else reverse_complement(piece)
