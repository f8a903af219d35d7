"""DNA (SPEC 1.4): bases become a label each, and the genes they make.  Many to many, aligned.

A base is outside of genes, untranslated, coding or in an intron.  Convolutions and a recurrent
encoder score each base; a conditional random field over the states of a grammar of genes
(``grammar.py``) takes care that codons go on across introns, none of them means stop,
and introns have their borders.  Answers as text, GFF3, BED and picture: ``answers.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor, nn

import elman.tasks.dna.exported  # noqa: F401 - says how its model is exported
from elman.data import DataReport, pad_sequences
from elman.data.faults import Fault, Row
from elman.data.sources import is_folder, kind_of
from elman.errors import DataError, OptionError, RunError
from elman.graph import Cell
from elman.tasks.dna.answers import Reading, record_reading, show_reading, write_readings
from elman.tasks.dna.bases import COMPLEMENT, NO_BASE, PROBABILITIES, Codes, encode_bases
from elman.tasks.dna.fasta import Bases, is_fasta, open_fasta
from elman.tasks.dna.fasta import Sequence as BaseSequence
from elman.tasks.dna.found_genes import FoundGene, StateRuns, genes_of
from elman.tasks.dna.genes import coding_parts
from elman.tasks.dna.grammar import LABELS, Grammar, gene_grammar
from elman.tasks.dna.grammar_crf import GrammarCRF
from elman.tasks.dna.grammar_path import Automaton, PathSearch, best_paths
from elman.tasks.dna.loci import Locus, check_loci, locus_rows
from elman.tasks.dna.model import BaseReader, BaseTagger
from elman.tasks.dna.samples import sample_genes
from elman.tasks.inference import ask
from elman.tasks.options import option
from elman.tasks.recurrent_options import RecurrentOptions, recurrent_layer
from elman.tasks.task import Fitted, Learned
from elman.training import LoopOptions
from elman.training.metrics import Score
from elman.training.watch import CHANCE

NAME = "dna"
TITLE = "DNA: bases become genes"
METRIC = "exon_f1"
HIGHER_IS_BETTER = True
TRAINING = LoopOptions(
    batch_size=16,
    epochs=20,
    learning_rate=3e-3,
    schedule="cosine",
    warmup_steps=20,
    clip_norm=1.0,
    patience=20,
    average_weights=0.99,
)
TRAIN_FILE, VALID_FILE = "train.fa", "valid.fa"
POSTER = {text: text for text in ("AGCCCCTGTGAGGAACTAG",)}
INPUT: Literal["text"] = "text"
stream = None
part = None

#: a longer sequence is read in pieces of this many bases, and gets no probabilities
PIECE = 30_000
#: the fewest bases of a random piece that training reads
SHORTEST_FRAGMENT = 15


@dataclass(frozen=True)
class Options(RecurrentOptions):
    """The options of DNA."""

    cell: str = option("lstm", "a cell of the catalogue, or FILE.py:NAME for one of your own")
    hidden_size: int = option(64, "units of the recurrent layers, in each direction")
    num_layers: int = option(2, "recurrent layers on top of each other")
    bidirectional: bool = option(True, "read the sequence in both directions")
    stride: int = option(3, "bases that the recurrent layers read in one step")
    channels: int = option(64, "features of a base's neighbourhood")
    width: int = option(9, "bases that a convolution sees, an odd number")
    convolutions: int = option(2, "convolutions on top of each other")
    grammar: bool = option(True, "weigh labels by the grammar of genes; else a softmax a base")
    strands: Literal["auto", "given", "both"] = option(
        "auto", "strands that genes are on: given, both, or auto: as in the training data"
    )
    transcript: Literal["first", "longest"] = option(
        "first", "which transcript of a gene: the first in the file, or that with most coding bases"
    )
    fragments: float = option(0.0, "part of the training sequences of which a random piece is read")
    dropout: float = option(0.2, "part of the features that training leaves out")
    longest: int = option(6000, "training cuts sequences that have more bases")

    def __post_init__(self) -> None:
        for name in ("hidden_size", "num_layers", "stride", "channels", "convolutions"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if self.width < 1 or self.width % 2 == 0:
            raise OptionError(f"width is {self.width}; it must be an odd number, 1 or more.")
        if self.longest < 100:
            raise OptionError(f"longest is {self.longest}; it must be at least 100.")
        if not 0 <= self.dropout < 1:
            raise OptionError(f"dropout is {self.dropout}; it must be at least 0 and less than 1.")
        if not 0 <= self.fragments <= 1:
            raise OptionError(f"fragments is {self.fragments}; it must be from 0 to 1.")


@dataclass(frozen=True)
class PredictOptions:
    """What is written beside the answer."""

    out: str = option("", "a GFF3 file for the genes that are found")
    bed: str = option("", "a BED file for them")
    png: str = option("", "a picture of the probabilities along each sequence")


@dataclass(frozen=True)
class GeneSymbols:
    """Whether genes are looked for on both strands; codes and states are the grammar's."""

    both_strands: bool

    def to_json(self) -> str:
        """All of it as a JSON object."""
        return json.dumps({"letters": "IUPAC", "both_strands": self.both_strands})

    @property
    def grammar(self) -> Grammar:
        """The grammar of these strands."""
        return gene_grammar(both_strands=self.both_strands)


