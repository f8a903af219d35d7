"""Reads GenBank flat files: the sequences, and their genes as features like those of GFF3.

The format is that of NCBI's release notes (sections 3.4 and 3.5) and of the INSDC feature table.
Read are ``LOCUS``, ``CDS`` and ``mRNA`` with their locations and a few qualifiers, and ``ORIGIN``.
A coding part whose location has "<" or ">" goes on beyond the sequence.  ``annotated_genes.py``
builds genes from the features.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from elman.data.faults import Fault, Place, Row
from elman.tasks.dna.bases import STANDS_FOR
from elman.tasks.dna.fasta import ENDINGS_GENBANK, Sequence, cannot_be_read, text_of
from elman.tasks.dna.gff3 import Feature

#: qualifiers of a gene that is not read as usual
_UNUSUAL = ("exception", "ribosomal_slippage", "trans_splicing", "pseudo", "pseudogene")
_FOREIGN = re.compile(f"[^{''.join(STANDS_FOR)}U]", re.IGNORECASE)
_SPAN = re.compile(r"<?([0-9]{1,15})(?:\.\.>?([0-9]{1,15}))?")


@dataclass
class _Entry:
    """A feature as written: its key, location and qualifiers."""

    key: str
    line: int
    location: str
    qualifiers: dict[str, str] = field(default_factory=dict)

    @property
    def gene(self) -> str:
        """What names the gene."""
        names = ("locus_tag", "gene", "protein_id", "standard_name")
        return next((self.qualifiers[name] for name in names if name in self.qualifiers), "")


@dataclass
class _Record:
    """A sequence with its features, while it is read."""

    name: str
    line: int
    circular: bool = False
    entries: list[_Entry] = field(default_factory=list)
    bases: list[str] = field(default_factory=list)
    bad: bool = False


def is_genbank(path: Path) -> bool:
    """Whether a file name has a suffix of GenBank files, compressed or not."""
    return Path(path.name.removesuffix(".gz")).suffix.lower() in ENDINGS_GENBANK


def genbank_rows(path: Path) -> Iterator[Row[Sequence] | Row[Feature] | Fault]:
    """Yields the sequences, features and faults of a file."""
    seen: dict[str, int] = {}
    try:
        with text_of(path) as lines:
            found = False
            for item in _records(path, enumerate(lines, 1)):
                found = True
                if isinstance(item, Fault):
                    yield item
                elif item.name in seen:
                    yield Fault(
                        Place(path, item.line),
                        f'the name "{item.name}" was already used on line {seen[item.name]}; '
                        "names must be unique.",
                    )
                else:
                    seen[item.name] = item.line
                    yield from _of_record(path, item)
        if not found:
            yield Fault(
                Place(path), "the file has no GenBank record; the first line must start with LOCUS."
            )
    except (OSError, EOFError, zlib.error) as error:
        yield Fault(Place(path), cannot_be_read(error))


def _records(path: Path, lines: Iterable[tuple[int, str]]) -> Iterator[_Record | Fault]:
    record: _Record | None = None
    part = ""
    for number, raw in lines:
        line = raw.rstrip()
        keyword = line[:12].split()[:1] if line[:1].strip() else []
        if keyword == ["LOCUS"]:
            if record is not None:
                yield _unfinished(path, record)
            words = line.split()
            if len(words) < 2:
                yield Fault(Place(path, number), "the name after LOCUS is missing; add one.")
            record, part = _Record(words[1] if len(words) > 1 else "", number), ""
            record.bad = len(words) < 2
            record.circular = "circular" in words
        elif line == "//":
            if record is not None and not record.bad:
                yield record
            record, part = None, ""
        elif record is None:
            if line:
                yield Fault(
                    Place(path, number),
                    "there is text before the first LOCUS line; remove it, or name the file .fa "
                    "if it is FASTA.",
                )
                return
        elif keyword:
            part = keyword[0]
            if part == "VERSION" and len(line.split()) > 1:
                record.name = line.split()[1]
        elif part == "FEATURES":
            fault = _feature_line(record, number, line)
            if fault and not record.bad:
                record.bad = True
                yield Fault(Place(path, number), fault)
        elif part == "ORIGIN":
            bases = "".join(line.split()[1:])
            foreign = _FOREIGN.search(bases)
            if foreign and not record.bad:
                record.bad = True
                sign = foreign.group()
                shown = sign if sign.isprintable() else f"U+{ord(sign):04X}"
                yield Fault(
                    Place(path, number),
                    f'the sequence "{record.name}" has "{shown}"; valid letters are ACGT and '
                    "RYSWKMBDHVN (IUPAC).",
                )
            record.bases.append(bases)
    if record is not None:
        yield _unfinished(path, record)


def _unfinished(path: Path, record: _Record) -> Fault:
    return Fault(
        Place(path, record.line),
        f'the record "{record.name}" has no line "//" at its end; copy the file again.',
    )


def _feature_line(record: _Record, number: int, line: str) -> str:
    """Processes a line of the feature table; returns a message if it is invalid."""
    text = line.strip()
    if line[5:6].strip():
        words = text.split(None, 1)
        record.entries.append(_Entry(words[0], number, words[1] if len(words) > 1 else ""))
    elif not text:
        return ""
    elif not record.entries:
        return "this line of the feature table belongs to no feature; remove it."
    elif text.startswith("/"):
        name, _, value = text[1:].partition("=")
        record.entries[-1].qualifiers.setdefault(name, value.strip('"'))
    elif not record.entries[-1].qualifiers:
        record.entries[-1].location += text
    return ""


def _of_record(path: Path, record: _Record) -> Iterator[Row[Sequence] | Row[Feature] | Fault]:
    bases = "".join(record.bases)
    if not bases:
        yield Fault(
            Place(path, record.line),
            f'the record "{record.name}" has no bases after ORIGIN; download the full record '
            '(in NCBI: "GenBank (full)").',
        )
        return
    yield Row(Place(path, record.line), Sequence(record.name, bases))
    transcripts: list[tuple[str, str, list[tuple[int, int]], str]] = []
    for number, entry in enumerate(record.entries):
        if entry.key != "mRNA":
            continue
        spans = _spans(entry.location)
        if isinstance(spans, str):
            yield Fault(Place(path, entry.line), spans)
            continue
        name = f"{record.name}:mRNA{number}"
        transcripts.append((name, entry.gene, *spans))
    for number, entry in enumerate(record.entries):
        if entry.key != "CDS":
            continue
        place = Place(path, entry.line)
        spans = _spans(entry.location)
        if isinstance(spans, str):
            yield Fault(place, spans)
            continue
        parts, strand = spans
        gene = entry.gene or f"{record.name}:CDS{number}"
        name = f"{gene}:{number}"
        unusual = next((each for each in _UNUSUAL if each in entry.qualifiers), "")
        first = entry.qualifiers.get("codon_start", "1")
        if first not in ("1", "2", "3"):
            yield Fault(place, f'codon_start is "{first}"; it must be 1, 2 or 3.')
            continue
        yield Row(
            place,
            Feature(
                record.name, "mRNA", parts[0][0], parts[-1][1], strand, None, name, (gene,),
                exception=unusual, circular=record.circular,
            ),
        )  # fmt: skip
        begins = parts[0] if strand == "+" else parts[-1]
        for part in parts:
            phase = int(first) - 1 if part == begins else None
            yield Row(
                place,
                Feature(record.name, "CDS", *part, strand, phase, "", (name,), gene=gene),
            )
        exons = _exons_around(parts, strand, entry.gene, transcripts)
        for part in exons:
            yield Row(place, Feature(record.name, "exon", *part, strand, None, "", (name,)))


def _exons_around(
    parts: list[tuple[int, int]],
    strand: str,
    gene: str,
    transcripts: Iterable[tuple[str, str, list[tuple[int, int]], str]],
) -> list[tuple[int, int]]:
    """The exons of the first mRNA of the gene that has these coding parts, if any."""
    for _, own, exons, its_strand in transcripts:
        if own != gene or its_strand != strand:
            continue
        inside = [
            (max(a, parts[0][0]), min(b, parts[-1][1]))
            for a, b in exons
            if b > parts[0][0] and a < parts[-1][1]
        ]
        if inside == parts:
            return exons
    return []


def _spans(location: str) -> tuple[list[tuple[int, int]], str] | str:
    """The sorted parts and the strand of a location, or a message."""
    text = "".join(location.split())
    inner, strand = text, "+"
    if inner.startswith("complement(") and inner.endswith(")"):
        inner, strand = inner[11:-1], "-"
    for kind in ("join(", "order("):
        if inner.startswith(kind) and inner.endswith(")"):
            inner = inner[len(kind) : -1]
    pieces = inner.split(",")
    if strand == "+" and all(p.startswith("complement(") and p.endswith(")") for p in pieces):
        pieces, strand = [piece[11:-1] for piece in pieces], "-"
    found = []
    for piece in pieces:
        match = _SPAN.fullmatch(piece)
        if not match:
            return (
                f'the location "{text[:60]}" is not supported; write base numbers such as '
                "join(10..50,80..99) or complement(10..50)."
            )
        start, end = int(match[1]), int(match[2] or match[1])
        if start < 1 or end < start:
            return f"the location has {start}..{end}; it must count from 1 and end last."
        found.append((start - 1, end))
    return sorted(found), strand
