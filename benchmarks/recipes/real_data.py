"""The real data of the figures, in files that ``elman train`` reads.

The data are not in the repository: sentence_polarity.zip (Pang and Lee 2005, CC BY 4.0), the
Broad Twitter Corpus (Derczynski et al. 2016, CC BY 4.0), WNUT-17 (Derczynski et al. 2017, CC BY
4.0), Tatoeba's French and English sentences (CC BY 2.0), smallgenes (small genes of C. elegans
with their annotation by WormBase, MIT), Bach's chorales (public domain) and 50-dimensional GloVe
vectors (Pennington et al. 2014, PDDL) must be in the folder ``ELMAN_DATA``.
"""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections import defaultdict
from pathlib import Path

import numpy as np

from elman.data.faults import Row
from elman.files import write_whole

SOURCE = Path(os.environ.get("ELMAN_DATA", "../shared/data"))
GLOVE = SOURCE / "text" / "glove6b_50d_top30k_f16.npz"
PARTS = ("train", "valid", "test")


def sentence_polarity(folder: Path, fold: int = 0) -> dict[str, Path]:
    """Lines whose number (from 1) ends in 0 are the test set, in 1 validation, others training.

    Fold k uses lines that end in k as test set, and in k + 1 (modulo 10) as validation set.
    """
    rows: dict[str, list[tuple[str, str]]] = {part: [] for part in PARTS}
    with zipfile.ZipFile(SOURCE / "sentiment" / "sentence_polarity.zip") as archive:
        for label, end in (("positive", "pos"), ("negative", "neg")):
            text = archive.read(f"sentence_polarity/rt-polarity.{end}").decode("latin-1")
            for number, line in enumerate(text.split("\n"), 1):
                if line.strip():
                    part = {fold: "test", (fold + 1) % 10: "valid"}.get(number % 10, "train")
                    rows[part].append((line.strip(), label))
    paths = {}
    for part in PARTS:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([("text", "label"), *rows[part]])
        paths[part] = folder / f"polarity-{f'{fold}-' if fold else ''}{part}.csv"
        write_whole(paths[part], out.getvalue())
    return paths


def broad_twitter(folder: Path) -> dict[str, Path]:
    """Training: a, b, e, g and h without its first 1,001 sentences (validation); test: f."""
    place = SOURCE / "ner" / "btc" / "CONLL-format" / "data"
    sentences = {name: _sentences(place / f"{name}.conll") for name in "abefgh"}
    parts = {
        "train": [s for name in "abeg" for s in sentences[name]] + sentences["h"][1001:],
        "valid": sentences["h"][:1001],
        "test": sentences["f"],
    }
    return {part: _written(folder / f"btc-{part}.conll", parts[part]) for part in PARTS}


def wnut17(folder: Path) -> dict[str, Path]:
    """The official split of emerging and rare entities."""
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


def tatoeba(folder: Path) -> dict[str, Path]:
    """French TAB English, in groups of pairs that share a sentence in either language.

    Sentences are equal if their letters and digits are.  Of every 46 groups, the 23rd is the test
    set, the 46th validation, the others training, so no sentence is in two parts.
    """
    from elman.tasks.translation.parallel import SentencePair, groups

    lines: dict[str, list[str]] = {part: [] for part in PARTS}
    with zipfile.ZipFile(SOURCE / "translation" / "fra-eng.zip") as archive:
        text = archive.read("fra.txt").decode("utf-8")
    columns = [line.split("\t") for line in text.split("\n") if line.strip()]
    pairs = [SentencePair(french, english) for english, french in columns]
    for pair, group in zip(pairs, groups(pairs), strict=True):
        part = {22: "test", 45: "valid"}.get(group % 46, "train")
        lines[part].append(f"{pair.source}\t{pair.target}\n")
    paths = {}
    for part in PARTS:
        paths[part] = folder / f"tatoeba-{part}.tsv"
        write_whole(paths[part], "".join(lines[part]))
    return paths