@dataclass(frozen=True, eq=False)
class Stretch:
    """A sequence to learn from or to be scored on, as codes and states; or a part of one."""

    codes: Codes
    path: npt.NDArray[np.uint8]
    #: strands with genes
    strands: frozenset[str] = field(default_factory=frozenset)


def samples() -> Mapping[str, str | bytes]:
    """A few made-up genes for ``elman new``."""
    files: dict[str, str | bytes] = {}
    for part, count, seed in (("train", 60, 1), ("valid", 12, 2)):
        files[f"{part}.fa"], files[f"{part}.gff3"] = sample_genes(count, seed)
    return files


def read(path: Path, options: Options) -> list[Row[Stretch]]:
    """The annotated sequences of a FASTA file with its GFF3, or of a folder of such pairs."""
    rows = []
    for item in locus_rows(path, options.transcript):
        if isinstance(item, Fault):
            raise DataError(str(item))
        if isinstance(item, Row):
            rows.append(Row(item.place, _stretch(item.value)))
    return rows


def _stretch(locus: Locus) -> Stretch:
    return Stretch(locus.codes, locus.path, frozenset([gene.strand for gene in locus.genes]))


def check(path: Path, options: Options) -> DataReport:
    """Everything that is wrong with sequences and annotations, and what is odd in them."""
    return check_loci(path, options.transcript)


def refuse_strangers(rows: Sequence[Row[Stretch]], symbols: GeneSymbols) -> None:
    """``DataError`` for a gene on the other strand, where the model looks on the given one only."""
    for row in rows:
        if "-" in row.value.strands and not symbols.both_strands:
            raise DataError(
                f"{row.place}: this sequence has a gene on the strand -, but the model looks for "
                "genes on the given strand only; train with --strands both."
            )


def group(example: Stretch) -> Hashable:
    """The same bases stay on one side."""
    return example.codes.tobytes()


def learn(examples: Sequence[Stretch], options: Options, seed: int) -> Learned:
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
    return Learned(GeneSymbols(both), None)


def adopt(known: GeneSymbols, learned: GeneSymbols) -> GeneSymbols:
    """What the model knows: there are no labels."""
    return known


def load_symbols(text: str) -> GeneSymbols:
    """The strands of a run folder."""
    try:
        return GeneSymbols(bool(json.loads(text)["both_strands"]))
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"symbols.json cannot be read ({error!r}); copy the run folder again."
        ) from error


