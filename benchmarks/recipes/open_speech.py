"""Train, measure and ship a transcriber of English, from people, synthesisers and digits.

    python -m recipes.synthetic_speech runs/data/open/spoken --hours 3.41
    python -m recipes.open_speech --start RUN [--epochs 8] [--resume]
    python -m recipes.open_speech --choose [--last]   # weight and bonus of the language model
    python -m recipes.open_speech --ship [--last]
    python -m recipes.open_speech --shipped (--choose | --ship)   # the shipped weights again

Trained on people reading and speaking (LibriSpeech, speechocean762, AN4), synthetic speech
(``synthetic_speech.py``) and human digits (``spoken_digits.py``, takes from 10 on).  Selected on
other people, voices and sentences, and measured once on others still.  A model of 8 kHz and 40
bands, such as one of synthetic speech alone, can be the start: the lowest 40 of the 54 bands at 16
kHz are the same, and the weights of the others begin at zero.  So can a model of fewer units: those
that it has do not read the new ones at first; and one of letters, whose output layer begins anew,
since this one hears phonemes (``pronunciations.py``).  ``--ship`` writes the shipped
folder, with a language model of transcripts, novels and everyday sentences, and its card.  A run
keeps the weights with the best greedy answers; ``--last`` takes those of the last epoch instead,
where ``--choose`` finds them better with the language model.  ``--shipped`` gives the shipped
weights a new language model.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import random
import shutil
import tarfile
import time
from collections import defaultdict
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import torch
from safetensors.torch import load_file

import elman
from elman import shipped
from elman.benchmark import machine
from elman.files import write_whole
from elman.tasks import TASKS, Data, Trained, train
from elman.tasks.speech.features import Cmvn
from elman.tasks.speech.language_model import Language, train_language
from elman.tasks.speech.options import TranscribeOptions
from elman.tasks.speech.packed_trie import packed, unpacked
from elman.tasks.speech.phonemes import Phonemes, read_dictionary
from elman.tasks.speech.symbols import SpeechSymbols
from elman.tasks.speech.transcripts import plain
from elman.tasks.task import Vocab
from recipes.pronunciations import write_dictionary
from recipes.real_data import SOURCE
from recipes.ship import shipped_folder
from recipes.spoken_digits import spoken_digits
from recipes.synthetic_speech import DEMO, Utterance, near_demo, normal, say, sentences

speech = TASKS["speech"]

FOLDER = Path("runs") / "data" / "open"
RUN = Path("runs") / "open_speech"
SETTINGS: dict[str, object] = {
    "hidden_size": 384,
    "num_layers": 3,
    "frames_per_step": 3,
    "sample_rate": 16_000,
    "num_mels": 54,
    "units": "phonemes",
    "dropout": 0.2,
    "speed": 0.08,
    "size": 0.08,
    "noise": 0.1,
    "colour": 0.4,
    "masks": 2,
    "longest": 1700,
    "learning_rate": 1.2e-3,
    "schedule": "linear",
    "warmup_steps": 100,
    "batch_size": 16,
    "epochs": 8,
    "patience": 100,
    "average_weights": 0.998,
    "threads": 1,
    "checkpoint_seconds": 200,
    "seed": 3,
}
#: synthetic recordings to train on, besides people and digits
SYNTHETIC, DIGITS = 3200, 600
#: order and n-grams of the language model; its weight and bonus, chosen by ``--choose``
ORDER, LANGUAGE_SIZE, WEIGHT, BONUS = 3, 800_000, 0.8, 0.5
#: the demo's sentence by voices that are in no training data
DEMO_VOICES = (
    ("espeak-ng", "en-us+linda"),
    ("espeak-ng", "en-us+steph3"),
    ("flite", "rms"),
)
TESTS = ("test-clean-400", "learners-test", "an4-test", "human digits", "held-out voices")


def data() -> dict[str, Path]:
    """Manifests of train, valid and the test sets, by name."""
    spoken_digits(FOLDER / "digits")
    human = _unpacked(FOLDER / "human")
    draw = random.Random(5)
    paths = {name: _written(name, _rows(human / name / "manifest.jsonl")) for name in TESTS[:3]}
    paths["human digits"] = _written("digits-test", _rows(FOLDER / "digits" / "test.jsonl"))
    paths["held-out voices"] = _written("voices-test", _rows(FOLDER / "spoken" / "test.jsonl"))
    rows = _rows(human / "train" / "manifest.jsonl")
    rows += draw.sample(_rows(FOLDER / "digits" / "train.jsonl"), DIGITS)
    rows += draw.sample(_rows(FOLDER / "spoken" / "train.jsonl"), SYNTHETIC)
    draw.shuffle(rows)
    paths["train"] = _written("train", rows)
    people = _rows(human / "valid" / "manifest.jsonl")
    rows = draw.sample(people, 160)
    rows += draw.sample(_rows(FOLDER / "digits" / "valid.jsonl"), 12)
    rows += draw.sample(_rows(FOLDER / "spoken" / "valid.jsonl"), 28)
    paths["valid"] = _written("valid", rows)
    return paths


#: bands of a model of 8 kHz from 60 to 3,800 Hz; 54 bands up to 7,600 Hz are as far apart
OLD_BANDS = 40


def widened(old: Trained, manifest: Path) -> Trained:
    """A model of 8 kHz as one of 16 kHz, with the mean and deviation of these recordings."""
    options = replace(
        old.options,
        sample_rate=16_000,
        num_mels=SETTINGS["num_mels"],
        language="none",
        language_text="",
    )
    sounds = (row.value.frames.astype(np.float32) for row in speech.read(manifest, options))
    symbols = SpeechSymbols(old.symbols.pieces, Cmvn.of(sounds, level=True), None)
    model = speech.build(options, old.cell, Vocab(symbols))
    weights = old.model.state_dict()
    for name, tensor in model.state_dict().items():
        if tensor.shape == weights[name].shape:
            tensor.copy_(weights[name])
            continue
        # a matrix of the first layer reads the state, then the bands of each frame of a step
        state = weights[name].shape[1] - options.frames_per_step * OLD_BANDS
        tensor.zero_()
        tensor[:, :state] = weights[name][:, :state]
        bands = tensor[:, state:].view(len(tensor), options.frames_per_step, -1)
        old_bands = weights[name][:, state:].reshape(len(tensor), options.frames_per_step, -1)
        bands[..., :OLD_BANDS] = old_bands
    return replace(old, options=options, symbols=symbols, model=model)


def grown(old: Trained) -> Trained:
    """A model with more units: the old ones do not read the new ones yet, which begin at random."""
    options = replace(
        old.options, hidden_size=SETTINGS["hidden_size"], language="none", language_text=""
    )
    symbols = replace(old.symbols, language=None)
    torch.manual_seed(0)
    model = speech.build(options, old.cell, Vocab(symbols))
    before, after = old.options.hidden_size, options.hidden_size
    weights = old.model.state_dict()
    for name, tensor in model.state_dict().items():
        known = weights[name]
        if tensor.dim() == 1:
            tensor[: len(known)] = known
        elif name == "output.weight":
            tensor.zero_()
            tensor[:, :before] = known
        else:  # the columns of a layer: its state, then its input, which may be another's state
            tensor[:before] = 0
            tensor[:before, :before] = known[:, :before]
            tensor[:before, after : after + known.shape[1] - before] = known[:, before:]
    return replace(old, options=options, symbols=symbols, model=model)


def pronounced(old: Trained, texts: list[str]) -> Trained:
    """A model of letters as one of phonemes, with an output layer that begins at random."""
    options = replace(old.options, units="phonemes", language="none", language_text="")
    phonemes = Phonemes.of(read_dictionary(dictionary())).only(
        dict.fromkeys([word for text in texts for word in text.split()])
    )
    symbols = replace(old.symbols, pieces=phonemes, language=None)
    torch.manual_seed(0)
    model = speech.build(options, old.cell, Vocab(symbols))
    weights = old.model.state_dict()
    for name, tensor in model.state_dict().items():
        if not name.startswith("output."):
            tensor.copy_(weights[name])
    return replace(old, options=options, symbols=symbols, model=model)


def dictionary() -> Path:
    """The pronunciations of the words of the training texts and of the language model."""
    path = FOLDER / "words.dict"
    if not path.exists():
        said = [word for row in _rows(data()["train"]) for word in row["text"].split()]
        known = [word for word in language().ngrams.words if not word.startswith("<")]
        write_dictionary([*said, *known], path)
    return path


def _unpacked(folder: Path) -> Path:
    """The sets of human speech, unpacked."""
    for archive in sorted((SOURCE / "speech" / "human").glob("*.tar")):
        if not (folder / archive.stem).exists():
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
    return folder


def _rows(manifest: Path) -> list[dict[str, str]]:
    """The recordings of a manifest: absolute path, normalised text, and who speaks."""
    rows = []
    for line in manifest.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        voice = row.get("source") or row["voice"]
        audio = str((manifest.parent / row["audio"]).resolve())
        rows.append({"audio": audio, "text": plain(row["text"]), "voice": voice})
    return rows


def _written(name: str, rows: list[dict[str, str]]) -> Path:
    path = FOLDER / f"{name}.jsonl"
    write_whole(path, "".join([json.dumps(row) + "\n" for row in rows]))
    return path


def language_text() -> Path:
    """Transcripts of people, novels and everyday sentences, one per line."""
    human = _rows(FOLDER / "human" / "train" / "manifest.jsonl")
    lines = [row["text"] for row in human]
    novels = gzip.decompress((SOURCE / "text" / "novels.txt.gz").read_bytes()).decode("utf-8")
    lines += [plain(line) for line in novels.splitlines()]
    lines += [" ".join(normal(line) or []) for line in sentences()["train"]["tatoeba"]]
    path = FOLDER / "sentences.txt"
    lines = [line for line in lines if line and not near_demo(line.split())]
    write_whole(path, "\n".join(lines) + "\n")
    return path


def language() -> Language:
    """The language model; training it takes minutes, so it is kept for the same text."""
    text = language_text().read_text(encoding="utf-8")
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    path = FOLDER / f"language-{ORDER}-{LANGUAGE_SIZE}-{digest}.xz"
    if not path.exists():
        trained = train_language(text.splitlines(), "words", ORDER, LANGUAGE_SIZE)
        write_whole(path, packed(trained.ngrams))
    return Language(unpacked(path.read_bytes()), "words")


def with_language(run: Trained, target: Path, weight: float, bonus: float) -> Trained:
    """The shipped folder of a run: half precision, with the language model."""
    options = replace(
        run.options,
        language="words",
        language_text="sentences.txt",
        dictionary="words.dict",
        language_order=ORDER,
        language_size=LANGUAGE_SIZE,
        language_weight=weight,
        language_bonus=bonus,
    )
    settings = {**run.folder.settings(), "options": asdict(options)}
    settings.pop("files", None)  # the digest of the symbols without the language model
    shipped_folder(run, target, settings)
    model = language()
    said = [*run.symbols.pieces.dictionary, *model.ngrams.words]
    phonemes = Phonemes(run.symbols.pieces.pieces, dictionary=read_dictionary(dictionary()))
    symbols = replace(run.symbols, language=model, pieces=phonemes.only(dict.fromkeys(said)))
    write_whole(target / "symbols.json", symbols.to_json())
    return elman.load(target)


def last_epoch(run: Trained) -> Trained:
    """The run with the averaged weights of its last epoch, from its checkpoint."""
    checkpoint = load_file(str(RUN / "resume" / "checkpoint.safetensors"))
    with torch.no_grad():
        for k, parameter in enumerate(run.model.parameters()):
            parameter.copy_(checkpoint[f"average.{k}"])
    return run


def shipped_weights() -> Trained:
    """The shipped model, copied, so that its folder can be written."""
    copy = FOLDER / "shipped"
    shutil.copytree(Path(shipped.__file__).parent / "speech", copy, dirs_exist_ok=True)
    return elman.load(copy)


def choose(run: Trained) -> None:
    """Print the word error rate of validation recordings for weights and bonuses."""
    model = with_language(run, FOLDER / "chosen", WEIGHT, BONUS)
    for weight, bonus in product((0.7, 0.8, 0.9), (0.0, 0.5, 1.0)):
        wanted = TranscribeOptions(lm_weight=weight, lm_bonus=bonus)
        figure = by_voice(model, FOLDER / "valid.jsonl", wanted)
        print(weight, bonus, figure["wer"], figure["wer_by_voice"], flush=True)


def by_voice(run: Trained, manifest: Path, wanted: TranscribeOptions) -> dict[str, Any]:
    """The error rates of a manifest, the word error rate of each source, and processor seconds."""
    rows = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    examples = [row.value for row in speech.read(manifest, run.options)]
    start = time.process_time()  # of one thread, so that other programs do not count
    answers = [answer.text for answer in speech.predict(run.fitted, examples, wanted)]
    spent = time.process_time() - start
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
        "real_time_factor": round(spent / sum([each.seconds for each in examples]), 4),
    }


def demo_sentence(run: Trained) -> dict[str, Any]:
    """What the model hears when voices that it does not know say the demo's sentence."""
    heard = {}
    for engine, voice in DEMO_VOICES:
        sound = say(Utterance(DEMO, engine, voice, 0.9, 0.5, 1.0), 16_000)
        [answer] = run([(sound, 16_000)])
        wer = round(jiwer.wer(" ".join(normal(DEMO) or []), answer.text), 4)
        heard[f"{engine} {voice.rpartition('+')[2]}"] = {"text": answer.text, "wer": wer}
    return heard


