"""Make the shipped models from the runs of the benchmarks.

    python -m recipes.ship

Selects the seed with the best validation metric.  Its test figure was measured once, for example in
``sentiment.py``, and is copied into the card.  Weights are converted to float16; the script checks
that the validation metric changes by less than a tenth of a point.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import elman
import job_figures
from elman import shipped
from elman.files import write_whole
from elman.tasks import Trained
from elman.training import RunFolder
from recipes.real_data import (
    broad_twitter,
    chorales_in_voices,
    motion_clips,
    sentence_polarity,
    tatoeba,
    tiny_shakespeare,
)
from recipes.worm_genome import worm_genome

RUNS = Path("runs")


@dataclass(frozen=True)
class Shipment:
    """The runs that a shipped model is selected from, and texts of its card."""

    job: str
    runs: str
    #: creates missing data files and returns their paths
    data: Callable[[], dict[str, Path]]
    metric: str
    sources: str
    limits: str
    higher_is_better: bool = True
    #: factor of the metrics on the card: 100 for fractions
    scale: float = 100
    #: maximum size of the weights in bytes
    largest: int = 4_000_000


def _genome_without_pseudogenes() -> dict[str, Path]:
    paths = worm_genome(RUNS / "data")
    return {**paths, "valid": paths["windows"]}


SHIPMENTS = (
    Shipment(
        "sentiment",
        "sentiment_negation/share-0.5-[0-9]",
        lambda: sentence_polarity(RUNS / "data"),
        "accuracy",
        "- sentence polarity (Pang and Lee 2005), CC BY 4.0: sentences from film reviews; lines "
        "whose number ends in 0 are test data, in 1 validation data, all others training data\n"
        "- GloVe 6B, 50 dimensions, 30,000 words (Pennington, Socher and Manning 2014), PDDL",
        "English sentences about films. Accuracy is lower on other subjects and on whole reviews, "
        "and a quarter of sentences with a negation are rated wrongly (`docs/results.md`). Half as "
        "many sentences as the training data have were made from templates (`negation`).",
    ),
    Shipment(
        "ner",
        "named_entities_case/case-0.15-[0-9]",
        lambda: broad_twitter(RUNS / "data"),
        "f1",
        "- Broad Twitter Corpus (Derczynski, Bontcheva and Roberts 2016), CC BY 4.0: parts a, b, "
        "e and g, and h after its first 1,001 sentences, are training data; those 1,001 are "
        "validation data; f is test data\n"
        "- GloVe 6B, 50 dimensions, 30,000 words (Pennington, Socher and Manning 2014), PDDL",
        "English tweets of 2009 to 2014. Persons are found most reliably; two thirds of the "
        "organisations are missed. 15 % of the training sentences were read in lower case or in "
        "capitals (`case_dropout`), so that names are found in such text too; "
        "`docs/results.md` has the scores.",
    ),
    Shipment(
        "translation",
        "translation/shipped-[0-9]",
        lambda: tatoeba(RUNS / "data"),
        "bleu",
        "- Tatoeba's sentence pairs, French and English (tatoeba.org, by manythings.org/anki), "
        "CC BY 2.0 FR. Pairs that share a sentence in either language, ignoring case and "
        "punctuation, form a group; of every 46 groups, the 23rd is test data, the 46th validation "
        "data, and the others are training data. Each French sentence is scored against all its "
        "English translations in the data",
        "French to English, everyday sentences; longer texts are translated sentence by sentence. "
        "Long sentences, rare words, and literary or legal language are translated badly. Unknown "
        "names, numbers, dates and times are copied; words that French writes with an accent and "
        "without one, such as `a` and `à`, stay ambiguous in text without accents. Only words of "
        "the training translations are written, so a rare word is replaced by a wrong one. The "
        "confidence of an answer is calibrated on such sentences as the training has. The model "
        "was trained in stages of 4.4, 1.8 and 6 epochs; the time above is that of the last.",
        scale=1,
        largest=8_000_000,
    ),
    Shipment(
        "dna",
        "dna_genome/genome-[0-9]*",
        _genome_without_pseudogenes,
        "exon_f1",
        "- one hundredth of each chromosome of C. elegans with WormBase's genes (WS282, by way "
        "of KorfLab/datacore2024), free to use with attribution: chromosome III is test data, X "
        "without its pseudogenes validation data, and I, II, IV and V are training data; the "
        "longest transcript of each gene\n"
        "- smallgenes (C. elegans; genome and annotation of WormBase, WS282), MIT: genes whose "
        "number does not end in 0 or 1, without those that share bases with III or X, joined by "
        "pieces of what lies between the training genes",
        "Genes of the worm C. elegans, on both strands of its chromosomes. The scores are those of "
        "`elman evaluate`, which leaves out genes that overlap others or that the end of the "
        "sequence cuts off; `docs/results.md` compares the model with AUGUSTUS on all genes of "
        "chromosome III: it finds 72 % of their exons, and 74 % of those it gives are right. "
        "Pseudogenes look like genes to the model: 22 of them cover most of X, and on the whole of "
        "X most of the exons that it finds lie in them. Options were chosen with chromosome IV "
        "held out. Test and validation data are one chromosome piece each, with 24 and 10 "
        "judged genes, so their scores are uncertain by several points. The model was neither "
        "trained nor measured on other animals, does not know alternative splicing, and finds the "
        "ends of genes beyond the coding part only roughly.",
        largest=1_500_000,
    ),
    Shipment(
        "music",
        "music_voices/voices-[0-9]*",
        lambda: chorales_in_voices(RUNS / "data"),
        "nll",
        "- 382 chorales by Johann Sebastian Bach (1685 to 1750), four voices on a grid of "
        "sixteenth notes, in the split of Boulanger-Lewandowski, Bengio and Vincent (2012); the "
        "music is in the public domain",
        "nll is in nats per step (a sixteenth note) of four voices, given the form of the piece: "
        "length, key, bar, ends of phrases and repeat. It cannot be compared with published "
        "values, which are in `docs/results.md`, nor is frame_accuracy, as most notes are held. "
        "Tunes are chorales for soprano, alto, tenor and bass, in the registers and keys of "
        "Bach's, and nine in ten end on their tonic; `docs/results.md` counts what they are like. "
        "The data do not tell a repeated note from a long one, so tunes have long ones. A first "
        "section may be played twice; beyond that, no melody spans the phrases.",
        higher_is_better=False,
        scale=1,
    ),
    Shipment(
        "language",
        "shakespeare/lstm-[0-9]*",
        lambda: tiny_shakespeare(RUNS / "data"),
        "bits_per_character",
        "- Tiny Shakespeare: 1.1 million characters of plays by William Shakespeare (1564 to "
        "1616), in the public domain; the last tenth is test data, the tenth before it validation "
        "data",
        "English plays of around 1600, character by character. What it writes looks like a play, "
        "mostly spelled well, but sentences have little meaning and scenes no plot. It knows only "
        "the 65 characters of the plays; others are unknown to it.",
        higher_is_better=False,
        scale=1,
    ),
    Shipment(
        "video",
        "video/cmu-[0-9]*",
        lambda: motion_clips(RUNS / "data", "cmu"),
        "f1",
        "- CMU Graphics Lab Motion Capture Database (mocap.cs.cmu.edu), free for any use; created "
        "with funding from NSF EIA-0196217: 96 recordings of 8 activities, rendered from four "
        "sides as silhouettes of 64 pixels at ten frames per second. Of each activity, every "
        "fourth recording is test data; of the others, the second, sixth, ... are validation data "
        "if there are at least three; all others are training data",
        "White silhouettes on black, one person in the centre of the picture, at about ten frames "
        "per second: the model was trained on nothing else, but labels any video. There are five "
        "recordings of running, of a second and a half each, two of traffic signals and one of "
        "window washing, so the last two have no validation or test data. Most recordings are of "
        "walking, and many activities have only one test recording: f1 varies by several points "
        "with the seed. The model confuses bouncing a basketball, playing soccer and walking.",
    ),
)


def ship(shipment: Shipment) -> Path:
    """Write and return the shipped folder of a model."""
    metric = shipment.metric
    figures = {
        folder.parent: json.loads(folder.read_text())
        for folder in sorted(RUNS.glob(f"{shipment.runs}/figures.json"))
    }
    choose = max if shipment.higher_is_better else min
    best = choose(figures, key=lambda folder: figures[folder]["valid"][metric])
    run = elman.load(best)
    target = Path(shipped.__file__).parent / shipment.job
    settings = run.folder.settings()
    folder = shipped_folder(run, target, settings)
    size = folder.model_path.stat().st_size
    assert size <= shipment.largest, f"{folder.model_path} has {size:,} bytes"
    exact = figures[best]["valid"][metric]
    rounded = elman.load(target).evaluate(shipment.data()["valid"])[metric]
    assert abs(exact - rounded) * shipment.scale < 0.1, (
        f"float16 changes {metric} from {exact} to {rounded}"
    )
    card = _card(shipment, settings, figures[best], list(figures.values()), size)
    write_whole(target / "card.md", card)
    return target


def shipped_folder(run: Trained, target: Path, settings: dict[str, Any]) -> RunFolder:
    """Write a run in half precision; paths in its ``settings`` become file names."""
    options, data = settings["options"], settings["data"]
    for part, names in ((options, ("vectors",)), (data, ("train", "valid", "start"))):
        part.update({name: Path(part[name]).name for name in names if name in part})
    data.pop("begun_in", None)
    shutil.rmtree(target, ignore_errors=True)
    folder = RunFolder.create(target, settings)
    folder.save_weights(run.model, half=True)
    for name in ("symbols.json", "cell.json"):
        shutil.copy(run.folder.path / name, target / name)
    return folder


def _card(
    shipment: Shipment,
    settings: dict[str, Any],
    chosen: dict[str, Any],
    all_seeds: list[dict[str, Any]],
    size: int,
) -> str:
    options = settings["options"]
    metric, scale = shipment.metric, shipment.scale
    digits = 1 if scale == 100 else 3
    directions = " in each direction" if options.get("bidirectional") else ""
    seeds = ", ".join(
        [f"{each['seed']}: {scale * each['test'][metric]:.{digits}f}" for each in all_seeds]
    )
    lines = [
        f"# {shipment.job}: {elman.load(shipment.job).task.title.partition(': ')[2]}",
        "",
        f"Cell `{options['cell']}`, {options['hidden_size']} units{directions}; "
        f"{chosen['parameters']:,} parameters, {size / 1e6:.1f} MB as float16. `run.toml` lists "
        "all options.",
        "",
        "## Data and licences",
        shipment.sources,
        "",
        "The weights have the licence of the package; credit the authors of the data where their "
        "licence requires it.",
        "",
        "## Scores",
        "",
        "| metric | validation | test |",
        "|---|---:|---:|",
        *[
            f"| {name} | {_figure(name, chosen['valid'][name], scale, digits)} "
            f"| {_figure(name, value, scale, digits)} |"
            for name, value in chosen["test"].items()
            if isinstance(value, float) and name != "loss"
        ],
        *[
            f"| f1 of {name} | {100 * chosen['valid']['per_type'][name]['f1']:.1f} "
            f"| {100 * each['f1']:.1f} |"
            for name, each in chosen["test"].get("per_type", {}).items()
        ],
        "",
        f"Test {metric} by seed: {seeds}. The package has the seed with the best validation "
        f"{metric}, {chosen['seed']}. It was trained in {60 * chosen['minutes']:.0f} s "
        f"({chosen['epochs']:g} epochs) with {chosen['threads']} thread of "
        f"{job_figures.machine()['processor']}.",
        "",
        "## Limits",
        shipment.limits,
        "",
    ]
    return "\n".join(lines)


def _figure(name: str, value: float, scale: float, digits: int) -> str:
    return f"{value:.3f}" if name == "calibration_error" else f"{scale * value:.{digits}f}"


if __name__ == "__main__":
    for each in SHIPMENTS:
        print(ship(each))
