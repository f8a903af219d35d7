"""Train, measure and ship a transcriber of English, from synthetic speech and human digits.

    python -m recipes.synthetic_speech runs/data/open/spoken
    python -m recipes.open_speech [--start RUN] [--minutes 120] [--resume] [--ship]

Trained on synthetic speech (``synthetic_speech.py``) and human digits (``spoken_digits.py``, takes
from 10 on), selected on held-out voices and sentences, and measured once on others: voices, human
digits, and the prompts of a telephone exchange by a speaker who is not in the training data
(Debian's asterisk-core-sounds-en-wav, CC BY-SA 3.0).  ``--ship`` writes the shipped folder, with a
language model of the training sentences, and its card.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
from collections import defaultdict
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jiwer

import elman
from elman import shipped
from elman.benchmark import machine
from elman.files import write_whole
from elman.tasks import TASKS, Data, Trained, train
from elman.tasks.speech.language_model import train_language
from elman.tasks.speech.options import TranscribeOptions
from recipes.ship import shipped_folder
from recipes.spoken_digits import WORDS, spoken_digits
from recipes.synthetic_speech import DEMO, FOX, normal, sentences

speech = TASKS["speech"]

FOLDER = Path("runs") / "data" / "open"
RUN = Path("runs") / "open_speech"
PROMPTS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
TEXTS = Path("/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")
SETTINGS: dict[str, object] = {
    "hidden_size": 256,
    "num_layers": 3,
    "frames_per_step": 3,
    "dropout": 0.1,
    "speed": 0.08,
    "colour": 0.7,
    "noise": 0.15,
    "masks": 0,
    "learning_rate": 2e-3,
    "schedule": "linear",
    "warmup_steps": 300,
    "epochs": 22,
    "patience": 100,
    "average_weights": 0.999,
    "threads": 1,
    "checkpoint_seconds": 120,
}
#: options for a model initialised from another
LATER: dict[str, object] = {"learning_rate": 1.2e-3, "epochs": 16}
MANIFESTS = {
    "valid": "valid",
    "held-out voices": "voices-test",
    "human digits": "digits-test",
    "human prompts": "prompts-test",
}
#: the maximum number of recordings measured per manifest
MEASURED = 60
#: n-grams, weight and bonus of the language model (chosen on 360 validation recordings)
LANGUAGE_SIZE, WEIGHT, BONUS = 80_000, 0.8, 0.5
SOURCES = """\
- 24 hours of speech, synthesised for this model by espeak-ng (GPL-3, which does not extend to its
  output), flite and festival (each with its own free licence), as packaged by Debian; the voices
  made from recordings were slt, awb and kal, in flite and festival
- texts: the English side of Tatoeba's pairs (tatoeba.org, by manythings.org/anki), CC BY 2.0 FR;
  Shakespeare, public domain; sentences about films (Pang and Lee 2005), CC BY 4.0; random words and
  numbers. A quarter of the texts was selected to cover every word of these sources. Sentences with
  two of the demo's rarer words are excluded, also from the text of the language model; sentences
  with one of them are as frequent as in the sources ({heard} of {all:,} recordings)
