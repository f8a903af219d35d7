"""A transcriber of open English text, learned from synthesisers and human digits; how well it does.

    python benchmarks/synthetic_speech.py runs/data/open/spoken --hours 12
    python benchmarks/open_speech.py [--minutes 60]

Trained on made speech (``synthetic_speech.py``) and on human digits (``spoken_digits.py``, takes
from 10 on), chosen on voices and sentences that are heard nowhere else, and measured once on
others: voices, human digits, and the prompts of a telephone exchange, recorded by a woman who is
in no training data (Debian's asterisk-core-sounds-en-wav, CC BY-SA 3.0).
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import elman
from elman.benchmark import machine
from elman.files import write_whole
from elman.tasks import Data, speech, train
from elman.tasks.speech import PredictOptions
from spoken_digits import WORDS, spoken_digits
from synthetic_speech import normal, sentences

FOLDER = Path("runs") / "data" / "open"
RUN = Path("runs") / "open_speech"
PROMPTS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
TEXTS = Path("/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")
SETTINGS: dict[str, object] = {
    "hidden_size": 256,
    "num_layers": 3,
    "frames_per_step": 3,
    "dropout": 0.1,
    "learning_rate": 2e-3,
    "schedule": "linear",
    "warmup_steps": 300,
    "epochs": 10,
    "patience": 100,
    "average_weights": 0.999,
    "threads": 1,
    "checkpoint_seconds": 120,
}


def data() -> dict[str, Path]:
    """Manifests: train and valid; the tests by name."""
    spoken_digits(FOLDER / "digits")
    draw = random.Random(4)
    paths = {}
    for part in ("train", "valid", "test"):
        rows = _rows(FOLDER / "spoken" / f"{part}.jsonl")
        digits = _rows(FOLDER / "digits" / f"{part}.jsonl")
        if part == "test":
            paths["held-out voices"] = _written("voices-test", rows)
            paths["human digits"] = _written("digits-test", digits)
        else:
            rows += draw.sample(digits, 1000 if part == "train" else 60)
            paths[part] = _written(part, rows)
    paths["human prompts"] = _written("prompts-test", _prompts())
    return paths


def _rows(manifest: Path) -> list[dict[str, str]]:
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        row["audio"] = f"{manifest.parent.name}/{row['audio']}"
    return rows


def _written(name: str, rows: list[dict[str, str]]) -> Path:
    path = FOLDER / f"{name}.jsonl"
    write_whole(path, "".join([json.dumps(row) + "\n" for row in rows]))
    return path


def _prompts() -> list[dict[str, str]]:
    """Every prompt of at least two words whose text is written out."""
    rows = []
    for line in gzip.decompress(TEXTS.read_bytes()).decode("utf-8").splitlines():
        name, colon, text = line.partition(":")
        file = PROMPTS / f"{name.strip()}.wav"
        text = re.sub(r"\b\d\b", lambda digit: WORDS[int(digit[0])], text.strip())
        words = normal(text) if colon and not line.startswith(";") else None
        if words and len(words) > 1 and "PIN" not in text and file.exists():
            rows.append({"audio": str(file), "text": " ".join(words), "voice": "Allison"})
    return rows


def language_text() -> Path:
    """The training sentences, a line each."""
    pool = sentences()["train"]
    lines = [" ".join(normal(line) or []) for lines in pool.values() for line in lines]
    path = FOLDER / "sentences.txt"
    write_whole(path, "\n".join(lines) + "\n")
    return path


def by_voice(run: elman.tasks.Trained, manifest: Path, wanted: PredictOptions) -> dict[str, float]:
    """The word error rate of each voice of a manifest; espeak-ng's by variant."""
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    examples = [row.value for row in speech.read(manifest, run.options)]
    voices = defaultdict(list)
    for row, example in zip(rows, examples, strict=True):
        engine, _, voice = row.get("voice", "").partition(" ")
        voices[f"{engine} {voice.partition('+')[2] or voice}"].append(example)
    return {
        voice: round(speech.score(run.fitted, group, wanted)["wer"], 4)
        for voice, group in sorted(voices.items())
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--resume", action="store_true")
    asked = parser.parse_args()
    paths = data()
    given = Data(
        paths["train"], paths["valid"], "speech of synthesisers and human digits", "see the card"
    )
    settings = {**SETTINGS, "max_minutes": asked.minutes}
    _, outcome = train(speech, given, RUN, settings, resume=asked.resume)
    run = elman.load(RUN)
    record: dict[str, Any] = {
        "command": "python benchmarks/open_speech.py",
        "machine": machine(),
        "settings": settings,
        "minutes": round(outcome.seconds / 60, 1),
        "epochs": outcome.epochs,
        "threads": outcome.threads,
    }
    write_whole(RUN / "outcome.json", json.dumps(record, indent=1))
    print(run.evaluate(paths["valid"]))


if __name__ == "__main__":
    main()
