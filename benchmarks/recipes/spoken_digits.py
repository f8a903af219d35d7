"""Strings of spoken digits from human recordings, as manifests for ``elman train``.

The Free Spoken Digit Dataset (Jackson et al. 2018, CC BY-SA 4.0): 3,000 recordings of ten digits
by six speakers, 8 kHz.  Digits of one speaker are joined to strings of 3 to 7, with silences in
between.  Takes 0 to 4 are the test set, 5 to 9 the validation set, the others training; every test
recording occurs in a string.
"""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from elman.files import write_whole
from recipes.real_data import SOURCE

RATE = 8_000
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
TAKES = {"test": range(5), "valid": range(5, 10), "train": range(10, 50)}
#: how often each recording is used
TIMES = {"test": 4, "valid": 4, "train": 8}

Recordings = dict[tuple[int, str, int], np.ndarray]


def recordings() -> Recordings:
    """All recordings by digit, speaker and take."""
    found: Recordings = {}
    with zipfile.ZipFile(SOURCE / "speech" / "fsdd.zip") as archive:
        for name in archive.namelist():
            if not name.endswith(".wav"):
                continue
            digit, speaker, take = Path(name).stem.split("_")
            samples, rate = soundfile.read(io.BytesIO(archive.read(name)), dtype="float32")
            assert rate == RATE
            found[int(digit), speaker, int(take)] = samples
    return found


def spoken_digits(
    folder: Path,
    *,
    train: Sequence[str] = SPEAKERS,
    valid: Sequence[str] = SPEAKERS,
    test: Sequence[str] = SPEAKERS,
) -> dict[str, Path]:
    """Manifests of strings of digits by these speakers; deterministic."""
    paths = {}
    there = recordings()
    for part, speakers in (("train", train), ("valid", valid), ("test", test)):
        paths[part] = folder / f"{part}.jsonl"
        rows = []
        for speaker in speakers:
            for number, digits in enumerate(_strings(part, speaker)):
                name = f"{part}/{speaker}-{number:04}.flac"
                draw = random.Random(f"silence {name}")
                sound = _joined([there[d, speaker, take] for d, take in digits], draw)
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(folder / name, sound, RATE, subtype="PCM_16")
                said = " ".join([WORDS[digit] for digit, _ in digits])
                rows.append({"audio": name, "text": said, "voice": f"FSDD {speaker}"})
        write_whole(paths[part], "".join([json.dumps(row) + "\n" for row in rows]))
    return paths


def _strings(part: str, speaker: str) -> list[list[tuple[int, int]]]:
    """Strings of (digit, take): all recordings in random order, split into groups of 3 to 7."""
    draw = random.Random(f"strings {part} {speaker}")
    strings = []
    for _ in range(TIMES[part]):
        deck = [(digit, take) for digit in range(10) for take in TAKES[part]]
        draw.shuffle(deck)
        while deck:
            size = draw.randint(3, 7)
            # the remainder must also give whole strings
            size = size if len(deck) - size >= 3 or len(deck) == size else min(len(deck), 7)
            size = size if len(deck) - size != 1 and len(deck) - size != 2 else size - 2
            strings.append([deck.pop() for _ in range(min(size, len(deck)))])
    return strings


def _joined(sounds: list[np.ndarray], draw: random.Random) -> np.ndarray:
    """The sounds with silences of 0.05 to 0.3 s around them, plus faint noise."""
    parts = [_silence(draw)]
    for sound in sounds:
        parts += [sound, _silence(draw)]
    joined = np.concatenate(parts)
    noise = np.random.default_rng(draw.randrange(2**32)).standard_normal(len(joined))
    return np.clip(joined + 1e-4 * noise, -1, 1)


def _silence(draw: random.Random) -> np.ndarray:
    return np.zeros(round(RATE * draw.uniform(0.05, 0.3)), np.float32)