def ship(run: Trained, command: str) -> None:
    """Write the shipped folder, the figures and the card."""
    target = Path(shipped.__file__).parent / "speech"
    small = with_language(run, target, WEIGHT, BONUS)
    figures: dict[str, Any] = {}
    paths = data()
    for name in ("valid", *TESTS):
        figures["validation" if name == "valid" else name] = {
            "best path": by_voice(small, paths[name], TranscribeOptions(beam=1)),
            "search with the language model": by_voice(small, paths[name], TranscribeOptions()),
        }
    results = Path(__file__).parents[1] / "results" / "open_speech.json"
    if history := run.folder.history():
        trained = {
            "machine": machine(),
            "minutes": round(history[-1]["seconds"] / 60, 1),
            "epochs": round(history[-1]["epoch"], 2),
        }
    else:  # the shipped weights
        before = json.loads(results.read_text(encoding="utf-8"))
        trained = {name: before[name] for name in ("machine", "minutes", "epochs")}
    record = {
        "command": command,
        "measured_on": machine(),
        "settings": {k: v for k, v in asdict(small.options).items() if k != "language_text"},
        "parameters": sum(p.numel() for p in small.model.parameters()),
        **trained,
        "threads": 1,
        "demo": demo_sentence(small),
        "figures": figures,
    }
    write_whole(results, json.dumps(record, indent=1) + "\n")
    write_whole(target / "card.md", card(record, target))


