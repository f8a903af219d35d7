"""Synthetic training speech by free synthesisers: audio files and manifests.

    python -m recipes.synthetic_speech OUT [--hours 24] [--part valid test train]
    python -m recipes.synthetic_speech src/elman/shipped/demo --part demo

The sentences are the English side of Tatoeba (CC BY 2.0), lines of Shakespeare, sentences from film
reviews (Pang and Lee 2005, CC BY 4.0) and random strings of words and numbers.  The voices are
those of espeak-ng, flite and festival as packaged by Debian (``apt-get install espeak-ng flite
festival festvox-kallpc16k festvox-kdlpc16k festvox-us-slt-hts``).  Sentences and voices of the
validation and test sets occur in no other set: rms and ked of the recorded voices, and four
variants of espeak-ng each.  All sets exclude sentences with two of the demo's rare words.

The output is deterministic: all randomness comes from one seed.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import soundfile
import soxr

from elman.files import write_whole
from recipes.real_data import SOURCE

RATE = 16_000
SEED = 4

DEMO = "The quick brown fox jumped over the lazy dog."
#: a sentence with two of these words is too similar to the demo's
FOX = {"quick", "brown", "fox", "foxes", "jump", "jumps", "jumped", "lazy", "dog", "dogs"}

ACCENTS = (
    "en-us", "en-us", "en-us", "en-gb", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbclan",
    "en-029", "en-us-nyc",
)  # fmt: skip
VARIANTS = {
    "train": (
        "m1", "m2", "m3", "m4", "m5", "m8", "f1", "f2", "f4", "f5", "Alex", "Alicia", "Andrea",
        "Andy", "Annie", "Denis", "Diogo", "Gene", "Gene2", "Henrique", "Hugo", "Jacky", "Lee",
        "Marco", "Mario", "Michael", "Mike", "adam", "anika", "antonio", "aunty", "benjamin",
        "boris", "caleb", "david", "ed", "grandma", "grandpa", "gustave", "iven", "iven2", "john",
        "klatt", "klatt2", "klatt3", "max", "michel", "miguel", "norbert", "pablo", "paul",
        "pedro", "quincy", "rob", "robert", "sandro", "shelby", "steph", "steph2", "travis",
        "victor", "zac",
    ),
    "valid": ("f3", "m6", "edward", "belinda"),
    "test": ("linda", "m7", "iven3", "steph3"),
}  # fmt: skip
#: voices made from recordings: synthesiser, name and weight
RECORDED = {
    "train": (
        ("flite", "slt", 4), ("flite", "awb", 5), ("flite", "kal16", 2), ("flite", "kal", 1),
        ("festival", "voice_kal_diphone", 2), ("festival", "voice_cmu_us_slt_arctic_hts", 2),
    ),
    "valid": (("flite", "rms", 1),),
    "test": (("festival", "voice_ked_diphone", 1),),
}  # fmt: skip


@dataclass(frozen=True)
class Utterance:
    """A text with a voice and its settings."""

    said: str
    engine: str
    voice: str
    speed: float
    pitch: float
    resample: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--part", nargs="+", default=["valid", "test", "train"])
    asked = parser.parse_args()
    if asked.part == ["demo"]:
        demo(asked.out / "fox.flac")
        return
    pools = sentences()
    for part in asked.part:
        hours = asked.hours if part == "train" else asked.hours * 0.02
        make(part, pools, hours, asked.out)


def demo(path: Path) -> None:
    """The demo's sentence at 16 kHz, in a voice of the test set."""
    utterance = Utterance(DEMO, "espeak-ng", f"en-us+{VARIANTS['test'][0]}", 0.9, 0.5, 1.0)
    sound = say(utterance, 16_000)
    soundfile.write(path, sound, 16_000, subtype="PCM_16")


# --- texts ----------------------------------------------------------------------------------


def sentences() -> dict[str, dict[str, list[str]]]:
    """The sentences of each part, by source; a hash of its words determines a sentence's part.

    Excludes sentences with two of the demo's rare words.
    """
    sources = {"tatoeba": _tatoeba(), "plays": _plays(), "films": _films()}
    pools: dict[str, dict[str, list[str]]] = {p: {} for p in ("train", "valid", "test")}
    for source, lines in sources.items():
        found: dict[str, str] = {}
        for line in lines:
            words = normal(line)
            if words and not near_demo(words):
                found.setdefault(" ".join(words), line)
        for part in pools.values():
            part[source] = []
        for words_of, line in found.items():
            number = int.from_bytes(sha256(words_of.encode()).digest()[:4], "big") % 40
            pools[{0: "valid", 1: "test"}.get(number, "train")][source].append(line)
    return pools