def build(options: Options, cell: Cell, learned: Learned) -> nn.Module:
    """A ``BaseTagger`` of the cell, with the grammar or without."""
    symbols: GeneSymbols = learned.symbols
    grammar = symbols.grammar
    crf = None
    if options.grammar:
        crf = GrammarCRF(
            grammar.state_classes,
            grammar.strays,
            grammar.edges,
            grammar.edge_groups,
            grammar.edge_costs,
        )
    reader = BaseReader(
        torch.from_numpy(PROBABILITIES), options.channels, options.width, options.convolutions
    )
    encoder = recurrent_layer(
        options,
        cell,
        options.stride * options.channels,
        options.hidden_size,
        options.num_layers,
        bidirectional=options.bidirectional,
        dropout=options.dropout,
    )
    classes = grammar.classes if options.grammar else _plain_classes(symbols)
    return BaseTagger(
        reader,
        encoder,
        (len(classes) + 1) // 2 if symbols.both_strands else len(classes),
        stride=options.stride,
        complement=torch.from_numpy(COMPLEMENT).long() if symbols.both_strands else None,
        crf=crf,
        dropout=options.dropout,
    )


def _plain_classes(symbols: GeneSymbols) -> Sequence[str]:
    """The classes without a grammar: the labels of each strand."""
    return [*LABELS, *[f"{label}-" for label in LABELS[1:]]][: 7 if symbols.both_strands else 4]


def _plain_states(symbols: GeneSymbols) -> npt.NDArray[np.int64]:
    """For each plain class a state that stands for it, and so for its label and strand."""
    names = {"N": "N", "U": "U5", "E": "E0x", "I": "I.0"}
    states = [names[c[0]] + c[1:] for c in _plain_classes(symbols)]
    return np.array([symbols.grammar.index(state) for state in states])


def _plain_path(symbols: GeneSymbols) -> npt.NDArray[np.int64]:
    """For each state of the grammar the plain class."""
    grammar, classes = symbols.grammar, list(_plain_classes(symbols))
    return np.array(
        [
            classes.index(label + ("-" if name.endswith("-") else ""))
            for name, label in zip(grammar.states, grammar.labels, strict=True)
        ]
    )


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


def length(example: Stretch) -> int:
    """How many bases a sequence has."""
    return len(example.codes)


def collate(
    examples: Sequence[Stretch],
    symbols: GeneSymbols,
    options: Options,
    generator: Generator | None = None,
) -> dict[str, Tensor]:
    """Codes and states (time, batch), and lengths; of some, in training, a random piece."""
    if generator is not None and options.fragments:
        examples = [_fragment(example, options.fragments, generator) for example in examples]
    codes, lengths = _codes([example.codes for example in examples])
    path, _ = pad_sequences([example.path.tolist() for example in examples])
    if not options.grammar:
        path = torch.from_numpy(_plain_path(symbols))[path]
    return {"codes": codes, "lengths": lengths, "path": path}


def _fragment(example: Stretch, share: float, generator: Generator) -> Stretch:
    whether, size, place = torch.rand(3, generator=generator).tolist()
    whole = len(example.codes)
    if whether >= share or whole <= SHORTEST_FRAGMENT:
        return example
    count = SHORTEST_FRAGMENT + int(size * (whole - SHORTEST_FRAGMENT))
    start = int(place * (whole - count + 1))
    return _part(example, start, start + count)


def _codes(rows: Sequence[Codes]) -> tuple[Tensor, Tensor]:
    return pad_sequences([row.tolist() for row in rows])


def validate(fitted: Fitted, examples: Sequence[Stretch]) -> dict[str, Any]:
    """The job's metrics, and that a model which finds no exon has an F1 of zero."""
    return {**score(fitted, examples, PredictOptions()), CHANCE: 0.0}