- Free Spoken Digit Dataset (Jackson et al. 2018), CC BY-SA 4.0, takes from 10 on, concatenated
- only for testing: prompts of asterisk-core-sounds-en-wav, recorded by Allison Smith,
  CC BY-SA 3.0"""
LIMITS = """\
The model learned from synthetic speech. Transcripts of synthesisers like those of the training data
have errors that a reader can correct. Transcripts of voices made from recordings of other persons
are bad, and those of free human speech are worse: of human speech, the model recognises digits.
Read the table before you use it for anything. It is made for short everyday sentences in American
and British English; names and rare words are spelled as they sound or replaced by other words. To
transcribe people, train it on recordings of people."""
HISTORY = """\
Training started from the weights of a model trained for 68 minutes (19.4 epochs) on 12 hours of the
same voices and sources, without the texts selected for their words; the first 5.4 of those epochs
had more augmentation, which was too much for the time."""


def data() -> dict[str, Path]:
    """Manifests of train and valid, and of the test sets by name."""
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
    """All prompts of at least two words with a plain text."""
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
    """The training sentences, one per line."""
    pool = sentences()["train"]
    lines = [" ".join(normal(line) or []) for lines in pool.values() for line in lines]
    path = FOLDER / "sentences.txt"
    write_whole(path, "\n".join(lines) + "\n")
    return path


def by_voice(run: Trained, manifest: Path, wanted: TranscribeOptions) -> dict[str, Any]:
    """The error rates of a manifest, and the word error rate of each voice."""
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    # every n-th recording is enough, and the search is slow
    rows = rows[:: -(-len(rows) // MEASURED)]
    part = _written(f"{manifest.stem}-measured", rows)
    examples = [row.value for row in speech.read(part, run.options)]
    answers = [answer.text for answer in speech.predict(run.fitted, examples, wanted)]
    voices: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for row, example, answer in zip(rows, examples, answers, strict=True):
        engine, _, voice = row["voice"].partition(" ")
        for name in ("all", f"{engine} {voice.partition('+')[2] or voice}".strip()):
            said, written = voices[name]
            said.append(str(example.text))
            written.append(answer)
    said, written = voices.pop("all")
    return {
        "examples": len(rows),
        "wer": round(jiwer.wer(said, written), 4),
        "cer": round(jiwer.cer(said, written), 4),
        "wer_by_voice": {v: round(jiwer.wer(*pair), 4) for v, pair in sorted(voices.items())},
    }


def with_language(run: Trained, target: Path) -> Trained:
    """The shipped folder of a run: half precision, with a model of the training sentences."""
    lines = language_text().read_text(encoding="utf-8").splitlines()
    options = replace(
        run.options,
        language="words",
        language_text="sentences.txt",
        language_order=3,
        language_size=LANGUAGE_SIZE,
        language_weight=WEIGHT,
        language_bonus=BONUS,
    )
    language = train_language(lines, "words", 3, LANGUAGE_SIZE)
    shipped_folder(run, target, {**run.folder.settings(), "options": asdict(options)})
    write_whole(target / "symbols.json", replace(run.symbols, language=language).to_json())
    return elman.load(target)


def ship(run: Trained, minutes: float, epochs: float) -> None:
    """Write the shipped folder, the figures and the card."""
    target = Path(shipped.__file__).parent / "speech"
    small = with_language(run, target)
    paths = {name: FOLDER / f"{stem}.jsonl" for name, stem in MANIFESTS.items()}
    figures: dict[str, Any] = {}
    names = {"valid": "voices held out, validation", "held-out voices": "voices held out, test"}
    for name in ("valid", "held-out voices", "human digits", "human prompts"):
        figures[names.get(name, name)] = {
            "best path": by_voice(small, paths[name], TranscribeOptions(beam=1)),
            "search with the language model": by_voice(small, paths[name], TranscribeOptions()),
        }
    [demo] = small(speech.demo["fox.flac"])
    record = {
        "command": "python -m recipes.open_speech --ship",
        "machine": machine(),
        "settings": {k: v for k, v in asdict(small.options).items() if k != "language_text"},
        "parameters": sum(p.numel() for p in small.model.parameters()),
        "minutes": round(minutes, 1),
        "epochs": round(epochs, 2),
        "threads": 1,
        "demo": {
            "wer": round(jiwer.wer(speech_plain(DEMO), demo.text), 4),
            "text": demo.text,
        },
        "figures": figures,
    }
    results = Path(__file__).parents[1] / "results" / "open_speech.json"
    write_whole(results, json.dumps(record, indent=1) + "\n")
    write_whole(target / "card.md", card(record, target))


def rare_words() -> dict[str, Any]:
    """The number of training recordings with each of the demo's rare words, and in total."""
    rows = _rows(FOLDER / "spoken" / "train.jsonl")
    wanted = [word for word in speech_plain(DEMO).split() if word in FOX]
    said = [set(row["text"].split()) for row in rows]
    heard = [f"{word} in {sum([word in words for words in said])}" for word in wanted]
    return {"heard": ", ".join(heard), "all": len(rows)}


def speech_plain(text: str) -> str:
    return " ".join(normal(text) or [])


def card(record: dict[str, Any], target: Path) -> str:
    """The card: data, licences, scores and limits, from the figures."""
    options, demo = record["settings"], record["demo"]
    weights = (target / "model.safetensors").stat().st_size / 1e6
    words = (target / "symbols.json").stat().st_size / 1e6
    rows, voices = [], []
    for name, figure in record["figures"].items():
        path, search = figure["best path"], figure["search with the language model"]
        rows.append(
            f"| {name} ({search['examples']}) | {100 * path['wer']:.1f} | {100 * path['cer']:.1f} "
            f"| {100 * search['wer']:.1f} | {100 * search['cer']:.1f} |"
        )
        each = [f"{voice} {100 * wer:.0f}" for voice, wer in search["wer_by_voice"].items()]
        voices.append(f"- {name}: {', '.join(each)}")
    return "\n".join(
        [
            f"# speech: {speech.title.partition(': ')[2]}",
            "",
            f"Cell `{options['cell']}`, {options['num_layers']} layers of "
            f"{options['hidden_size']} units, unidirectional, so that it can transcribe live; "
            f"{record['parameters']:,} parameters, {weights:.1f} MB as float16; with a 3-gram "
            f"language model of words, {words:.1f} MB. Audio is resampled to 8 kHz. `run.toml` "
            "lists all options.",
            "",
            "## Data and licences",
            SOURCES.format(**rare_words()),
            "",
            "The weights have the licence of the package; credit the authors of the data where "
            "their licence requires it.",
            "",
            "## Scores",
            "",
            "Word and character error rates in per cent; the number of recordings is in brackets.",
            "",
            "| | WER, greedy | CER, greedy | WER, language model | CER, language model |",
            "|---|---:|---:|---:|---:|",
            *rows,
            "",
            "WER per voice, with the language model:",
            "",
            *voices,
            "",
            f"The demo's sentence, spoken by a test voice, is transcribed as "
            f'"{demo["text"]}": WER {100 * demo["wer"]:.0f}.',
            "",
            f"The weights were selected by the greedy WER on the validation voices, and the weight "
            f"and bonus of the language model on some of these; the tests were run once. The model "
            f"was trained in {60 * record['minutes']:.0f} s ({record['epochs']:g} epochs) with 1 "
            f"thread of {record['machine']['processor']}. {HISTORY}",
            "",
            "## Limits",
            LIMITS,
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--start", default="")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--ship", action="store_true")
    asked = parser.parse_args()
    if asked.ship:
        run = elman.load(RUN)
        last = run.folder.history()[-1]
        ship(run, last["seconds"] / 60, last["epoch"])
        return
    paths = data()
    given = Data(
        paths["train"], paths["valid"], "speech of synthesisers and human digits", "see the card"
    )
    start = elman.load(asked.start) if asked.start else None
    settings = {**SETTINGS, **(LATER if start else {}), "max_minutes": asked.minutes}
    train(speech, given, RUN, settings, start=start, resume=asked.resume)


if __name__ == "__main__":
    main()
