"""Language models as encoders of other tasks, one for each direction.

A character language model reads the sentences of the training data in its own direction, beside
text of the same kind: novels for sentences about films, Tatoeba's English sentences for tweets.
Validation and test sentences are not read.
"""

from __future__ import annotations

import csv
import gzip
import zipfile
from pathlib import Path

from elman.files import write_whole
from elman.tasks import TASKS, Data, train
from recipes.real_data import SOURCE

SETTINGS: dict[str, object] = {
    "hidden_size": 256,
    "embedding_size": 64,
    "tie_weights": False,
    "dropout": 0.0,
    "batch_size": 32,
    "longest": 128,
    "learning_rate": 3e-3,
    "schedule": "linear",
    "epochs": 1,
    "threads": 1,
    "seed": 0,
}
#: how often the sentences of the training data are read in an epoch, beside the rest
OWN = 4


def language_models(folder: Path, name: str, own: list[str], rest: list[str]) -> list[Path]:
    """Train the two language models ``NAME-forward`` and ``NAME-backward``; a run
    that is there already is not trained again.
    """
    text = {"valid": own[::50], "train": rest + OWN * [s for k, s in enumerate(own) if k % 50]}
    paths = {part: folder / f"{name}-{part}.txt" for part in text}
    for part, lines in text.items():
        write_whole(paths[part], "\n".join(lines) + "\n")
    data = Data(paths["train"], paths["valid"], f"text for {name}", "CC BY 4.0, public domain")
    found = []
    for direction in ("forward", "backward"):
        settings = {**SETTINGS, "backward": direction == "backward"}
        found.append(folder / f"{name}-{direction}")
        train(TASKS["language"], data, found[-1], settings, resume=True)
    return found


def film_sentences(manifest: Path) -> list[str]:
    """The sentences of a table of sentence polarity."""
    with manifest.open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]


def tweets(conll: Path) -> list[str]:
    """The sentences of a file of named entities, words between spaces."""
    blocks = conll.read_text(encoding="utf-8").split("\n\n")
    return [" ".join([line.split()[0] for line in b.splitlines() if line.split()]) for b in blocks]


def novels() -> list[str]:
    """Sentences of twelve novels, in lower case."""
    packed = (SOURCE / "text" / "novels.txt.gz").read_bytes()
    return gzip.decompress(packed).decode("utf-8").splitlines()


def everyday() -> list[str]:
    """Tatoeba's English sentences, each once."""
    with zipfile.ZipFile(SOURCE / "translation" / "fra-eng.zip") as archive:
        [name] = [name for name in archive.namelist() if name.endswith("fra.txt")]
        lines = archive.read(name).decode("utf-8").splitlines()
    return list(dict.fromkeys([line.split("\t")[0] for line in lines]))