def score(fitted: Fitted, examples: Sequence[Stretch], wanted: PredictOptions) -> dict[str, Any]:
    """Accuracy of bases, F1 of exact coding exons and genes, and scores of each label.

    An exon counts only when both its ends agree, a gene only when all its exons do.
    """
    symbols: GeneSymbols = fitted.symbols
    labels = np.array([LABELS.index(label) for label in symbols.grammar.labels])
    losses, steps = [], []
    table = np.zeros((4, 4), dtype=np.int64)
    right = there = found = whole = 0

    def answer(batch: Sequence[Stretch]) -> list[npt.NDArray[np.int64]]:
        tensors = collate(batch, symbols, fitted.options)
        scores = fitted.model(tensors["codes"], tensors["lengths"])
        loss = fitted.model.loss_of(scores, **tensors)  # type: ignore[operator]
        losses.append(float(loss) * int(tensors["lengths"].sum()))
        steps.append(int(tensors["lengths"].sum()))
        return _states(fitted, scores, tensors["codes"], tensors["lengths"])

    short = [k for k, example in enumerate(examples) if length(example) <= PIECE]
    answered = ask(fitted.model, [examples[k] for k in short], length, answer)
    known = dict(zip(short, answered, strict=True))
    for k, example in enumerate(examples):
        states = known.get(k)
        if states is None:
            pieces = _states_in_pieces(fitted, length(example), _slices(example.codes))
            states = np.concatenate(list(pieces))
        expected, predicted = labels[example.path], labels[states]
        np.add.at(table, (expected, predicted), 1)
        exons, guesses = (
            set(coding_parts("".join([LABELS[k] for k in row]))) for row in (expected, predicted)
        )
        right, there, found = right + len(exons & guesses), there + len(exons), found + len(guesses)
        whole += exons == guesses
    exon = Score.of(right, there, found)
    per_label = {
        label: Score.of(int(table[k, k]), int(table[k].sum()), int(table[:, k].sum()))
        for k, label in enumerate(LABELS)
    }
    return {
        "base_accuracy": float(table.trace() / table.sum()),
        "exon_f1": exon.f1,
        "exon_precision": exon.precision,
        "exon_recall": exon.recall,
        "whole_genes": whole / len(examples),
        "per_type": {
            label: {"precision": each.precision, "recall": each.recall, "f1": each.f1}
            for label, each in per_label.items()
        },
        # a sequence that is read in pieces has no loss
        **({"loss": sum(losses) / sum(steps)} if sum(steps) else {}),
        "examples": len(examples),
    }


def _slices(codes: Codes) -> Callable[[int, int], Codes]:
    return lambda start, end: codes[start:end]


def _automaton(crf: GrammarCRF) -> Automaton:
    with torch.no_grad():
        tensors = (crf.state_classes, crf.costs, crf.edges, crf.edge_scores(), crf.start, crf.end)
        return Automaton(
            *[
                tensor.double().numpy() if tensor.is_floating_point() else tensor.numpy()
                for tensor in tensors
            ]
        )


def _states(
    fitted: Fitted, scores: Tensor, codes: Tensor, lengths: Tensor
) -> list[npt.NDArray[np.int64]]:
    """The best path of each row."""
    crf = fitted.model.crf
    if isinstance(crf, GrammarCRF):
        return best_paths(_automaton(crf), scores, codes, lengths)
    states = _plain_states(fitted.symbols)[scores.argmax(-1).numpy()]
    return [states[:size, row] for row, size in enumerate(lengths.tolist())]


def _probabilities(fitted: Fitted, scores: Tensor, codes: Tensor, lengths: Tensor) -> Tensor:
    """The probability of each label at each base, (time, batch, label)."""
    symbols: GeneSymbols = fitted.symbols
    crf = fitted.model.crf
    if isinstance(crf, GrammarCRF):
        each = crf.marginals(scores, codes, lengths)
        kinds = torch.tensor([LABELS.index(label) for label in symbols.grammar.labels])
    else:
        each = scores.softmax(-1)
        kinds = torch.tensor([LABELS.index(c[0]) for c in _plain_classes(symbols)])
    return torch.zeros(*each.shape[:2], 4).index_add_(2, kinds, each)


def read_inputs(path: Path, options: Options) -> list[Bases]:
    """The sequences of a FASTA file, or of all of them in a folder."""
    if is_folder(path):
        files = sorted([f for f in path.rglob("*") if kind_of(f) == "file" and is_fasta(f)])
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


