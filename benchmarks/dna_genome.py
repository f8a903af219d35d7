"""Train the gene finder on a piece of a genome, and score it on a chromosome as the field does.

    python benchmarks/dna_genome.py [--seed 0] [--only valid]

The annotation is the longest transcript of each protein-coding gene, also of genes that overlap
others or that the end of the sequence cuts off, which ``elman evaluate`` leaves out.  An exon (CDS)
is right if its strand and both ends are, a coding base if its strand is, a gene if all its exons
are.  Choices were made on chromosome X; chromosome III was scored once, after them.

Training has two stages: on the genome and joined small genes, then on the genome alone, where genes
are as far apart as they are.  The first stage of the published run was stopped after 181 of its 640
steps, for want of time, and the second, which began from its last weights, after 124 of 186; its
last weights were taken, of the lowest validation loss.  Afterwards the score of introns is lowered
by ``INTRONS`` per base, the best on X of 0, -0.005, -0.01, -0.02 and -0.04, and the scores of
beginning in a class are counted.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import elman
from elman.benchmark import machine
from elman.data.faults import Row
from elman.files import write_whole
from elman.tasks import TASKS, Data, train
from elman.tasks.dna.fasta import Sequence
from elman.tasks.dna.gff3 import gff3_rows
from elman.tasks.dna.grammar import Grammar
from elman.tasks.dna.options import DnaOptions
from elman.training.metrics import Score
from recipes.worm_genome import worm_genome

RUNS = Path("runs")
#: each exon of a gene as (sequence, strand, start, end)
Gene = tuple[tuple[str, str, int, int], ...]
#: the options of both stages
SETTINGS: dict[str, object] = {
    "strands": "both",
    "transcript": "longest",
    "kmer": 6,
    "shortest_intron": 30,
    "motif_width": 31,
    "width": 5,
    "convolutions": 2,
    "channels": 32,
    "hidden_size": 64,
    "num_layers": 1,
    "dropout": 0.1,
    "longest": 3000,
    "batch_size": 8,
    "threads": 1,
}
FIRST = {"jitter": 0.5, "learning_rate": 3e-3, "epochs": 8}
SECOND = {
    "jitter": 1.0,
    "learning_rate": 2e-3,
    "epochs": 6,
    "average_weights": 0.98,
    "warmup_steps": 5,
}
INTRONS = -0.005
TITLES = (
    "C. elegans (WormBase WS282): pieces of I, II, IV and V, and smallgenes",
    "C. elegans (WormBase WS282): pieces of I, II, IV and V",
)
#: AUGUSTUS (species caenorhabditis) and the first shipped model of Elman on chromosome III
OTHERS = {
    "AUGUSTUS": {"exon_f1": 79.0, "coding_f1": 89.7, "genes_right": 12},
    "Elman 0.1.0": {"exon_f1": 20.7, "coding_f1": 33.6, "genes_right": 0},
}


def annotated(annotation: Path) -> list[Gene]:
    """The longest transcript of each gene, also of those whose transcript line is missing."""
    genes: dict[str, str] = {}
    parts: dict[str, list[tuple[str, str, int, int]]] = defaultdict(list)
    for row in gff3_rows(annotation):
        assert isinstance(row, Row)
        feature = row.value
        if feature.type == "mRNA":
            genes[feature.id] = feature.parents[0]
        elif feature.type == "CDS":
            for parent in feature.parents:
                parts[parent].append((feature.sequence, feature.strand, feature.start, feature.end))
    longest: dict[str, Gene] = {}
    for name, exons in parts.items():
        # WormBase's transcripts are named after their gene: T17A3.2.1, Y74C9A.2a.1
        gene = genes.get(name) or ".".join(name.split(".")[:2]).rstrip("abcdefghijklmn")
        best = longest.get(gene, ())
        if _size(exons) > _size(best):
            longest[gene] = tuple(sorted(exons))
    return list(longest.values())


def _size(exons: Iterable[tuple[str, str, int, int]]) -> int:
    return sum(end - start for _, _, start, end in exons)


def predicted(model: Any, path: Path) -> list[Gene]:
    """The coding exons of each gene that a model finds."""
    return [
        tuple(sorted([(answer.name, each.gene.strand, *part) for part in each.gene.coding]))
        for answer in model.predict_file(path)
        for each in answer.genes
        if each.gene.coding
    ]


def compared(expected: list[Gene], found: list[Gene]) -> dict[str, Any]:
    """The scores of the field, in per cent, and for each strand."""

    def scores(strands: str) -> dict[str, Any]:
        own = [[gene for gene in each if gene[0][1] in strands] for each in (expected, found)]
        exons = [{exon for gene in genes for exon in gene} for genes in own]
        bases = [{(*e[:2], k) for e in each for k in range(e[2], e[3])} for each in exons]
        whole = [set(genes) for genes in own]
        exon, base = [Score.of(len(a & b), len(a), len(b)) for a, b in (exons, bases)]
        return {
            "exon_f1": round(100 * exon.f1, 1),
            "exon_precision": round(100 * exon.precision, 1),
            "exon_recall": round(100 * exon.recall, 1),
            "coding_f1": round(100 * base.f1, 1),
            "coding_precision": round(100 * base.precision, 1),
            "coding_recall": round(100 * base.recall, 1),
            "genes_right": len(whole[0] & whole[1]),
            "genes": len(whole[0]),
            "genes_found": len(whole[1]),
        }

    return {**scores("+-"), "strands": {strand: scores(strand) for strand in "+-"}}


def random_genes(model: Any, size: int = 100_000) -> int:
    """The number of genes in random bases with the composition of the genome (36 % G or C)."""
    letters = np.random.default_rng(0).choice(list("ACGT"), size, p=[0.32, 0.18, 0.18, 0.32])
    (answer,) = model([Sequence("random", "".join(letters))])
    return len(answer.genes)


def trained(paths: dict[str, Path], folder: Path, seed: int) -> None:
    """Trains both stages."""
    first = folder.with_name(f"joined-{seed}")
    licence = "free to use with attribution; MIT"
    if not (first / "card.md").exists():
        data = Data(paths["train"], paths["windows"], TITLES[0], licence)
        train(TASKS["dna"], data, first, {**SETTINGS, **FIRST, "seed": seed}, resume=True)
    data = Data(paths["train"] / "genome.fa", paths["windows"], TITLES[1], licence)
    settings = {**SETTINGS, **SECOND, "seed": seed}
    model, _ = train(TASKS["dna"], data, folder, settings, start=elman.load(first))
    grammar = model.symbols.grammar
    classes = grammar.classes[: model.model.output.out_features]
    with torch.no_grad():
        model.model.crf.start.copy_(start_scores(grammar, paths["train"] / "genome.fa"))
        for k, name in enumerate(classes):
            model.model.output.bias[k] += INTRONS if name in ("I", "Iu") else 0.0
    model.folder.save_weights(model.model)


def start_scores(grammar: Grammar, path: Path) -> torch.Tensor:
    """How often a base of the genome has each class, shared by its states, as logarithms.

    A sequence may begin anywhere; without this, the many states of introns would claim its start.
    """
    options = DnaOptions(transcript="longest", shortest_intron=grammar.shortest_intron)
    count, half = len(grammar.classes), (len(grammar.classes) + 1) // 2
    found = np.ones(count)
    for row in TASKS["dna"].read(path, options):
        found += np.bincount(grammar.state_classes[row.value.path], minlength=count)
    found[1:half] = found[half:] = (found[1:half] + found[half:]) / 2
    states = np.bincount(grammar.state_classes, minlength=count)
    return torch.from_numpy(np.log(found / found.sum() / states))


def main() -> None:
    """Train unless the run exists, score, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=["valid"], help="do not touch the test data")
    asked = parser.parse_args()
    paths = worm_genome(RUNS / "data")
    folder = RUNS / "dna_genome" / f"genome-{asked.seed}"
    if not (folder / "card.md").exists():
        trained(paths, folder, asked.seed)
    model = elman.load(folder)
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    minutes = round(history[-1]["seconds"] / 60, 1)
    record: dict[str, Any] = {
        "command": f"python benchmarks/dna_genome.py --seed {asked.seed}",
        "machine": machine(),
        "settings": {**SETTINGS, "first": FIRST, "second": SECOND, "seed": asked.seed},
        "parameters": sum(p.numel() for p in model.model.parameters()),
        "epochs": len(history),
        "minutes": minutes,
        "others": OTHERS,
        "random_genes": random_genes(model),
    }
    for part in ("valid",) if asked.only else ("valid", "test"):
        started = time.perf_counter()
        found = predicted(model, paths[part])
        seconds = time.perf_counter() - started
        record[part] = compared(annotated(paths[part].with_suffix(".gff3")), found)
        record[part]["seconds"] = round(seconds, 1)
        record[part]["evaluate"] = model.evaluate(paths[part])
        print(part, json.dumps(record[part], indent=1))
    print("genes in 100,000 random bases:", record["random_genes"])
    if not asked.only:
        # for recipes/ship.py
        figures = {
            **{key: record[key] for key in ("parameters", "epochs", "minutes")},
            **{part: record[part]["evaluate"] for part in ("valid", "test")},
            "seed": asked.seed,
            "threads": 1,
        }
        write_whole(folder / "figures.json", json.dumps(figures))
        target = Path(__file__).parent / "results" / "dna_genome.json"
        write_whole(target, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
