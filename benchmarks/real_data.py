"""The real data of the job figures, in files that ``elman train`` reads.

Nothing of them is in the repository: sentence_polarity.zip (Pang and Lee 2005, CC BY 4.0), the
Broad Twitter Corpus (Derczynski et al. 2016, CC BY 4.0), WNUT-17 (Derczynski et al. 2017,
CC BY 4.0) and 50-number GloVe vectors (Pennington et al. 2014, PDDL) are found below one folder,
``ELMAN_DATA``.
"""

from __future__ import annotations

import csv
import io
import os
import zipfile
from pathlib import Path

from elman.files import write_whole

SOURCE = Path(os.environ.get("ELMAN_DATA", "../shared/data"))
GLOVE = SOURCE / "text" / "glove6b_50d_top30k_f16.npz"
PARTS = ("train", "valid", "test")


def sentence_polarity(folder: Path) -> dict[str, Path]:
    """Lines whose number, from 1, ends in 0 are the test, in 1 the validation, others training."""
    rows: dict[str, list[tuple[str, str]]] = {part: [] for part in PARTS}
    with zipfile.ZipFile(SOURCE / "sentiment" / "sentence_polarity.zip") as archive:
        for label, end in (("positive", "pos"), ("negative", "neg")):
            text = archive.read(f"sentence_polarity/rt-polarity.{end}").decode("latin-1")
            for number, line in enumerate(text.split("\n"), 1):
                if line.strip():
                    part = {0: "test", 1: "valid"}.get(number % 10, "train")
                    rows[part].append((line.strip(), label))
    paths = {}
    for part in PARTS:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([("text", "label"), *rows[part]])
        paths[part] = folder / f"polarity-{part}.csv"
        write_whole(paths[part], out.getvalue())
    return paths


def broad_twitter(folder: Path) -> dict[str, Path]:
    """Training: a, b, e, g, h after its first 1,001 sentences, which validate; test: f."""
    place = SOURCE / "ner" / "btc" / "CONLL-format" / "data"
    sentences = {name: _sentences(place / f"{name}.conll") for name in "abefgh"}
    parts = {
        "train": [s for name in "abeg" for s in sentences[name]] + sentences["h"][1001:],
        "valid": sentences["h"][:1001],
        "test": sentences["f"],
    }
    return {part: _written(folder / f"btc-{part}.conll", parts[part]) for part in PARTS}


def wnut17(folder: Path) -> dict[str, Path]:
    """The given split of emerging and rare entities."""
    place = SOURCE / "ner" / "wnut17"
    files = {
        "train": "wnut17train.conll",
        "valid": "emerging.dev.conll",
        "test": "emerging.test.annotated",
    }
    return {
        part: _written(folder / f"wnut-{part}.conll", _sentences(place / name))
        for part, name in files.items()
    }


def _sentences(path: Path) -> list[str]:
    blocks, block = [], []
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line.strip():
            block.append(line)
        elif block:
            blocks.append("\n".join(block))
            block = []
    return [*blocks, "\n".join(block)] if block else blocks


def _written(path: Path, sentences: list[str]) -> Path:
    write_whole(path, "\n\n".join(sentences) + "\n")
    return path
