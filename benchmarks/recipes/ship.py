"""Make the models that ship with the package out of runs of the job figures.

    python -m recipes.ship

Of the seeds of a configuration the one with the best validation metric is taken; its test figure
was measured once, in ``sentiment.py`` or ``named_entities.py``, and is only copied into the card.
Weights become float16, which is checked to give the same validation metric to a tenth of a point.
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
    chorales,
    motion_clips,
    sentence_polarity,
    smallgenes,
    tatoeba,
)

RUNS = Path("runs")


@dataclass(frozen=True)
class Shipment:
    """Which runs a shipped model is chosen from, and what its card has to say."""

    job: str
    runs: str
    #: makes its files where they are not there yet
    data: Callable[[], dict[str, Path]]
    metric: str
    sources: str
    limits: str
    higher_is_better: bool = True
    #: by what a card multiplies the metrics: 100 for parts of a whole
    scale: float = 100
    #: the most that the weights may weigh, in bytes
    largest: int = 4_000_000


SHIPMENTS = (
    Shipment(
        "sentiment",
        "sentiment/recurrent,-GloVe-*",
        lambda: sentence_polarity(RUNS / "data"),
        "accuracy",
        "- sentence polarity (Pang and Lee 2005), CC BY 4.0: sentences from film reviews; lines "
        "whose number ends in 0 are the test, in 1 the validation, all others training\n"
        "- GloVe 6B, 50 numbers, 30,000 words (Pennington, Socher and Manning 2014), PDDL",
        "English sentences on films. On other subjects, and on whole reviews, it does less well, "
        "and it is sure of itself also where it is wrong.",
    ),
    Shipment(
        "ner",
        "named_entities/BTC,-recurrent-[0-9]",
        lambda: broad_twitter(RUNS / "data"),
        "f1",
        "- Broad Twitter Corpus (Derczynski, Bontcheva and Roberts 2016), CC BY 4.0: parts a, b, "
        "e, g and h after its first 1,001 sentences are training, those 1,001 validation, f the "
        "test\n"
        "- GloVe 6B, 50 numbers, 30,000 words (Pennington, Socher and Manning 2014), PDDL",
        "English tweets of 2009 to 2014. People come out best; two thirds of the organisations are "
        "missed.",
    ),
    Shipment(
        "translation",
        "translation/shipped-[0-9]",
        lambda: tatoeba(RUNS / "data"),
        "bleu",
        "- Tatoeba's sentence pairs, French and English (tatoeba.org, by manythings.org/anki), "
        "CC BY 2.0 FR: of every 46 groups of pairs that share a sentence, of either language, "
        "whatever its case and punctuation, the 23rd is the test, the 46th the validation, all "
        "others are training; each French sentence is scored against all English ones that the "
        "data have for it",
        "French to English, short everyday sentences, about one at a time: long ones, names that "
        "are rare, numbers and the language of books or the law come out badly. Tom and Mary are "
        "in many of the training sentences, and turn up where they should not. What is not "
        "understood is still put into fluent English.",
        scale=1,
        largest=8_000_000,
    ),
    Shipment(
        "dna",
        "dna/grammar,-pieces-[0-9]*",
        lambda: smallgenes(RUNS / "data"),
        "base_accuracy",
        "- smallgenes (C. elegans; genome and annotation of WormBase, WS282), MIT: 1,045 genes, of "
        "whose transcripts the first is taken; those whose number ends in 0 are the test, in 1 the "
        "validation, all others training; of seven sequences in ten each epoch reads a random "
        "piece",
        "Small genes of the worm C. elegans: less than 1,200 bases, at least one intron, on the "
        "given strand, one on each sequence. It was neither trained nor measured on long "
        "sequences, on other animals or where there is no gene. Where a gene begins and ends, "
        "outside of what is coding, it knows badly; `docs/results.md` has a model that counts the "
        "100 bases that the data have before and behind each gene, and how it fails on sequences "
        "that are cut elsewhere, where this one does not.",
    ),
    Shipment(
        "music",
        "music/pitches-one-after-another,-lstm-[0-9]*",
        lambda: chorales(RUNS / "data"),
        "nll",
        "- 382 chorales by Johann Sebastian Bach (1685 to 1750) on a grid of quarter notes, in C, "
        "in the split of Boulanger-Lewandowski, Bengio and Vincent (2012); the music is in the "
        "public domain\n",
        "nll is in nats a step of a quarter note, of pitches chosen one after another: not what is "
        "published for independent pitches, which `docs/results.md` has. Four voices in C major or "
        "minor, in quarter notes, high as the data are; a note that is repeated is one long note. "
        "Tunes have no plan and do not know when to end.",
        higher_is_better=False,
        scale=1,
    ),
    Shipment(
        "video",
        "video/cmu-[0-9]*",
        lambda: motion_clips(RUNS / "data", "cmu"),
        "f1",
        "- CMU Graphics Lab Motion Capture Database (mocap.cs.cmu.edu), free for any use; created "
        "with funding from NSF EIA-0196217: 96 recordings of 8 activities, drawn from four sides "
        "as silhouettes of 64 pixels, ten frames a second. Of each activity every fourth recording "
        "is the test; of the others the second, sixth, ... is validation, where there are three or "
        "more; all others are training",
        "White silhouettes on black, one person in the middle of the picture, at about ten frames "
        "a second: it has seen nothing else, and says something of any video. Of running there are "
        "five recordings of a second and a half, of traffic signals two and of window washing one, "
        "so that the last two have neither validation nor test; most recordings are of walking, "
        "and of many activities the test has one recording only: f1 moves by several points with "
        "the seed. Bouncing a basketball, playing soccer and walking are taken for one another.",
    ),
)


def ship(shipment: Shipment) -> Path:
    """Write the shipped folder of a model; return it."""
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
    """A run in half precision; of the files in its ``settings`` the names without their folders."""
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
        f"# {shipment.job}: {elman.load(shipment.job).task.title}",
        "",
        f"Cell `{options['cell']}`, {options['hidden_size']} units{directions}; "
        f"{chosen['parameters']:,} numbers, {size / 1e6:.1f} MB as float16. Every option is in "
        "`run.toml`.",
        "",
        "## Data and licences",
        shipment.sources,
        "",
        "The weights are free to use as the package is; name the data's authors where their "
        "licence asks for it.",
        "",
        "## Scores",
        "",
        "| metric | validation | test |",
        "|---|---:|---:|",
        *[
            f"| {name} | {scale * chosen['valid'][name]:.{digits}f} | {scale * value:.{digits}f} |"
            for name, value in chosen["test"].items()
            if isinstance(value, float) and name != "loss"
        ],
        *[
            f"| f1 of {name} | {100 * chosen['valid']['per_type'][name]['f1']:.1f} "
            f"| {100 * each['f1']:.1f} |"
            for name, each in chosen["test"].get("per_type", {}).items()
        ],
        "",
        f"Test {metric} by seed: {seeds}. The seed with the best validation {metric}, "
        f"{chosen['seed']}, ships. It was trained in {60 * chosen['minutes']:.0f} s, "
        f"{chosen['epochs']:g} epochs, with {chosen['threads']} thread of "
        f"{job_figures.machine()['processor']}.",
        "",
        "## Limits",
        shipment.limits,
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    for each in SHIPMENTS:
        print(ship(each))
