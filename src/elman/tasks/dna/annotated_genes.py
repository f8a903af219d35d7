"""Builds protein-coding genes from the features of an annotation.

Uses one transcript per gene and ignores features outside of genes.  ``gff3.py`` reads the features;
``genes.py`` defines genes.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from elman.data.faults import Fault, Note, Row
from elman.tasks.dna.genes import CodingGene, Part
from elman.tasks.dna.gff3 import Feature
from elman.tasks.dna.grammar import SHORTEST_INTRON

Choice = Literal["first", "longest"]


@dataclass(frozen=True)
class LeftOut(Note):
    """A coding gene that is not used: its sequence, and the reason as a clause about genes."""

    sequence: str = ""
    reason: str = ""


#: reasons why genes are left out, as clauses after "genes that"
CUT_OUT = "lack their transcript line (the region may have been cut out)"
CIRCULAR = "span the ends of a circular sequence"
EXCEPTION = "have an annotated exception"
SHORT_INTRON = "have an intron that is too short"
OVERLAP = "overlap another gene"
UNDESCRIBED = "the grammar of the model does not describe"
PROTEINS = ("protein", "polypeptide")


class Annotated(NamedTuple):
    """A gene on a sequence."""

    sequence: str
    gene: CodingGene


def gene_rows(
    rows: Sequence[Row[Feature]], sizes: Mapping[str, int], choice: Choice = "first"
) -> Iterator[Row[Annotated] | Fault | Note]:
    """Yields the coding genes of the features, with faults and notes.

    ``sizes`` is the length of each sequence.  A transcript is any parent of coding parts (CDS).
    ``choice`` selects the first transcript of a gene in the file, or the one with the most coding
    bases.  Of overlapping genes, on either strand, only the one with the most coding bases is kept.
    """
    parts: dict[str, dict[str, list[Row[Feature]]]] = defaultdict(lambda: defaultdict(list))
    known: dict[str, Row[Feature]] = {}
    order: dict[str, int] = {}
    rings = {row.value.sequence for row in rows if row.value.circular}
    proteins = {row.value.id: row.value.source for row in rows if row.value.type in PROTEINS}
    named: list[Row[Feature]] = []
    for row in rows:
        feature = row.value
        if feature.id and feature.type != "CDS":
            known.setdefault(feature.id, row)
            order.setdefault(feature.id, len(order))
        kind = {"CDS": "coding", "exon": "exon"}.get(feature.type)
        if kind is None and feature.type.lower().endswith("utr"):
            kind = "untranslated"
        if feature.type == "stop_codon" and feature.gene:
            kind = "stop"
        if kind == "coding" and not feature.id and not feature.parents:
            yield Fault(
                row.place,
                "this CDS has no ID, Parent or gene_id in the ninth column, so its gene is "
                "unknown; add one.",
            )
        elif kind is not None:
            parents = _without_proteins(feature.parents, proteins)
            if parents != feature.parents:
                named.append(row)
            # a CDS without a parent is a gene named by its own ID, as in bacteria
            for parent in parents or ((feature.id,) if kind == "coding" else ()):
                parts[parent][kind].append(row)
    if named:
        yield Note(
            named[0].place,
            f"{len(named)} lines name a protein as their parent, here "
            f'"{_protein_of(named[0].value.parents, proteins)}"; proteins are not transcripts, so '
            "only the transcripts are used.",
        )
    by_gene: dict[str, list[tuple[str, Row[Annotated]]]] = defaultdict(list)
    names = [name for name in parts if parts[name]["coding"]]
    for name in sorted(names, key=lambda name: order.get(name, len(order))):
        part = parts[name]["coding"][0].value
        if name not in known and part.parents and not part.gene:
            yield LeftOut(
                parts[name]["coding"][0].place,
                f'the parent "{name}" of this CDS is not in the file (the region may have been cut '
                "out); the CDS is ignored.",
                part.sequence,
                CUT_OUT,
            )
            continue
        above = known[name].value.parents if name in known else ()
        gene = above[0] if above else part.gene or name
        lines = [*parts[name]["coding"], *[known[each] for each in (name, gene) if each in known]]
        unusual = next((row.value.exception for row in lines if row.value.exception), "")
        for each in _usable(name, parts[name], sizes, rings, unusual):
            if isinstance(each, Row):
                by_gene[gene].append((name, each))
            else:
                yield each
    chosen: dict[str, list[Row[Annotated]]] = defaultdict(list)
    for transcripts in by_gene.values():
        taken = [row for _, row in transcripts]
        best = taken[0]
        if choice == "longest":
            best = max(taken, key=lambda row: row.value.gene.coding_length)
        chosen[best.value.sequence].append(best)
    for genes in chosen.values():
        yield from _without_overlaps(genes)


def _without_proteins(parents: tuple[str, ...], proteins: Mapping[str, str]) -> tuple[str, ...]:
    """The parents that are transcripts; a protein stands for the transcript it derives from.

    Some files name the protein beside the transcript: ``Parent=X.1,X.1-Protein``.
    """
    found = []
    for parent in parents:
        if parent in proteins:
            parent = proteins[parent]
        elif parent.endswith("-Protein") and parent.removesuffix("-Protein") in parents:
            continue
        if parent and parent not in found:
            found.append(parent)
    return tuple(found)


def _protein_of(parents: Sequence[str], proteins: Mapping[str, str]) -> str:
    return next(x for x in parents if x in proteins or x.endswith("-Protein"))


def _usable(
    name: str,
    parts: Mapping[str, Sequence[Row[Feature]]],
    sizes: Mapping[str, int],
    rings: Container[str],
    unusual: str,
) -> list[Row[Annotated] | Fault | Note]:
    """Converts a transcript to a gene, or to a note if it is valid but not supported.

    Not supported are genes across the ends of a circular sequence, and genes with an annotated
    exception, such as a frameshift or trans-splicing.
    """
    place, first = parts["coding"][0].place, parts["coding"][0].value
    last = max(row.value.end for row in parts["coding"])
    if first.sequence in rings and last > sizes.get(first.sequence, last):
        message = f'"{name}" spans the ends of a circular sequence; it is ignored.'
        return [LeftOut(place, message, first.sequence, CIRCULAR)]
    found = _transcript(name, parts, sizes)
    faults = [each for each in found if isinstance(each, Fault)]
    if faults and unusual and last <= sizes.get(first.sequence, 0):
        why = faults[0].message.partition(";")[0].rstrip(".")
        message = f'"{name}" has the exception "{unusual}" and is ignored: {why}.'
        return [LeftOut(place, message, first.sequence, EXCEPTION)]
    return found


def _transcript(
    name: str, parts: Mapping[str, Sequence[Row[Feature]]], sizes: Mapping[str, int]
) -> list[Row[Annotated] | Fault | Note]:
    """Converts a transcript to a gene with notes, or returns its faults."""
    coding = _with_stop(parts["coding"], parts["stop"])
    place, first = coding[0].place, coding[0].value
    wrong = [
        fault
        for kind in ("coding", "exon", "untranslated")
        for row in parts[kind]
        if (fault := _wrong_part(name, row, first, sizes)) is not None
    ]
    if wrong:
        return list(wrong)
    exons = sorted(parts["exon"], key=lambda row: row.value.start)
    for kind, rows in (("coding parts", coding), ("exons", exons)):
        for before, after in itertools.pairwise(rows):
            if after.value.start < before.value.end:
                return [
                    Fault(
                        after.place,
                        f'two {kind} of "{name}" overlap (the other is on line '
                        f"{before.place.line}); correct one.",
                    )
                ]
    inside = [(row.value.start, row.value.end) for row in coding]
    outer = [(row.value.start, row.value.end) for row in exons]
    if not outer:
        ends = [(row.value.start, row.value.end) for row in parts["untranslated"]]
        outer = _joined(sorted([*inside, *ends]))
    for row in coding:
        start, end = row.value.start, row.value.end
        if not any(a <= start and end <= b for a, b in outer):
            return [Fault(row.place, f'this CDS of "{name}" is not within one of its exons.')]
    forward = first.strand == "+"
    phases = [row.value.phase for row in (coding if forward else coding[::-1])]
    gene = CodingGene(name, "+" if forward else "-", tuple(outer), tuple(inside), phases[0] or 0)
    found: list[Row[Annotated] | Fault | Note] = []
    done = -gene.phase
    for row in coding if forward else coding[::-1]:
        phase = -done % 3
        if row.value.phase is not None and row.value.phase != phase:
            message = (
                f'the phase of this CDS of "{name}" is {row.value.phase}, but the lengths of the '
                f"preceding parts imply {phase}; correct one."
            )
            return [Fault(row.place, message)]
        done += row.value.end - row.value.start
    short = [b - a for (_, a), (b, _) in itertools.pairwise(outer)]
    if short and min(short) < SHORTEST_INTRON:
        message = (
            f'"{name}" has an intron of {min(short)} bases, shorter than {SHORTEST_INTRON}; '
            "it is ignored."
        )
        return [LeftOut(place, message, first.sequence, SHORT_INTRON)]
    if done % 3:
        found.append(Note(place, f'"{name}" has {done} coding bases, not a multiple of 3.'))
    found.append(Row(place, Annotated(first.sequence, gene)))
    return found


def _with_stop(coding: Sequence[Row[Feature]], stop: Sequence[Row[Feature]]) -> list[Row[Feature]]:
    """The coding parts, sorted and extended by the stop codon, which is separate in GTF."""
    found = sorted(coding, key=lambda row: row.value.start)
    for row in sorted(stop, key=lambda row: row.value.start):
        start, end = row.value.start, row.value.end
        for k, part in enumerate(found):
            if part.value.start <= end and start <= part.value.end:
                widened = min(start, part.value.start), max(end, part.value.end)
                found[k] = Row(part.place, part.value._replace(start=widened[0], end=widened[1]))
                break
        else:
            found.append(row)
    return sorted(found, key=lambda row: row.value.start)


def _wrong_part(
    name: str, row: Row[Feature], first: Feature, sizes: Mapping[str, int]
) -> Fault | None:
    feature = row.value
    if feature.sequence not in sizes:
        return Fault(
            row.place,
            f'the sequence "{feature.sequence}" is not in the FASTA file, which has '
            f"{_some(list(sizes))}.",
        )
    if feature.end > sizes[feature.sequence]:
        return Fault(
            row.place,
            f'bases {feature.start + 1} to {feature.end} are outside of "{feature.sequence}", '
            f"which has {sizes[feature.sequence]} bases.",
        )
    if feature.strand not in ("+", "-"):
        return Fault(row.place, f'"{name}" has a part without a strand; the strand must be + or -.')
    if (feature.sequence, feature.strand) != (first.sequence, first.strand):
        return Fault(
            row.place, f'the parts of "{name}" are on different sequences or strands; correct it.'
        )
    return None


def _joined(parts: Sequence[Part]) -> list[Part]:
    """Merges parts that touch or overlap."""
    found: list[Part] = []
    for start, end in parts:
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _without_overlaps(rows: Sequence[Row[Annotated]]) -> Iterator[Row[Annotated] | Note]:
    kept: list[Row[Annotated]] = []
    for row in sorted(rows, key=lambda row: (row.value.gene.start, row.value.gene.end)):
        other = kept[-1] if kept else None
        if other is None or row.value.gene.start >= other.value.gene.end:
            kept.append(row)
            continue
        less = row
        if row.value.gene.coding_length > other.value.gene.coding_length:
            kept[-1], less = row, other
        yield LeftOut(
            less.place,
            f'"{less.value.gene.name}" overlaps "{kept[-1].value.gene.name}", which has more '
            "coding bases; it is ignored.",
            less.value.sequence,
            OVERLAP,
        )
    yield from kept


def _some(names: Sequence[str]) -> str:
    shown = ", ".join([f'"{name}"' for name in names[:3]])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")
