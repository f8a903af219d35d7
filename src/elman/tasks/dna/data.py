"""Reads annotated sequences and collates them into batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor

from elman.data import pad_sequences
from elman.data.faults import Fault, Row, Rows, rows_or_error
from elman.data.folders import files_below
from elman.data.sources import is_folder
from elman.errors import DataError
from elman.tasks.dna.bases import NO_BASE, Codes, encode_bases
from elman.tasks.dna.counted import count_scores, folds_of
from elman.tasks.dna.fasta import Bases, is_fasta, open_fasta
from elman.tasks.dna.fasta import Sequence as BaseSequence
from elman.tasks.dna.genbank import genbank_rows, is_genbank
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
    path: npt.NDArray[np.int16]
    #: strands with genes
    strands: frozenset[str] = field(default_factory=frozenset)
    #: coding genes of the annotation that are not used: their number by reason
    left_out: Mapping[str, int] = field(default_factory=dict)
    #: the sequence of which this is a part, and where the part begins
    whole: Segment | None = None
    start: int = 0

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def folds(self) -> npt.NDArray[np.int64]:
        """The fold of each base, see ``counted.py``."""
        return folds_of(self.start, self.start + len(self), len(self.whole or self))


def read(path: Path, options: DnaOptions) -> list[Row[Segment]]:
    """Reads a FASTA file with its GFF3 annotation, or a folder of such pairs."""
    rows = rows_or_error(
        locus_rows(path, options.transcript, options.shortest_intron), skip_bad=options.skip_bad
    )
    return Rows([Row(row.place, _segment(row.value)) for row in rows], rows.skipped)


def _segment(locus: Locus) -> Segment:
    strands = frozenset([gene.strand for gene in locus.genes])
    return Segment(locus.codes, locus.path, strands, locus.left_out)


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
    symbols = GeneSymbols(both, options.shortest_intron)
    counts = count_scores(examples, symbols.grammar, options.kmer) if options.kmer else None
    return Vocab(symbols, counts)


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
    whole = example.whole or example
    codes, path = example.codes[start:end], example.path[start:end]
    return Segment(codes, path, example.strands, {}, whole, example.start + start)


def collate(
    examples: Sequence[Segment],
    symbols: GeneSymbols,
    options: DnaOptions,
    generator: Generator | None = None,
) -> dict[str, Tensor]:
    """Collates codes and states (time, batch) and lengths.

    With a ``generator``, shifts parts of long sequences and crops a fraction of all at random, and
    adds the folds of the bases if the model has counted scores.
    """
    if generator is not None and options.jitter:
        most = int(options.jitter * options.longest)
        examples = [_shifted(example, most, generator) for example in examples]
    if generator is not None and options.fragments:
        examples = [_fragment(example, options.fragments, generator) for example in examples]
    codes, lengths = pad_codes([example.codes for example in examples])
    path, _ = pad_sequences([judged_path(example, symbols).tolist() for example in examples])
    if not options.grammar:
        path = torch.from_numpy(plain_path(symbols))[path]
    tensors = {"codes": codes, "lengths": lengths, "path": path}
    if generator is not None and options.kmer:
        tensors["folds"], _ = pad_sequences([example.folds.tolist() for example in examples])
    return tensors


def judged_path(example: Segment, symbols: GeneSymbols) -> npt.NDArray[np.int16]:
    """The states, without genes on the reverse strand if the model does not read that strand."""
    if symbols.both_strands or "-" not in example.strands:
        return example.path
    return np.where(example.path < len(symbols.grammar.states), example.path, 0).astype(np.int16)


def _shifted(example: Segment, most: int, generator: Generator) -> Segment:
    """Another part of the same sequence, shifted by at most ``most`` bases; the same length."""
    by = int(torch.randint(-most, most + 1, (), generator=generator))
    if example.whole is None or len(example) == len(example.whole):
        return example
    start = min(max(0, example.start + by), len(example.whole) - len(example))
    return _part(example.whole, start, start + len(example))


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
    """Opens the sequences of a FASTA or GenBank file, or of all such files in a folder."""
    if is_folder(path):
        files = [file for file in files_below(path) if is_fasta(file) or is_genbank(file)]
        if not files:
            raise DataError(f"{path}: there are no FASTA files in this folder; name a file.")
        return [each for file in files for each in _open(file)]
    return _open(path)


def _open(path: Path) -> list[Bases]:
    if not is_genbank(path):
        return open_fasta(path)
    found: list[Bases] = []
    for row in genbank_rows(path):
        if isinstance(row, Fault):
            raise DataError(str(row))
        if isinstance(row.value, BaseSequence):
            found.append(row.value)
    return found


def as_input(value: str | Bases) -> Bases:
    """Converts a string of bases to a sequence; ignores whitespace."""
    if not isinstance(value, str):
        return value
    bases = "".join(value.split())
    foreign = np.flatnonzero(encode_bases(bases) == NO_BASE)
    if len(foreign):
        raise DataError(
            f'base {foreign[0] + 1} of the sequence is "{bases[foreign[0]]}"; valid letters are '
            "ACGT and RYSWKMBDHVN (IUPAC). If you meant a file, check its name."
        )
    return BaseSequence("sequence", bases)