SOURCES = """\
- people reading and speaking English, 14.7 hours: LibriSpeech (train-clean-5, four speakers of
  train-clean-100, half of dev-clean; Panayotov, Chen, Povey and Khudanpur 2015), CC BY 4.0;
  speechocean762 (Zhang et al. 2021; learners whose first language is Mandarin, half of them
  children), free for commercial and non-commercial use; AN4 (Carnegie Mellon University 1991;
  spelled letters, digits, commands), free for any purpose. Copyright (c) 1991 Carnegie Mellon
  University; all rights reserved
- 2.3 hours of speech, synthesised for this model by espeak-ng (GPL-3, which does not extend to its
  output), flite and festival (each with its own free licence), as packaged by Debian; the voices
  made from recordings were slt, awb and kal, in flite and festival; its texts are the English side
  of Tatoeba's pairs, Shakespeare, sentences about films (Pang and Lee 2005, CC BY 4.0), random
  words and numbers
- Free Spoken Digit Dataset (Jackson et al. 2018), CC BY-SA 4.0, takes from 10 on, concatenated
- the language model: the transcripts of people above, twelve English novels in the public domain,
  and the English side of Tatoeba's pairs (tatoeba.org, by manythings.org/anki), CC BY 2.0 FR
- the pronunciations: CMUdict 0.4 with the phonemes of Festival, as packaged by Debian (festlex-cmu;
  Copyright (c) 1996, 1997 Centre for Speech Technology Research, University of Edinburgh; all
  rights reserved; free to use, change and distribute), reduced to the words of the texts above; for
  words that it lacks, the letter-to-sound rules of flite (Carnegie Mellon University, free)

Sentences with two of the demo's rarer words are in none of the made recordings and not in the text
of the language model. Training started from a model of letters, whose output layer was replaced;
two epochs (25 minutes) on the recordings of which CMUdict has all words came before those counted
below. The model of letters had been trained for 241 minutes on the same data, from a model of 256
units, trained for 35 minutes on the same people, and that from a model of 8 kHz, trained for 130
minutes on 24 hours of such synthetic speech."""
LIMITS = """\
The model learned from 15 hours of people, where commercial models have ten thousand and more.
Digits come out right, letters and commands mostly; of read English it still gets about two words
of five wrong: read the table before you use it for anything. Noise, conversations, telephones and
accents that are not in its data are worse; names and words that are not in its dictionary become
other words. To transcribe your own recordings, train it further on some of them
(`elman train speech --init-from speech`)."""


