"""Annotated sequences: from files, and as the tensors of a batch."""

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

#: the fewest bases of a random piece that training reads
SHORTEST_FRAGMENT = 15


@dataclass(frozen=True, eq=False)
class Stretch:
    """A sequence to build_vocab from or to be scored on, as codes and states; or a part of one."""

    codes: Codes
    path: npt.NDArray[np.uint8]
    #: strands with genes
    strands: frozenset[str] = field(default_factory=frozenset)

    def __len__(self) -> int:
        return len(self.codes)


def read(path: Path, options: DnaOptions) -> list[Row[Stretch]]:
    """The annotated sequences of a FASTA file with its GFF3, or of a folder of such pairs."""
    rows = rows_or_error(locus_rows(path, options.transcript), skip_bad=options.skip_bad)
    return Rows([Row(row.place, _stretch(row.value)) for row in rows], rows.skipped)


def _stretch(locus: Locus) -> Stretch:
    return Stretch(locus.codes, locus.path, frozenset([gene.strand for gene in locus.genes]))


def check_labels(rows: Sequence[Row[Stretch]], symbols: GeneSymbols) -> None:
    """``DataError`` for a gene on the other strand, where the model looks on the given one only."""
    for row in rows:
        if "-" in row.value.strands and not symbols.both_strands:
            raise DataError(
                f"{row.place}: this sequence has a gene on the strand -, but the model looks for "
                "genes on the given strand only; train with --strands both."
            )


def build_vocab(examples: Sequence[Stretch], options: DnaOptions, seed: int) -> Vocab[GeneSymbols]:
    """Whether there are genes on both strands."""
    strands = {strand for example in examples for strand in example.strands}
    if not strands:
        raise DataError("the training sequences have no coding gene; give some with genes.")
    if options.strands == "given" and "-" in strands:
        raise DataError(
            'there are genes on the strand -, but strands is "given"; say both, or turn those '
            "sequences round."
        )
    both = options.strands == "both" or (options.strands == "auto" and "-" in strands)
    return Vocab(GeneSymbols(both), None)


def cut(examples: Sequence[Stretch], longest: int) -> list[Stretch]:
    """Sequences with more than ``longest`` bases become several, cut outside of genes if possible.

    The states of a gene that is cut are still those of the whole.
    """
    pieces: list[Stretch] = []
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


def _part(example: Stretch, start: int, end: int) -> Stretch:
    return Stretch(example.codes[start:end], example.path[start:end], example.strands)


def collate(
    examples: Sequence[Stretch],
    symbols: GeneSymbols,
    options: DnaOptions,
    generator: Generator | None = None,
) -> dict[str, Tensor]:
    """Codes and states (time, batch), and lengths; of some, in training, a random piece."""
    if generator is not None and options.fragments:
        examples = [_fragment(example, options.fragments, generator) for example in examples]
    codes, lengths = pad_codes([example.codes for example in examples])
    path, _ = pad_sequences([example.path.tolist() for example in examples])
    if not options.grammar:
        path = torch.from_numpy(plain_path(symbols))[path]
    return {"codes": codes, "lengths": lengths, "path": path}


def _fragment(example: Stretch, share: float, generator: Generator) -> Stretch:
    whether, size, place = torch.rand(3, generator=generator).tolist()
    whole = len(example.codes)
    if whether >= share or whole <= SHORTEST_FRAGMENT:
        return example
    count = SHORTEST_FRAGMENT + int(size * (whole - SHORTEST_FRAGMENT))
    start = int(place * (whole - count + 1))
    return _part(example, start, start + count)


def pad_codes(rows: Sequence[Codes]) -> tuple[Tensor, Tensor]:
    """The codes of several sequences (time, batch), and their lengths."""
    return pad_sequences([row.tolist() for row in rows])


def read_inputs(path: Path, options: DnaOptions) -> list[Bases]:
    """The sequences of a FASTA file, or of all of them in a folder."""
    if is_folder(path):
        files = [file for file in files_below(path) if is_fasta(file)]
        if not files:
            raise DataError(f"{path}: there is no FASTA file in the folder; name one.")
        return [each for file in files for each in open_fasta(file)]
    return open_fasta(path)


def as_input(value: str | Bases) -> Bases:
    """A sequence from a string of bases; blanks are passed over."""
    if not isinstance(value, str):
        return value
    bases = "".join(value.split())
    foreign = np.flatnonzero(encode_bases(bases) == NO_BASE)
    if len(foreign):
        raise DataError(
            f'base {foreign[0] + 1} of the sequence is "{bases[foreign[0]]}", which is none; '
            "letters are ACGT and RYSWKMBDHVN (IUPAC). A file is meant? There is none of this name."
        )
    return BaseSequence("sequence", bases)
