"""Predictions for sequences, and how they are shown: text, files, plots.

``found_genes.py`` writes GFF3 and BED.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.markup import escape

from elman.errors import OptionError
from elman.files import write_whole
from elman.tasks.dna.found_genes import FoundGene, bed_text, gff3_text
from elman.tasks.dna.grammar import LABELS
from elman.tasks.dna.options import GeneFileOptions

_STYLES = {"N": "dim", "U": "yellow", "E": "bold green", "I": "blue"}
_NAMES = {"N": "outside", "U": "untranslated", "E": "coding exon", "I": "intron"}
_COLOURS = {"N": "#9a9a9a", "U": "#d9a400", "E": "#1f8a3b", "I": "#3465c0"}
#: bases per line of text
_WIDTH = 100
#: maximum length of sequences shown with probabilities
_SHORT = 300
#: maximum length of sequences shown base by base
_SHOWN = 6000


@dataclass(frozen=True, eq=False)
class Reading:
    """The prediction for a sequence: a label per base, label probabilities, and the genes.

    ``bases``, ``labels`` and ``probabilities`` (base, label) are missing for a sequence that was
    read in pieces.
    """

    name: str
    length: int
    genes: tuple[FoundGene, ...]
    bases: str = ""
    labels: str = ""
    probabilities: npt.NDArray[np.float32] | None = None

    def probability(self) -> list[float]:
        """The probability of each base's label."""
        assert self.probabilities is not None
        places = [LABELS.index(label) for label in self.labels]
        return [float(row[k]) for row, k in zip(self.probabilities, places, strict=True)]


def show_reading(reading: Reading) -> str:
    """The genes and, unless the sequence is long, the bases in the colours of their labels."""
    lines = [
        f"[bold]{escape(reading.name)}[/]: {reading.length:,} bases, "
        + _counted(len(reading.genes), "gene")
    ]
    if reading.bases and reading.length <= _SHOWN:
        lines.append(
            "  ".join([f"[{_STYLES[label]}]{label} {_NAMES[label]}[/]" for label in LABELS])
        )
        for start in range(0, reading.length, _WIDTH):
            lines += _line(reading, start, min(start + _WIDTH, reading.length))
    lines += [_gene_line(found) for found in reading.genes]
    return "\n".join(lines)


def _line(reading: Reading, start: int, end: int) -> list[str]:
    bases, labels = reading.bases[start:end], reading.labels[start:end]
    runs, k = [], 0
    while k < len(bases):
        stop = k + len(labels[k:]) - len(labels[k:].lstrip(labels[k]))
        runs.append(f"[{_STYLES[labels[k]]}]{bases[k:stop]}[/]")
        k = stop
    # also the letters: files have no colour, and some users do not see it
    lines = [f"{start + 1:>7} {''.join(runs)}", f"        [dim]{labels}[/]"]
    if reading.length <= _SHORT and reading.probabilities is not None:
        digits = "".join([str(min(9, int(10 * p))) for p in reading.probability()[start:end]])
        lines.append(f"        [dim]{digits}  probability, in tenths[/]")
    return lines


def _gene_line(found: FoundGene) -> str:
    gene = found.gene
    parts = ", ".join([f"{start + 1}-{end}" for start, end in gene.coding]) or "none"
    probability = "" if found.probability is None else f"   probability {found.probability:.0%}"
    partial = "   goes on beyond the sequence" if found.partial else ""
    return (
        f"  {escape(gene.name)} ({gene.strand}) {gene.start + 1}-{gene.end}: coding [green]{parts}"
        f"[/]{probability}{partial}"
    )


def _counted(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def record_reading(reading: Reading) -> dict[str, Any]:
    """A reading as a JSON object; positions count from 1, ends included, as in GFF3."""
    found: dict[str, Any] = {"name": reading.name, "length": reading.length}
    found["genes"] = [
        {
            "name": each.gene.name,
            "strand": each.gene.strand,
            "exons": [[start + 1, end] for start, end in each.gene.exons],
            "coding": [[start + 1, end] for start, end in each.gene.coding],
            "phase": each.gene.phase,
            "probability": None if each.probability is None else round(each.probability, 4),
            "partial": list(each.partial),
        }
        for each in reading.genes
    ]
    if reading.probabilities is not None:
        found["bases"], found["labels"] = reading.bases, reading.labels
        found["probabilities"] = {
            label: [round(float(p), 4) for p in reading.probabilities[:, k]]
            for k, label in enumerate(LABELS)
        }
    return found


def write_readings(
    readings: Sequence[Reading], *, out: str = "", bed: str = "", png: str = ""
) -> list[Path]:
    """Writes the requested files and returns their paths."""
    found = [(each.name, each.length, each.genes) for each in readings]
    written = []
    for name, text_of in ((out, gff3_text), (bed, bed_text)):
        if name:
            write_whole(Path(name), text_of(found))
            written.append(Path(name))
    if png:
        drawn = [each for each in readings if each.probabilities is not None and each.length]
        if not drawn:
            raise OptionError(
                "png: long sequences, which are read in pieces, cannot be plotted; use a shorter "
                "one."
            )
        for k, reading in enumerate(drawn):
            path = Path(png)
            if k:
                path = path.with_name(f"{path.stem}-{k + 1}{path.suffix}")
            write_whole(path, draw_reading(reading))
            written.append(path)
    return written


def draw_reading(reading: Reading) -> bytes:
    """Returns a PNG of the label probabilities along the sequence, with the genes below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    assert reading.probabilities is not None
    figure = Figure(figsize=(12, 3.6), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    places = np.arange(1, reading.length + 1)
    edges = np.concatenate([places - 0.5, [reading.length + 0.5]])
    bottom = np.zeros(reading.length)
    for label in "EIUN":
        top = bottom + reading.probabilities[:, LABELS.index(label)]
        above.stairs(
            top, edges, baseline=bottom, fill=True, color=_COLOURS[label], label=_NAMES[label]
        )
        bottom = top
    above.set_ylim(0, 1)
    above.set_ylabel("probability")
    above.set_title(f"{reading.name}, {reading.length:,} bases", loc="left", fontsize=10)
    above.legend(ncols=4, loc="lower right", bbox_to_anchor=(1, 1), frameon=False, fontsize=9)
    for found in reading.genes:
        gene = found.gene
        below.plot([gene.start + 0.5, gene.end + 0.5], [0, 0], color=_COLOURS["I"], linewidth=1.5)
        for parts, height, label in ((gene.exons, 0.25, "U"), (gene.coding, 0.5, "E")):
            for start, end in parts:
                below.fill_between(
                    [start + 0.5, end + 0.5], -height, height, color=_COLOURS[label], linewidth=0
                )
        side = gene.end + 0.5 if gene.strand == "+" else gene.start + 0.5
        below.plot([side], [0], ">" if gene.strand == "+" else "<", color="black", markersize=7)
    below.set_ylim(-0.9, 0.9)
    below.set_yticks([])
    below.set_ylabel("genes")
    below.set_xlabel("base")
    below.set_xlim(0.5, reading.length + 0.5)
    if reading.length <= 60:
        below.set_xticks(places, list(reading.bases))
        below.set_xlabel("")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def save(predictions: Sequence[Reading], wanted: GeneFileOptions) -> list[Path]:
    """Writes the requested GFF3, BED and PNG files."""
    return write_readings(predictions, out=wanted.out, bed=wanted.bed, png=wanted.png)