def normal(text: str) -> list[str] | None:
    """The words of a text in lower case; ``None`` if it contains anything but plain words."""
    text = text.replace("’", "'").replace("--", ", ")
    if not re.fullmatch(r"[A-Za-z' ,.?!;:\"()-]+", text) or re.search(r"\.\w|\b[A-Z]{2,}", text):
        return None
    if re.search(r"\b(Mr|Mrs|Ms|Dr|St|vs|etc|No|Jr|Sr|Prof|Gen|Lt|Sgt|Capt)\.", text):
        return None
    words = re.findall(r"[a-z]+(?:'[a-z]+)*'?", text.lower())
    words = [word.rstrip("'") for word in words]
    return words or None


def near_demo(words: list[str]) -> bool:
    return len(FOX & set(words)) >= 2


def _tatoeba() -> list[str]:
    with zipfile.ZipFile(SOURCE / "translation" / "fra-eng.zip") as archive:
        lines = archive.read("fra.txt").decode("utf-8").splitlines()
    english = dict.fromkeys(line.split("\t")[0] for line in lines)
    return [line for line in english if len(line) > 8]


def _plays() -> list[str]:
    text = (SOURCE / "text" / "tinyshakespeare.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.endswith(":")]
    return [line for line in lines if 3 <= len(line.split()) <= 12]


def _films() -> list[str]:
    lines = []
    with zipfile.ZipFile(SOURCE / "sentiment" / "sentence_polarity.zip") as archive:
        for end in ("pos", "neg"):
            text = archive.read(f"sentence_polarity/rt-polarity.{end}").decode("latin-1")
            lines += text.splitlines()
    lines = [re.sub(r" (?=[,.?!;:'])| (?=n't)", "", line.strip()) for line in lines]
    return [line for line in lines if 3 <= len(line.split()) <= 16]


DIGITS = "zero one two three four five six seven eight nine".split()  # noqa: SIM905
TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()  # noqa: SIM905
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()  # noqa: SIM905


def _numbers(draw: random.Random) -> str:
    """A string of digits, or a number in words."""
    if draw.random() < 0.6:
        return " ".join(draw.choices(DIGITS, k=draw.randint(1, 8)))
    small = draw.choice(
        [draw.choice(TEENS), f"{draw.choice(TENS)} {draw.choice(DIGITS[1:])}", draw.choice(TENS)]
    )
    large = draw.choice(["", f"{draw.choice(DIGITS[1:])} hundred ", f"{small} thousand "])
    return large + small


def _text(draw: random.Random, pool: dict[str, list[str]], having: dict[str, list[str]]) -> str:
    """The text of an utterance: a sentence, two sentences, random words, or numbers.

    For a quarter, a word is drawn uniformly and the sentence contains it, so that rare words occur.
    """
    kind = draw.random()
    if kind < 0.25:
        return draw.choice(having[draw.choice(list(having))])
    if kind < 0.60:
        return draw.choice(pool["tatoeba"])
    if kind < 0.70:
        return " ".join(draw.sample(pool["tatoeba"], 2))
    if kind < 0.77:
        return draw.choice(pool["plays"])
    if kind < 0.84:
        return draw.choice(pool["films"])
    if kind < 0.94:
        return " ".join(draw.choices(list(having), k=draw.randint(2, 7)))
    return _numbers(draw)


def _by_word(lines: list[str]) -> dict[str, list[str]]:
    """The sentences that contain each word."""
    having: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        for word in sorted(set(normal(line) or [])):
            having[word].append(line)
    return dict(sorted(having.items()))


# --- speech ---------------------------------------------------------------------------------


def plan(part: str, pool: dict[str, list[str]], hours: float) -> Iterator[Utterance]:
    """An endless iterator of utterances."""
    draw = random.Random(f"{SEED} {part}")
    everything = [line for lines in pool.values() for line in lines]
    having = _by_word(everything)
    recorded = [(e, v) for e, v, times in RECORDED[part] for _ in range(times)]
    while True:
        said = _text(draw, pool, having)
        found = normal(said)
        if found is None or near_demo(found):
            continue
        speed = draw.uniform(0.8, 1.25)
        pitch = draw.random()
        resample = 1.0
        if draw.random() < 0.5:
            variant = draw.choice(VARIANTS[part])
            accent = draw.choice(ACCENTS)
            yield Utterance(said, "espeak-ng", f"{accent}+{variant}", speed, pitch, resample)
            continue
        engine, voice = draw.choice(recorded)
        # training also resamples these voices, because there are few
        if part == "train" and draw.random() < 0.7:
            resample = draw.uniform(0.84, 1.2)
        yield Utterance(said, engine, voice, speed, pitch, resample)


def make(part: str, pools: dict[str, dict[str, list[str]]], hours: float, out: Path) -> None:
    """Write the audio files of a part and its manifest."""
    rows, seconds = [], 0.0
    waiting: list[tuple[int, Utterance]] = []

    def keep(number: int, utterance: Utterance, sound: np.ndarray) -> None:
        nonlocal seconds
        name = f"{part}/{number // 1000:03}/{number:06}.flac"
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(out / name, sound, RATE, subtype="PCM_16")
        words = normal(utterance.said)
        assert words is not None
        voice = f"{utterance.engine} {utterance.voice}"
        rows.append({"audio": name, "text": " ".join(words), "voice": voice})
        seconds += len(sound) / RATE

    for number, utterance in enumerate(plan(part, pools[part], hours)):
        if seconds > hours * 3600:
            break
        if utterance.engine == "festival":  # slow to start, so many at once
            waiting.append((number, utterance))
            if len(waiting) == 100:
                _festival(waiting, keep)
                waiting = []
        else:
            sound = say(utterance)
            if sound is not None:
                keep(number, utterance, sound)
        if number % 1000 == 999:
            print(f"{part}: {len(rows)} utterances, {seconds / 3600:.2f} hours", flush=True)
    _festival(waiting, keep)
    rows.sort(key=lambda row: row["audio"])
    write_whole(out / f"{part}.jsonl", "".join([json.dumps(row) + "\n" for row in rows]))
    print(f"{part}: {len(rows)} utterances, {seconds / 3600:.2f} hours", flush=True)


def say(utterance: Utterance, rate: int = RATE) -> np.ndarray | None:
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        if utterance.engine == "espeak-ng":
            command = [
                "espeak-ng", "-v", utterance.voice, "-s", str(round(165 * utterance.speed)),
                "-p", str(round(20 + 60 * utterance.pitch)), "-w", file.name, "--", utterance.said,
            ]  # fmt: skip
        else:
            command = [
                "flite", "-voice", utterance.voice, "-o", file.name,
                "--setf", f"duration_stretch={1 / utterance.speed:.3f}",
                "--setf", f"int_f0_target_mean={_pitch(utterance):.0f}",
                "-t", utterance.said,
            ]  # fmt: skip
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return _finished(Path(file.name), utterance, rate)


#: the mean pitch of each recorded voice, in hertz
_USUAL = {"slt": 165, "awb": 115, "rms": 95, "kal16": 105, "kal": 105}


def _pitch(utterance: Utterance) -> float:
    return _USUAL[utterance.voice] * (0.85 + 0.3 * utterance.pitch)


def _festival(
    waiting: list[tuple[int, Utterance]], keep: Callable[[int, Utterance, np.ndarray], None]
) -> None:
    """Synthesise many utterances in one process of festival."""
    if not waiting:
        return
    with tempfile.TemporaryDirectory() as folder:
        lines = [
            "(define (say voice stretch said file) (voice)"
            " (Parameter.set 'Duration_Stretch stretch)"
            " (let ((u (eval (list 'Utterance 'Text said))))"
            " (utt.synth u) (utt.save.wave u file 'riff)))"
        ]
        for number, u in waiting:
            said = u.said.replace('"', "")
            file = f"{folder}/{number}.wav"
            lines.append(f'(say {u.voice} {1 / u.speed:.3f} "{said}" "{file}")')
        script = Path(folder) / "say.scm"
        script.write_text("\n".join(lines) + "\n")
        subprocess.run(["festival", "-b", str(script)], check=True, stdout=subprocess.DEVNULL)
        for number, utterance in waiting:
            sound = _finished(Path(folder) / f"{number}.wav", utterance)
            if sound is not None:
                keep(number, utterance, sound)


def _finished(path: Path, utterance: Utterance, new_rate: int = RATE) -> np.ndarray | None:
    """The sound at the given rate, with silence trimmed; ``None`` if it is silent."""
    try:
        sound, rate = soundfile.read(path, dtype="float32")
    except soundfile.LibsndfileError:
        return None
    if len(sound) < rate * 0.2 or not np.abs(sound).max() > 1e-3:
        return None
    sound = soxr.resample(sound, rate * utterance.resample, new_rate)
    loud = np.flatnonzero(np.abs(sound) > 0.01 * np.abs(sound).max())
    margin = new_rate // 8
    sound = sound[max(0, loud[0] - margin) : loud[-1] + margin]
    return 0.5 * sound / np.abs(sound).max()


if __name__ == "__main__":
    main()