def predict(fitted: Fitted, inputs: Sequence[Bases], wanted: PredictOptions) -> list[Reading]:
    """The labels and genes of each sequence; one longer than ``PIECE`` is read in pieces."""
    short = [k for k, each in enumerate(inputs) if 0 < len(each) <= PIECE]
    answered = ask(fitted.model, [inputs[k] for k in short], len, partial(_read_batch, fitted))
    readings = dict(zip(short, answered, strict=True))
    fitted.model.eval()
    return [
        readings[k] if k in readings else _read_long(fitted, each) for k, each in enumerate(inputs)
    ]


def _read_long(fitted: Fitted, sequence: Bases) -> Reading:
    """The genes of a long sequence; of an empty one, none."""
    if not len(sequence):
        return Reading(sequence.name, 0, ())
    return read_in_pieces(fitted, sequence)


def _read_batch(fitted: Fitted, batch: Sequence[Bases]) -> list[Reading]:
    texts = [each.part(0, len(each)) for each in batch]
    codes, lengths = _codes([encode_bases(text) for text in texts])
    scores = fitted.model(codes, lengths)
    probabilities = _probabilities(fitted, scores, codes, lengths)
    readings = []
    for row, states in enumerate(_states(fitted, scores, codes, lengths)):
        grammar = fitted.symbols.grammar
        own = probabilities[: len(states), row].numpy()
        readings.append(
            Reading(
                name=batch[row].name,
                length=len(states),
                genes=_genes(grammar, [states], batch[row].name, own),
                bases=texts[row],
                labels="".join([grammar.labels[k] for k in states]),
                probabilities=own,
            )
        )
    return readings


def read_in_pieces(fitted: Fitted, sequence: Bases, size: int = PIECE) -> Reading:
    """The genes of a sequence of any length, ``size`` bases at a time: those of the whole."""

    def codes(start: int, end: int) -> Codes:
        return encode_bases(sequence.part(start, end))

    states = _states_in_pieces(fitted, len(sequence), codes, size)
    genes = _genes(fitted.symbols.grammar, states, sequence.name, None)
    return Reading(sequence.name, len(sequence), genes)


def _states_in_pieces(
    fitted: Fitted, length: int, codes: Callable[[int, int], Codes], size: int = PIECE
) -> Iterator[npt.NDArray[np.int64]]:
    """The best path of a sequence, as far as it is settled after each piece."""
    model = fitted.model
    assert isinstance(model, BaseTagger)

    def read_codes(start: int, end: int) -> Tensor:
        return torch.from_numpy(codes(start, end).astype(np.int64))

    search = None if model.crf is None else PathSearch(_automaton(model.crf))
    begin = 0
    for scores in model.in_pieces(length, read_codes, size):
        if search is None:
            yield _plain_states(fitted.symbols)[scores.argmax(-1).numpy()]
        else:
            yield search.feed(scores, read_codes(begin, begin + len(scores)))
        begin += len(scores)
    if search is not None:
        yield search.finish()


def _genes(
    grammar: Grammar, states: Any, name: str, probabilities: npt.NDArray[np.float32] | None
) -> tuple[FoundGene, ...]:
    runs = StateRuns(grammar)
    for piece in states:
        runs.feed(piece)
    found = []
    for gene in genes_of(runs.finish(), name):
        probability = None
        if probabilities is not None and gene.coding:
            inside = np.concatenate([probabilities[a:b, LABELS.index("E")] for a, b in gene.coding])
            probability = float(inside.mean())
        found.append(FoundGene(gene, probability))
    return tuple(found)


def save(predictions: Sequence[Reading], wanted: PredictOptions) -> list[Path]:
    """GFF3, BED and pictures, as far as they are wanted."""
    return write_readings(predictions, out=wanted.out, bed=wanted.bed, png=wanted.png)


def poster_settings(folder: Path) -> Mapping[str, object]:
    """A picture of the probabilities."""
    return {"png": str(folder / "dna.png")}


def show(prediction: Reading) -> str:
    """The bases in the colours of their labels, and the genes."""
    return show_reading(prediction)


def record(prediction: Reading) -> dict[str, Any]:
    """Genes, labels and probabilities as a JSON object."""
    return record_reading(prediction)