def card(record: dict[str, Any], target: Path) -> str:
    """The card: data, licences, scores and limits, from the figures."""
    options = record["settings"]
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
    clean = record["figures"]["test-clean-400"]["search with the language model"]
    step = 10 * options["frames_per_step"]
    demo = [
        f'- {voice}: "{heard["text"]}", WER {100 * heard["wer"]:.0f}'
        for voice, heard in record["demo"].items()
    ]
    return "\n".join(
        [
            f"# speech: {speech.title.partition(': ')[2]}",
            "",
            f"Cell `{options['cell']}`, {options['num_layers']} layers of "
            f"{options['hidden_size']} units, unidirectional, so that it can transcribe live, a "
            f"step every {step} ms, without look-ahead; {record['parameters']:,} parameters, "
            f"{weights:.1f} MB as float16. It hears phonemes; with a "
            f"{options['language_order']}-gram language model of words and their pronunciations, "
            f"{words:.1f} MB. Audio is resampled to "
            f"{options['sample_rate'] // 1000} kHz. `run.toml` lists all options.",
            "",
            "## Data and licences",
            SOURCES,
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
            "WER per source or voice, with the language model:",
            "",
            *voices,
            "",
            "The demo's sentence, spoken by voices that are in no training data:",
            "",
            *demo,
            "",
            "The weights, and the size, weight and bonus of the language model, were selected on "
            "the validation recordings; the tests were run once with these weights, and before "
            "with those of models of letters. The model was trained in "
            f"{60 * record['minutes']:.0f} s ({record['epochs']:g} epochs) with 1 thread of "
            f"{record['machine']['processor']}, while other programs ran. In a second of "
            f"one thread of {record['measured_on']['processor']} it transcribes "
            f"{1 / clean['real_time_factor']:.0f} seconds of LibriSpeech.",
            "",
            "## Limits",
            LIMITS,
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--start", default="")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--ship", action="store_true")
    parser.add_argument("--last", action="store_true", help="weights of the last epoch")
    parser.add_argument("--shipped", action="store_true", help="the shipped weights")
    asked = parser.parse_args()
    if asked.choose or asked.ship:
        run = shipped_weights() if asked.shipped else elman.load(RUN)
        if asked.last:
            run = last_epoch(run)
        flag = " --shipped" if asked.shipped else " --last" if asked.last else ""
        if asked.choose:
            choose(run)
        else:
            ship(run, f"python -m recipes.open_speech --ship{flag}")
        return
    paths = data()
    given = Data(paths["train"], paths["valid"], "English speech of people and synthesisers")
    start = elman.load(asked.start) if asked.start else None
    if start is not None and start.options.units != "phonemes":
        start = pronounced(start, [row["text"] for row in _rows(paths["train"])])
    if start is not None and start.options.num_mels == OLD_BANDS:
        start = widened(start, paths["train"])
    if start is not None and start.options.hidden_size < SETTINGS["hidden_size"]:
        start = grown(start)
    settings = {**SETTINGS, "epochs": asked.epochs}
    if start is None:
        settings |= {"language": "words", "dictionary": str(dictionary())}
    train(speech, given, RUN, settings, start=start, resume=asked.resume)


if __name__ == "__main__":
    main()
