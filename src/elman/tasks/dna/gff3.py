"""Annotations in GFF3: its lines, and the genes that they describe.

``gff3_rows`` reads lines (Sequence Ontology, GFF3 version 1.26), ``gene_rows`` puts together the
genes that code for proteins: of several transcripts of a gene one is taken.  Other features are
passed over.  Places are as in ``genes.py``; in the file they count from 1, ends included.
"""

from __future__ import annotations

import itertools
import re
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import unquote

from elman.data.faults import Fault, Place, Row
from elman.tasks.dna.fasta import text_of
from elman.tasks.dna.genes import CodingGene, Part
from elman.tasks.dna.grammar import SHORTEST_INTRON

ENDINGS = (".gff3", ".gff")
Choice = Literal["first", "longest"]


class Feature(NamedTuple):
    """A line: bases ``start`` to ``end`` (exclusive) of a sequence are something."""

    sequence: str
    type: str
    start: int
    end: int
    strand: str
    phase: int | None
    id: str
    parents: tuple[str, ...]


class Annotated(NamedTuple):
    """A gene on a sequence."""

    sequence: str
    gene: CodingGene


@dataclass(frozen=True)
class Note:
    """Something odd at a place that does not keep a file from being used."""

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


def gff3_rows(path: Path) -> Iterator[Row[Feature] | Fault]:
    """The features of a file, or what is wrong with a line."""
    try:
        with text_of(path) as lines:
            for number, raw in enumerate(lines, 1):
                line = raw.rstrip("\r\n")
                if line.startswith(("##FASTA", ">")):
                    return
                if line.strip() and not line.startswith("#"):
                    found = _feature(line)
                    place = Place(path, number)
                    yield Fault(place, found) if isinstance(found, str) else Row(place, found)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        yield Fault(Place(path), f"the file cannot be read ({reason}).")


def _feature(line: str) -> Feature | str:
    columns = line.split("\t")
    if len(columns) not in (8, 9):
        return f"the line has {len(columns)} columns, but GFF3 has 9, with a TAB between them."
    sequence, _, kind, first, last, _, strand, phase = columns[:8]
    if not (first.isdigit() and last.isdigit()):
        return f'start and end are "{first}" and "{last}"; they must be whole numbers.'
    start, end = int(first), int(last)
    if start < 1 or end < start:
        return f"start is {start} and end {end}; start must be at least 1 and at most end."
    if strand not in ("+", "-", ".", "?"):
        return f'the strand is "{strand}"; it must be +, -, . or ?.'
    if phase not in ("0", "1", "2", "."):
        return f'the phase is "{phase}"; it must be 0, 1, 2 or a dot.'
    attributes = {}
    for pair in columns[8].split(";") if len(columns) == 9 else []:
        key, equals, value = pair.strip().partition("=")
        if equals:
            attributes[key] = value
    parents = [unquote(x) for x in attributes.get("Parent", "").split(",") if x]
    return Feature(
        unquote(sequence),
        kind,
        start - 1,
        end,
        strand,
        None if phase == "." else int(phase),
        unquote(attributes.get("ID", "")),
        tuple(parents),
    )


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
    for row in rows:
        feature = row.value
        if feature.id and feature.type != "CDS":
            known.setdefault(feature.id, row)
            order.setdefault(feature.id, len(order))
        kind = {"CDS": "coding", "exon": "exon"}.get(feature.type)
        if kind is None and feature.type.endswith("UTR"):
            kind = "untranslated"
        if kind is not None:
            # a coding part without a parent is a gene by its own ID, as in bacteria
            for parent in feature.parents or ((feature.id,) if kind == "coding" else ()):
                parts[parent][kind].append(row)
    by_gene: dict[str, list[tuple[str, Row[Annotated]]]] = defaultdict(list)
    names = [name for name in parts if parts[name]["coding"]]
    for name in sorted(names, key=lambda name: order.get(name, len(order))):
        if name not in known and parts[name]["coding"][0].value.parents:
            yield Note(
                parts[name]["coding"][0].place,
                f'this coding part is of "{name}", which is not in the file, as where a region '
                "was cut out; it is left out.",
            )
            continue
        found = _transcript(name, parts[name], sizes)
        above = known[name].value.parents if name in known else ()
        for each in found:
            if isinstance(each, Row):
                by_gene[above[0] if above else name].append((name, each))
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


def _transcript(
    name: str, parts: Mapping[str, Sequence[Row[Feature]]], sizes: Mapping[str, int]
) -> list[Row[Annotated] | Fault | Note]:
    """A transcript as a gene, with what is odd; or what is wrong with it."""
    coding = sorted(parts["coding"], key=lambda row: row.value.start)
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


_NUMERALS = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")
_ROMAN = {name: str(k) for k, name in enumerate(_NUMERALS, 1)}
_ROMAN |= {f"X{name}": str(10 + int(k)) for name, k in _ROMAN.items()} | {"XX": "20"}


def matched_names(theirs: Sequence[str], ours: Sequence[str]) -> dict[str, str]:
    """For names of an annotation that no sequence has: the one sequence that must be meant.

    "chr1", "Chr1", "CHROMOSOME_I" and "1" are the same; "X" is 10 only beside a "IX".

    >>> matched_names(["chr1", "chrM", "other"], ["1", "2", "M"])
    {'chr1': '1', 'chrM': 'M'}
    >>> matched_names(["chrII", "chrX"], ["2", "10"])
    {'chrII': '2'}
    """
    roman = dict(_ROMAN)
    if any(_bare(name) == "IX" for name in (*theirs, *ours)):
        roman["X"] = "10"
    counted: dict[str, list[str]] = defaultdict(list)
    for name in ours:
        counted[roman.get(_bare(name), _bare(name))].append(name)
    found = {}
    for name in theirs:
        meant = counted.get(roman.get(_bare(name), _bare(name)), [])
        if name not in ours and len(meant) == 1:
            found[name] = meant[0]
    return found


def _bare(name: str) -> str:
    bare = re.sub(r"^(chromosome|chrom|chr)[_.]?", "", name, flags=re.IGNORECASE).upper()
    return {"MT": "M", "MTDNA": "M"}.get(bare, bare)
