"""Gene finding in DNA: labels each base and returns the genes.  Many to many, aligned.

A base is outside of genes, untranslated, coding or in an intron.  Convolutions and a recurrent
encoder score each base.  A conditional random field over the states of a grammar of genes
(``grammar.py``) ensures that codons continue across introns, that there is no stop codon within a
gene, and that introns have valid ends.  ``answers.py`` writes text, GFF3, BED and plots.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from elman.tasks.dna.options import DnaOptions, GeneFileOptions
from elman.tasks.task import Fitted, Task, Vocab
from elman.training import LoopOptions

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from elman.data import DataReport
    from elman.data.faults import Row
    from elman.graph import Cell
    from elman.tasks.dna.answers import Reading
    from elman.tasks.dna.data import Segment
    from elman.tasks.dna.fasta import Bases
    from elman.tasks.dna.symbols import GeneSymbols
    from elman.training.baselines import Baseline


class GeneFinding(Task["Segment", "GeneSymbols", "Reading", "Bases", DnaOptions, GeneFileOptions]):
    """Finds genes in DNA sequences."""

    name = "dna"
    title = "gene finding: DNA to genes"
    metric = "exon_f1"
    training = LoopOptions(
        batch_size=16,
        epochs=20,
        learning_rate=3e-3,
        schedule="cosine",
        warmup_steps=20,
        clip_norm=1.0,
        patience=20,
        average_weights=0.99,
    )
    Options = DnaOptions
    PredictOptions = GeneFileOptions
    independent = True
    train_file = "train.fa"
    valid_file = "valid.fa"
    symbol_options = ("strands", "shortest_intron", "kmer")
    demo = MappingProxyType({text: text for text in ("AGCCCCTGTGAGGAACTAG",)})

    def samples(self) -> Mapping[str, str | bytes]:
        from elman.tasks.dna.samples import sample_genes

        files: dict[str, str | bytes] = {}
        for part, count, seed in (("train", 60, 1), ("valid", 12, 2)):
            files[f"{part}.fa"], files[f"{part}.gff3"] = sample_genes(count, seed)
        return files

    def read(self, path: Path, options: DnaOptions) -> list[Row[Segment]]:
        from elman.tasks.dna import data

        return data.read(path, options)

    def build_vocab(
        self, examples: Sequence[Segment], options: DnaOptions, seed: int
    ) -> Vocab[GeneSymbols]:
        from elman.tasks.dna import data

        return data.build_vocab(examples, options, seed)

    def build(self, options: DnaOptions, cell: Cell, vocab: Vocab[GeneSymbols]) -> nn.Module:
        import elman.tasks.dna.exported  # noqa: F401 - says how its model is exported
        from elman.tasks.dna import model

        return model.build(options, cell, vocab)

    def cut(self, examples: Sequence[Segment], longest: int) -> list[Segment]:
        from elman.tasks.dna import data

        return data.cut(examples, longest)

    def collate(
        self,
        examples: Sequence[Segment],
        symbols: GeneSymbols,
        options: DnaOptions,
        generator: Generator | None = None,
    ) -> dict[str, Tensor]:
        from elman.tasks.dna import data

        return data.collate(examples, symbols, options, generator)

    def baselines(
        self,
        train: Sequence[Segment],
        valid: Sequence[Segment],
        fitted: Fitted[GeneSymbols, DnaOptions],
    ) -> Sequence[Baseline]:
        from elman.tasks.dna import baselines

        return baselines.baselines(train, valid)

    def score(
        self,
        fitted: Fitted[GeneSymbols, DnaOptions],
        examples: Sequence[Segment],
        wanted: GeneFileOptions,
    ) -> dict[str, Any]:
        from elman.tasks.dna import scores

        return scores.score(fitted, examples, wanted)

    def predict(
        self,
        fitted: Fitted[GeneSymbols, DnaOptions],
        inputs: Sequence[Bases],
        wanted: GeneFileOptions,
    ) -> list[Reading]:
        from elman.tasks.dna import prediction

        return prediction.predict(fitted, inputs, wanted)

    def check(self, path: Path, options: DnaOptions) -> DataReport:
        from elman.tasks.dna.loci import check_loci

        return check_loci(path, options.transcript, options.shortest_intron)

    def group(self, example: Segment) -> Hashable:
        return example.codes.tobytes()

    def load_symbols(self, text: str) -> GeneSymbols:
        from elman.tasks.dna import symbols

        return symbols.load_symbols(text)

    def read_inputs(self, path: Path, options: DnaOptions) -> list[Bases]:
        from elman.tasks.dna import data

        return data.read_inputs(path, options)

    def as_input(self, value: str | Bases) -> Bases:
        from elman.tasks.dna import data

        return data.as_input(value)

    def save(self, answers: Sequence[Reading], wanted: GeneFileOptions) -> list[Path]:
        from elman.tasks.dna.answers import write_readings

        return write_readings(answers, out=wanted.out, bed=wanted.bed, png=wanted.png)

    def show(self, answer: Reading) -> str:
        from elman.tasks.dna.answers import show_reading

        return show_reading(answer)

    def record(self, answer: Reading) -> dict[str, Any]:
        from elman.tasks.dna.answers import record_reading

        return record_reading(answer)

    def demo_settings(self, folder: Path) -> Mapping[str, object]:
        return {"png": str(folder / "dna.png")}
