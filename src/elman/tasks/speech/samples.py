"""Generated data for ``elman new speech``: sequences of four tones and their names.

A model learns real speech in minutes and these tones in seconds.
"""

from __future__ import annotations

import io
import json
import random
import wave
from collections.abc import Mapping

import numpy as np

RATE = 8_000
#: pitch of each tone at its start and end, in hertz
TONES = {"low": (300, 300), "high": (1500, 1500), "up": (400, 1600), "down": (1600, 400)}


def tone_samples() -> Mapping[str, str | bytes]:
    """Manifests of 40 training and 10 validation recordings, and the recordings."""
    draw = random.Random(1)
    files: dict[str, str | bytes] = {}
    for part, count in (("train", 40), ("valid", 10)):
        lines = []
        for number in range(count):
            words = draw.choices(list(TONES), k=draw.randint(2, 5))
            name = f"{part}/{number:02}.wav"
            files[name] = _recording(words, draw)
            lines.append(json.dumps({"audio": name, "text": " ".join(words)}))
        files[f"{part}.jsonl"] = "\n".join(lines) + "\n"
    return files


def _recording(words: list[str], draw: random.Random) -> bytes:
    """The tones of the words, separated by short silences, as a wav file."""
    parts = [_silence(draw)]
    for word in words:
        count = round(RATE * draw.uniform(0.18, 0.3))
        begin, end = [hertz * draw.uniform(0.95, 1.05) for hertz in TONES[word]]
        phase = 2 * np.pi * np.cumsum(np.linspace(begin, end, count)) / RATE
        fade = np.minimum(1, np.minimum(np.arange(count), np.arange(count)[::-1]) / 160)
        parts += [draw.uniform(0.2, 0.5) * np.sin(phase) * fade, _silence(draw)]
    sound = np.concatenate(parts)
    # faint noise, as in every recording
    sound += 0.001 * np.random.default_rng(draw.randrange(10**6)).standard_normal(len(sound))
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((sound * 32767).astype("<i2").tobytes())
    return out.getvalue()


def _silence(draw: random.Random) -> np.ndarray:
    return np.zeros(round(RATE * draw.uniform(0.12, 0.25)))
