"""From the features of an annotation to the genes that code for proteins.

Of several transcripts of a gene one is taken; features that are no part of a gene are passed over.
The features are ``gff3.py``'s, and what a gene is ``genes.py``'s.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from elman.data.faults import Fault, Note, Row
from elman.tasks.dna.genes import CodingGene, Part
from elman.tasks.dna.gff3 import Feature
from elman.tasks.dna.grammar import SHORTEST_INTRON

Choice = Literal["first", "longest"]


class Annotated(NamedTuple):
    """A gene on a sequence."""

    sequence: str
    gene: CodingGene


def gene_rows(
    rows: Sequence[Row[Feature]], sizes: Mapping[str, int], choice: Choice = "first"
) -> Iterator[Row[Annotated] | Fault | Note]:
    """The coding genes among features, what is wrong with them, and what is odd.

    ``sizes`` is the length of each sequence.  A transcript is whatever coding parts (CDS) have as
    a parent.  Of a gene's transcripts ``choice`` takes the first in the file or the one with the
    most coding bases.  Of genes that overlap, on whatever strand, the one with the most coding
    bases stays.
    """
    parts: dict[str, dict[str, list[Row[Feature]]]] = defaultdict(lambda: defaultdict(list))
    known: dict[str, Row[Feature]] = {}
    order: dict[str, int] = {}
    rings = {row.value.sequence for row in rows if row.value.circular}
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
                "this coding part has no ID, Parent or gene_id in the ninth column, so its gene is "
                "not known; write one.",
            )
        elif kind is not None:
            # a coding part without a parent is a gene by its own ID, as in bacteria
            for parent in feature.parents or ((feature.id,) if kind == "coding" else ()):
                parts[parent][kind].append(row)
    by_gene: dict[str, list[tuple[str, Row[Annotated]]]] = defaultdict(list)
    names = [name for name in parts if parts[name]["coding"]]
    for name in sorted(names, key=lambda name: order.get(name, len(order))):
        part = parts[name]["coding"][0].value
        if name not in known and part.parents and not part.gene:
            yield Note(
                parts[name]["coding"][0].place,
                f'this coding part is of "{name}", which is not in the file, as where a region '
                "was cut out; it is left out.",
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


def _usable(
    name: str,
    parts: Mapping[str, Sequence[Row[Feature]]],
    sizes: Mapping[str, int],
    rings: Container[str],
    unusual: str,
) -> list[Row[Annotated] | Fault | Note]:
    """A transcript as a gene; a note in its place where it is right but no gene of the model's.

    So are genes that go over the ends of a ring, and those that the file itself calls unusual:
    translated with a frameshift, or spliced together of several strands.
    """
    place, first = parts["coding"][0].place, parts["coding"][0].value
    last = max(row.value.end for row in parts["coding"])
    if first.sequence in rings and last > sizes.get(first.sequence, last):
        return [Note(place, f'"{name}" goes over the ends of a circular sequence; it is left out.')]
    found = _transcript(name, parts, sizes)
    faults = [each for each in found if isinstance(each, Fault)]
    if faults and unusual and last <= sizes.get(first.sequence, 0):
        why = faults[0].message.partition(";")[0].rstrip(".")
        return [Note(place, f'"{name}" is unusual ("{unusual}") and left out: {why}.')]
    return found


def _transcript(
    name: str, parts: Mapping[str, Sequence[Row[Feature]]], sizes: Mapping[str, int]
) -> list[Row[Annotated] | Fault | Note]:
    """A transcript as a gene, with what is odd; or what is wrong with it."""
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
                        f'two {kind} of "{name}" overlap (the other is in line '
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
            return [Fault(row.place, f'this coding part of "{name}" is in no exon of it.')]
    forward = first.strand == "+"
    phases = [row.value.phase for row in (coding if forward else coding[::-1])]
    gene = CodingGene(name, "+" if forward else "-", tuple(outer), tuple(inside), phases[0] or 0)
    found: list[Row[Annotated] | Fault | Note] = []
    done = -gene.phase
    for row in coding if forward else coding[::-1]:
        phase = -done % 3
        if row.value.phase is not None and row.value.phase != phase:
            message = (
                f'the phase of this coding part of "{name}" is {row.value.phase}, but by the '
                f"lengths of the parts before it is {phase}; correct one."
            )
            return [Fault(row.place, message)]
        done += row.value.end - row.value.start
    short = [b - a for (_, a), (b, _) in itertools.pairwise(outer)]
    if short and min(short) < SHORTEST_INTRON:
        message = (
            f'"{name}" has an intron of {min(short)} bases, shorter than {SHORTEST_INTRON}; '
            "it is left out."
        )
        return [Note(place, message)]
    if done % 3:
        found.append(Note(place, f'"{name}" has {done} coding bases, which is not divisible by 3.'))
    found.append(Row(place, Annotated(first.sequence, gene)))
    return found


def _with_stop(coding: Sequence[Row[Feature]], stop: Sequence[Row[Feature]]) -> list[Row[Feature]]:
    """The coding parts, sorted, with the stop codon, which GTF has in lines of its own."""
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
            f"which has {sizes[feature.sequence]}.",
        )
    if feature.strand not in ("+", "-"):
        return Fault(row.place, f'"{name}" has a part without a strand; it must be + or -.')
    if (feature.sequence, feature.strand) != (first.sequence, first.strand):
        return Fault(
            row.place, f'the parts of "{name}" are on different sequences or strands; correct it.'
        )
    return None


def _joined(parts: Sequence[Part]) -> list[Part]:
    """Parts that touch or overlap become one."""
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
        yield Note(
            less.place,
            f'"{less.value.gene.name}" overlaps "{kept[-1].value.gene.name}", which has more '
            "coding bases; it is left out.",
        )
    yield from kept


def _some(names: Sequence[str]) -> str:
    shown = ", ".join([f'"{name}"' for name in names[:3]])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")