def tiny_shakespeare(folder: Path) -> dict[str, Path]:
    """Plays as one text: the last tenth is the test set, the tenth before it validation."""
    text = (SOURCE / "text" / "tinyshakespeare.txt").read_text(encoding="utf-8")
    starts = [0, len(text) * 8 // 10, len(text) * 9 // 10]
    paths = {part: folder / f"shakespeare-{part}.txt" for part in PARTS}
    for part, start, end in zip(PARTS, starts, [*starts[1:], len(text)], strict=True):
        write_whole(paths[part], text[start:end])
    return paths


def chorales(folder: Path) -> dict[str, Path]:
    """Bach's chorales in quarter notes, transposed to C (Boulanger-Lewandowski et al. 2012)."""
    whole = json.loads((SOURCE / "music" / "jsb-chorales-quarter.json").read_text("utf-8"))
    paths = {part: folder / f"chorales-{part}.json" for part in PARTS}
    for part, path in paths.items():
        write_whole(path, json.dumps({part: whole[part]}))
    return paths


def chorales_in_voices(folder: Path) -> dict[str, Path]:
    """The chorales in sixteenth notes, in their original keys, as four voices."""
    paths = {part: folder / f"chorales-voices-{part}.json" for part in PARTS}
    # the archive contains pickles, so it must come from the data folder, never from a user
    file = SOURCE / "music" / "Jsb16thSeparated.npz"
    with np.load(file, allow_pickle=True, encoding="latin1") as archive:
        for part, path in paths.items():
            pieces = [
                {
                    "voices": [
                        [int(p) if p == p else None for p in line] for line in piece.T.tolist()
                    ]
                }
                for piece in archive[part].tolist()
            ]
            write_whole(path, json.dumps({part: pieces}))
    return paths


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


def smallgenes(folder: Path) -> dict[str, Path]:
    """Genes whose number ends in 0 are the test set, in 1 validation, others training."""
    paths = {part: folder / f"smallgenes-{part}" for part in PARTS}
    with tarfile.open(SOURCE / "dna" / "smallgenes.tar.gz") as archive:
        for member in archive:
            file = Path(member.name)
            if file.suffix in (".fa", ".gff3"):
                part = {"0": "test", "1": "valid"}.get(file.stem[-1], "train")
                content = archive.extractfile(member)
                assert content is not None
                target = paths[part] / file.name
                if not target.exists():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(content.read())
    return paths


def smallgenes_cut(folder: Path, part: str) -> Path:
    """A part of smallgenes with sequences cut at random distances from their genes.

    In the original, nearly every gene has exactly 100 bases before and after it, which a model can
    count.  Here, 5 to 95 of them remain on each side.
    """
    from elman.tasks.dna.found_genes import FoundGene, gff3_text
    from elman.tasks.dna.loci import locus_rows

    random = np.random.default_rng(0)
    bases, found = [], []
    for row in locus_rows(smallgenes(folder)[part]):
        if isinstance(row, Row):
            locus = row.value
            left, right = random.integers(5, 96, 2).tolist()
            start = max(0, min(gene.start for gene in locus.genes) - left)
            end = max(gene.end for gene in locus.genes) + right
            bases.append(f">{locus.name}\n{locus.bases[start:end]}\n")
            genes = [FoundGene(gene.moved(-start)) for gene in locus.genes]
            found.append((locus.name, end - start, genes))
    path = folder / f"smallgenes-{part}-cut.fa"
    write_whole(path, "".join(bases))
    write_whole(path.with_suffix(".gff3"), gff3_text(found))
    return path


def motion_clips(
    folder: Path, source: str, views: int = 4, style: str | None = None
) -> dict[str, Path]:
    """Motion capture drawn as videos by ``video/render_clips.py``: bandai or cmu.

    The test set is the script's, drawn from four sides: other people (cmu) or styles (bandai).
    Training videos are drawn from ``views`` sides.  Validation is a part of the script's training
    set: per activity, every tenth recording of bandai, or the second, sixth, ... of cmu if there
    are three or more; with ``style``, all recordings of that style of bandai.
    """
    drawn = {count: _drawn(folder / f"{source}-{count}", source, count) for count in {4, views}}
    train = sorted((drawn[views] / "train").glob("*/*.mp4"))
    recordings: dict[str, list[str]] = defaultdict(list)
    for video in train:
        if _recording(video) not in recordings[video.parent.name]:
            recordings[video.parent.name].append(_recording(video))
    step = 10 if source == "bandai" else 4
    held_out = {
        name
        for names in recordings.values()
        for k, name in enumerate(names)
        if (name.startswith(f"{style}_") if style else len(names) > 2 and k % step == 1)
    }
    valid = [f for f in sorted((drawn[4] / "train").glob("*/*.mp4")) if _recording(f) in held_out]
    parts = {
        "train": [video for video in train if _recording(video) not in held_out],
        "valid": valid,
        "test": sorted((drawn[4] / "test").glob("*/*.mp4")),
    }
    paths = {}
    for part, videos in parts.items():
        out = io.StringIO()
        rows = [(os.path.relpath(video, folder), video.parent.name) for video in videos]
        csv.writer(out, lineterminator="\n").writerows([("file", "label"), *rows])
        paths[part] = folder / f"{source}-{views}{style or ''}-{part}.csv"
        write_whole(paths[part], out.getvalue())
    return paths


def _recording(video: Path) -> str:
    """The recording of a video, which shows a window from one side: NAME_START_VIEW.mp4."""
    return video.stem.rsplit("_", 2)[0]


def _drawn(folder: Path, source: str, views: int) -> Path:
    if not folder.exists():
        script = SOURCE / "video" / "render_clips.py"
        begun = folder.with_name(f"{folder.name}.begun")
        command = [sys.executable, str(script), source, str(begun), "--views", str(views)]
        subprocess.run(command, check=True)
        begun.rename(folder)
    return folder
