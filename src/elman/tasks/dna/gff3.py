"""Reads the features of GFF3 and GTF annotations.

GFF3 is version 1.26 (Sequence Ontology).  GTF is version 2.2, as in Ensembl and RefSeq; lines with
``gene_id "g1"; transcript_id "t1";`` in the last column instead of ``Parent=t1`` are GTF.
Coordinates in the file start at 1 and include the end; in memory they are as in ``genes.py``.
``annotated_genes.py`` builds genes from the features.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from elman.data.faults import Fault, Place, Row
from elman.tasks.dna.fasta import begins_fasta, cannot_be_read, text_of


class Feature(NamedTuple):
    """A feature: bases ``start`` to ``end`` (exclusive) of a sequence."""

    sequence: str
    type: str
    start: int
    end: int
    strand: str
    phase: int | None
    id: str
    parents: tuple[str, ...]
    #: the gene of a GTF line; "" in GFF3
    gene: str = ""
    #: the annotated exception of a gene, such as "ribosomal slippage"
    exception: str = ""
    #: whether the sequence is circular
    circular: bool = False
    #: the transcript that a protein is derived from
    source: str = ""


def gff3_rows(path: Path) -> Iterator[Row[Feature] | Fault]:
    """Yields the features of a file, and the faults of its lines."""
    try:
        with text_of(path) as lines:
            for number, raw in enumerate(lines, 1):
                line = raw.rstrip("\r\n")
                if begins_fasta(line):
                    return
                if line.strip() and not line.startswith("#"):
                    found = _feature(line)
                    place = Place(path, number)
                    yield Fault(place, found) if isinstance(found, str) else Row(place, found)
    except (OSError, EOFError, zlib.error) as error:
        yield Fault(Place(path), cannot_be_read(error))


_COUNT = re.compile(r"[0-9]{1,15}")
_GTF = re.compile(r'\s*\w+\s+(?:"|[^\s=;]+\s*(?:;|$))')
_GTF_PAIR = re.compile(r'(\w+)\s+(?:"([^"]*)"|([^\s;"]+))\s*(?:;|$)')


def _feature(line: str) -> Feature | str:
    columns = line.split("\t")
    if len(columns) not in (8, 9):
        return f"the line has {len(columns)} columns, but GFF3 has 9, separated by tabs."
    sequence, _, kind, first, last, _, strand, phase = columns[:8]
    if not (_COUNT.fullmatch(first) and _COUNT.fullmatch(last)):
        return f'start and end are "{first}" and "{last}"; they must be integers.'
    start, end = int(first), int(last)
    if start < 1 or end < start:
        return f"start is {start} and end is {end}; start must be at least 1 and at most end."
    if strand not in ("+", "-", ".", "?"):
        return f'the strand is "{strand}"; it must be +, -, . or ?.'
    if phase not in ("0", "1", "2", "."):
        return f'the phase is "{phase}"; it must be 0, 1, 2 or ".".'
    last_column = columns[8] if len(columns) == 9 else ""
    found = Feature(
        unquote(sequence),
        kind,
        start - 1,
        end,
        strand,
        None if phase == "." else int(phase),
        "",
        (),
    )
    if _GTF.match(last_column):
        pairs = _GTF_PAIR.findall(last_column)
        return _of_gtf(found, {key: quoted or plain for key, quoted, plain in pairs})
    return _of_gff3(found, _attributes(last_column))


def _of_gtf(feature: Feature, attributes: Mapping[str, str]) -> Feature:
    gene = attributes.get("gene_id", "")
    transcript = attributes.get("transcript_id", "") or gene
    exception = attributes.get("exception", "")
    if feature.type == "gene":
        return feature._replace(id=gene, exception=exception)
    if feature.type in ("transcript", "mRNA"):
        return feature._replace(id=transcript, parents=(gene,), gene=gene, exception=exception)
    parents = (transcript,) if transcript else ()
    return feature._replace(parents=parents, gene=gene or transcript, exception=exception)


def _of_gff3(feature: Feature, attributes: Mapping[str, str]) -> Feature:
    exception = attributes.get("exception", "")
    if attributes.get("pseudo", "").lower() == "true":
        exception = exception or "pseudo"
    return feature._replace(
        id=unquote(attributes.get("ID", "")),
        parents=tuple([unquote(x) for x in attributes.get("Parent", "").split(",") if x]),
        exception=unquote(exception),
        circular=attributes.get("Is_circular", "").lower() == "true",
        source=unquote(attributes.get("Derives_from", "")).split(",")[0],
    )


def _attributes(column: str) -> dict[str, str]:
    """Parses ``ID=x;Parent=y``; some programs put the whole column in double quotes."""
    column = column.strip()
    if len(column) > 1 and column.startswith('"') and column.endswith('"'):
        column = column[1:-1].replace('""', '"')
    pairs = [pair.strip().partition("=") for pair in column.split(";")]
    return {key: value for key, equals, value in pairs if equals}
