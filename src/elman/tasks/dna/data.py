"""Reads annotated sequences and collates them into batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor

from elman.data import pad_sequences
from elman.data.faults import Row, Rows, rows_or_error
from elman.data.folders import files_below
from elman.data.sources import is_folder
from elman.errors import DataError
from elman.tasks.dna.bases import NO_BASE, Codes, encode_bases
from elman.tasks.dna.fasta import Bases, is_fasta, open_fasta
from elman.tasks.dna.fasta import Sequence as BaseSequence
from elman.tasks.dna.loci import Locus, locus_rows
from elman.tasks.dna.options import DnaOptions
from elman.tasks.dna.symbols import GeneSymbols, plain_path
from elman.tasks.task import Vocab

#: minimum number of bases of a random crop
SHORTEST_FRAGMENT = 15


@dataclass(frozen=True, eq=False)
class Segment:
    """An annotated sequence, or a part of one, as codes and states of the grammar."""

    codes: Codes
    path: npt.NDArray[np.uint8]
    #: strands with genes
    strands: frozenset[str] = field(default_factory=frozenset)

    def __len__(self) -> int:
        return len(self.codes)


def read(path: Path, options: DnaOptions) -> list[Row[Segment]]:
    """Reads a FASTA file with its GFF3 annotation, or a folder of such pairs."""
    rows = rows_or_error(locus_rows(path, options.transcript), skip_bad=options.skip_bad)
    return Rows([Row(row.place, _segment(row.value)) for row in rows], rows.skipped)


def _segment(locus: Locus) -> Segment:
    return Segment(locus.codes, locus.path, frozenset([gene.strand for gene in locus.genes]))


def check_labels(rows: Sequence[Row[Segment]], symbols: GeneSymbols) -> None:
    """Raises ``DataError`` for a gene on the - strand if the model reads only the given strand."""
    for row in rows:
        if "-" in row.value.strands and not symbols.both_strands:
            raise DataError(
                f"{row.place}: this sequence has a gene on the - strand, but the model only finds "
                "genes on the given strand; train with --strands both."
            )


def build_vocab(examples: Sequence[Segment], options: DnaOptions, seed: int) -> Vocab[GeneSymbols]:
    """Determines whether the model has to read both strands."""
    strands = {strand for example in examples for strand in example.strands}
    if not strands:
        raise DataError("the training sequences have no coding genes; provide some with genes.")
    if options.strands == "given" and "-" in strands:
        raise DataError(
            'the training data has genes on the - strand, but strands is "given"; set strands to '
            "both, or reverse-complement those sequences."
        )
    both = options.strands == "both" or (options.strands == "auto" and "-" in strands)
    return Vocab(GeneSymbols(both), None)


def cut(examples: Sequence[Segment], longest: int) -> list[Segment]:
    """Splits sequences with more than ``longest`` bases, outside of genes if possible.

    A gene that is split keeps its states.
    """
    pieces: list[Segment] = []
    for example in examples:
        start = 0
        while len(example.codes) - start > longest:
            end = start + longest
            outside = np.flatnonzero(example.path[start + longest // 2 : end] == 0)
            if len(outside):
                end = start + longest // 2 + int(outside[-1])
            pieces.append(_part(example, start, end))
            start = end
        pieces.append(_part(example, start, len(example.codes)))
    return pieces


def _part(example: Segment, start: int, end: int) -> Segment:
    return Segment(example.codes[start:end], example.path[start:end], example.strands)


def collate(
    examples: Sequence[Segment],
    symbols: GeneSymbols,
    options: DnaOptions,
    generator: Generator | None = None,
) -> dict[str, Tensor]:
    """Collates codes and states (time, batch) and lengths.

    With a ``generator``, crops a fraction of the sequences at random.
    """
    if generator is not None and options.fragments:
        examples = [_fragment(example, options.fragments, generator) for example in examples]
    codes, lengths = pad_codes([example.codes for example in examples])
    path, _ = pad_sequences([example.path.tolist() for example in examples])
    if not options.grammar:
        path = torch.from_numpy(plain_path(symbols))[path]
    return {"codes": codes, "lengths": lengths, "path": path}


def _fragment(example: Segment, fraction: float, generator: Generator) -> Segment:
    whether, size, place = torch.rand(3, generator=generator).tolist()
    whole = len(example.codes)
    if whether >= fraction or whole <= SHORTEST_FRAGMENT:
        return example
    count = SHORTEST_FRAGMENT + int(size * (whole - SHORTEST_FRAGMENT))
    start = int(place * (whole - count + 1))
    return _part(example, start, start + count)


def pad_codes(rows: Sequence[Codes]) -> tuple[Tensor, Tensor]:
    """Pads the codes of several sequences to (time, batch); returns them and the lengths."""
    return pad_sequences([row.tolist() for row in rows])


def read_inputs(path: Path, options: DnaOptions) -> list[Bases]:
    """Opens the sequences of a FASTA file, or of all FASTA files in a folder."""
    if is_folder(path):
        files = [file for file in files_below(path) if is_fasta(file)]
        if not files:
            raise DataError(f"{path}: there are no FASTA files in this folder; name a file.")
        return [each for file in files for each in open_fasta(file)]
    return open_fasta(path)


def as_input(value: str | Bases) -> Bases:
    """Converts a string of bases to a sequence; ignores whitespace."""
    if not isinstance(value, str):
        return value
    bases = "".join(value.split())
    foreign = np.flatnonzero(encode_bases(bases) == NO_BASE)
    if len(foreign):
        raise DataError(
            f'base {foreign[0] + 1} of the sequence is "{bases[foreign[0]]}"; valid letters are '
            "ACGT and RYSWKMBDHVN (IUPAC). If you meant a file, there is no file of this name."
        )
    return BaseSequence("sequence", bases)
