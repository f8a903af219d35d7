"""Reads and checks annotated sequences: pairs of FASTA and GFF3 or GTF files, or GenBank files.

A pair is ``genome.fa`` and ``genome.gff3`` in the same folder.  Users give either file, both
(``genome.fa,genes.gff3``), or a folder of pairs.  A GFF3 file may also contain the sequences.
``fasta.py``, ``gff3.py`` and ``genbank.py`` read the formats.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from elman.data.faults import Fault, Note, Place, Row
from elman.data.folders import files_below
from elman.data.report import DataReport
from elman.data.sources import data_files, is_folder, kind_of, why_not_a_file
from elman.stages import counted
from elman.tasks.dna.annotated_genes import UNDESCRIBED, Choice, LeftOut, gene_rows
from elman.tasks.dna.bases import Codes, encode_bases
from elman.tasks.dna.fasta import (
    ANNOTATION_ENDINGS,
    ENDINGS_GENBANK,
    fasta_rows,
    holds_sequences,
    is_annotation,
    is_fasta,
)
from elman.tasks.dna.fasta import ENDINGS as FASTA_ENDINGS
from elman.tasks.dna.fasta import Sequence as Bases
from elman.tasks.dna.genbank import genbank_rows, is_genbank
from elman.tasks.dna.genes import CodingGene, coding_parts, label_bases
from elman.tasks.dna.gff3 import Feature, gff3_rows
from elman.tasks.dna.grammar import LABELS, SHORTEST_INTRON, gene_grammar, gene_path
from elman.tasks.dna.sequence_names import matched_names
from elman.tasks.dna.stop_codons import with_stop_codon

_LISTED = 20  # problems or notes
#: fraction of genes without their stop codon from which on it is a convention of the file
_CONVENTION = 0.9


@dataclass(frozen=True, eq=False)
class Locus:
    """A sequence with its genes, as codes and as states of the grammar for both strands."""

    name: str
    bases: str
    genes: tuple[CodingGene, ...]
    codes: Codes
    path: npt.NDArray[np.int16]
    #: coding genes that are not used: their number by reason, a clause after "genes that"
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.bases)

    @property
    def labels(self) -> str:
        """One letter per base: N, U, E or I."""
        return label_bases(len(self), self.genes)


def locus_rows(
    path: Path, choice: Choice = "first", shortest_intron: int = SHORTEST_INTRON
) -> Iterator[Row[Locus] | Fault | Note]:
    """Yields the annotated sequences, faults and notes of a pair or a folder of pairs."""
    pairs = _pairs(path)
    if isinstance(pairs, Fault):
        yield pairs
        return
    for fasta, annotation in counted(pairs, f"reading the files of {path.name}"):
        if annotation is None:
            yield Fault(
                Place(fasta),
                f"the annotation {_stem(fasta)}.gff3 is missing from this folder; add it.",
            )
        else:
            yield from _pair_rows(fasta, annotation, choice, shortest_intron)


def _pairs(path: Path) -> list[tuple[Path, Path | None]] | Fault:
    if is_folder(path):
        inside = files_below(path)
        pairs = [(f, _beside(f, ANNOTATION_ENDINGS)) for f in inside if is_fasta(f)]
        taken = {annotation for _, annotation in pairs}
        others = [f for f in inside if is_annotation(f) and f not in taken]
        pairs += [(f, f) for f in others if holds_sequences(f)]
        pairs += [(f, f) for f in inside if is_genbank(f)]
        if not pairs:
            return Fault(
                Place(path),
                "there are no FASTA files in this folder; supported suffixes are "
                f"{', '.join([*FASTA_ENDINGS, *ENDINGS_GENBANK])}.",
            )
        return sorted(pairs, key=lambda pair: pair[0])
    files = data_files(path)
    for file in files:
        reason = why_not_a_file(file)
        if reason is not None:
            return Fault(Place(file), reason)
    if len(files) == 2:
        sequences, genes = sorted(files, key=is_fasta, reverse=True)
        return [(sequences, genes)]
    if is_genbank(path):
        return [(path, path)]
    if is_annotation(path):
        fasta = _beside(path, FASTA_ENDINGS) or (path if holds_sequences(path) else None)
        if fasta is None:
            return Fault(
                Place(path), f"the sequence {_stem(path)}.fa is missing from this folder; add it."
            )
        return [(fasta, path)]
    return [(path, _beside(path, ANNOTATION_ENDINGS))]


def _stem(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).stem


def _beside(path: Path, endings: Sequence[str]) -> Path | None:
    names = [_stem(path) + ending + packed for ending in endings for packed in ("", ".gz")]
    return next(
        (path.with_name(name) for name in names if kind_of(path.with_name(name)) == "file"), None
    )


def _pair_rows(
    fasta: Path, annotation: Path, choice: Choice, shortest_intron: int
) -> Iterator[Row[Locus] | Fault | Note]:
    sequences: list[Row[Bases]] = []
    features: list[Row[Feature]] = []
    read = (
        genbank_rows(fasta)
        if is_genbank(fasta)
        else itertools.chain(fasta_rows(fasta), gff3_rows(annotation))
    )
    for each in read:
        if isinstance(each, Fault):
            yield each
        elif isinstance(each.value, Feature):
            features.append(Row(each.place, each.value))
        else:
            sequences.append(Row(each.place, each.value))
    if not sequences:
        return
    sizes = {row.value.name: len(row.value) for row in sequences}
    named = dict.fromkeys([row.value.sequence for row in features])
    meant = matched_names(list(named), list(sizes))
    if meant:
        examples = ", ".join([f'"{a}" is read as "{b}"' for a, b in list(meant.items())[:3]])
        yield Note(Place(annotation), f"names differ from those of {fasta.name}: {examples}.")
        features = [
            Row(row.place, row.value._replace(sequence=meant.get(row.value.sequence, name)))
            for row in features
            for name in (row.value.sequence,)
        ]
    genes: dict[str, list[Row[CodingGene]]] = defaultdict(list)
    left: dict[str, Counter[str]] = defaultdict(Counter)
    for item in gene_rows(features, sizes, choice):
        if isinstance(item, Row):
            genes[item.value.sequence].append(Row(item.place, item.value.gene))
            continue
        if isinstance(item, LeftOut):
            left[item.sequence][item.reason] += 1
        yield item
    bases = {row.value.name: row.value.bases for row in sequences}
    yield from _with_stop_codons(genes, bases)
    for sequence in counted(sequences, f"labelling the sequences of {fasta.name}"):
        name = sequence.value.name
        yield from _locus(sequence, genes.get(name, []), shortest_intron, left[name])


def _with_stop_codons(
    genes: Mapping[str, list[Row[CodingGene]]], bases: Mapping[str, str]
) -> Iterator[Note]:
    """Finds coding parts that end before their stop codon.

    If nearly all do, that is the file's convention, and the genes are given their stop codons.
    """
    found: list[tuple[str, int, CodingGene]] = []
    judged = 0
    for name, rows in genes.items():
        for k, row in enumerate(rows):
            judged += 1
            longer = with_stop_codon(bases[name], row.value)
            after = rows[k + 1].value.start if k + 1 < len(rows) else len(bases[name])
            before = rows[k - 1].value.end if k else 0
            if longer is not None and longer.start >= before and longer.end <= after:
                found.append((name, k, longer))
    if not found:
        return
    name, k, longer = found[0]
    place, first = genes[name][k].place, longer.name
    if len(found) >= _CONVENTION * judged:
        yield Note(
            place,
            f"{len(found)} of {judged} genes have a coding part that ends before its stop codon, "
            f'such as "{first}"; they are read with their stop codons.',
        )
        for name, k, longer in found:
            genes[name][k] = Row(genes[name][k].place, longer)
        return
    for name, k, longer in found:
        yield Note(
            genes[name][k].place,
            f'the coding part of "{longer.name}" ends before its stop codon; add the codon to its '
            "last CDS.",
        )


def _locus(
    sequence: Row[Bases],
    genes: Sequence[Row[CodingGene]],
    shortest_intron: int,
    left_out: Counter[str],
) -> Iterator[Row[Locus] | Note]:
    """The sequence with its genes, without those that the grammar cannot describe."""
    grammar = gene_grammar(both_strands=True, shortest_intron=shortest_intron)
    name, bases = sequence.value.name, sequence.value.bases
    codes = encode_bases(bases)
    kept: list[CodingGene] = []
    for row in genes:
        gene = row.value
        # with one base on each side, because the grammar has rules for adjacent bases
        start, end = max(0, gene.start - 1), min(len(codes), gene.end + 1)
        try:
            path = gene_path(grammar, codes[start:end], [gene.moved(-start)])
        except ValueError as error:
            left_out[UNDESCRIBED] += 1
            yield Note(row.place, f'"{gene.name}" is ignored: {error}.')
            continue
        odd = np.flatnonzero(grammar.emission_costs[codes[start:end], path])
        if len(odd):
            at = start + int(odd[0])
            meaning = _violated_rule(grammar.states[path[odd[0]]])
            yield Note(
                row.place,
                f'"{gene.name}" has an unusual base {at + 1}, "{bases[at]}": {meaning}.',
            )
        kept.append(gene)
    if not kept:
        yield Note(sequence.place, f'"{name}" has no coding genes; all its bases count as outside.')
    path = gene_path(grammar, codes, kept)
    yield Row(sequence.place, Locus(name, bases, tuple(kept), codes, path, dict(left_out)))


def _violated_rule(state: str) -> str:
    if state.startswith("D"):
        return "introns start with GT or GC"
    if state.startswith("A"):
        return "introns end with AG"
    return "there is a stop codon within the gene"


def check_loci(
    path: Path, choice: Choice = "first", shortest_intron: int = SHORTEST_INTRON
) -> DataReport:
    """Checks the files that ``locus_rows`` reads.

    Facts: ``sequences``, ``bases``, ``genes``, ``exons`` (coding), ``introns``, ``strands``,
    ``labels`` (bases of each), ``masked`` and ``ambiguous`` bases, ``duplicates``.
    """
    items = list(locus_rows(path, choice, shortest_intron))
    loci = [item for item in items if isinstance(item, Row)]
    notes = [str(item) for item in items if isinstance(item, Note)]
    faults = [str(item) for item in items if isinstance(item, Fault)]
    genes = [gene for row in loci for gene in row.value.genes]
    labels = [row.value.labels for row in loci]
    first: dict[str, Place] = {}
    repeats = [
        (row.place, before)
        for row in loci
        if (before := first.setdefault(row.value.bases.upper(), row.place)) is not row.place
    ]
    notes += [f"{place}: duplicate of the sequence at {before}." for place, before in repeats]
    if loci and not genes:
        notes.append("there are no coding genes; training needs at least one.")
    facts: dict[str, object] = {
        "sequences": len(loci),
        "problems": len(faults),
        "bases": sum(len(row.value) for row in loci),
        "longest": max([len(row.value) for row in loci], default=0),
        "genes": len(genes),
        "exons": sum(len(coding_parts(each)) for each in labels),
        "introns": sum(len(gene.exons) - 1 for gene in genes),
        "strands": dict(Counter(gene.strand for gene in genes).most_common()),
        "labels": {label: sum(each.count(label) for each in labels) for label in LABELS},
        "masked": sum(_count_lower_case(row.value.bases) for row in loci),
        "ambiguous": sum(int((row.value.codes > 3).sum()) for row in loci),
        "duplicates": len(repeats),
    }
    return DataReport(path, _listed(faults, "problems"), _listed(notes, "notes"), facts)


def _count_lower_case(bases: str) -> int:
    """The number of lower-case letters."""
    return int((np.frombuffer(bases.encode("ascii"), dtype=np.uint8) >= ord("a")).sum())


def _listed(sentences: Sequence[str], what: str) -> tuple[str, ...]:
    if len(sentences) > _LISTED:
        return (*sentences[:_LISTED], f"and {len(sentences) - _LISTED} more {what}.")
    return tuple(sentences)
