"""The sounds and manifests that ``test_mutants.py`` damages."""

import io
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from elman.tasks.speech.audio import read_audio
from elman.tasks.speech.data import check_recordings
from elman.tasks.speech.options import SpeechOptions
from elman.tasks.speech.reading import feature_config, read
from tasks.mutating import refusal_of

MANIFEST = '{"audio": "1.wav", "text": "caf\\u00e9 one"}\n{"text": "two", "audio": "2.wav"}\n'


def sound(kind: str) -> bytes:
    """Half a second of a tone in noise, in two channels."""
    draw, times = np.random.default_rng(0), np.arange(8_000) / 16_000
    tone = 0.3 * np.sin(2 * np.pi * 440 * times) + 0.05 * draw.standard_normal(len(times))
    file = io.BytesIO()
    soundfile.write(file, np.stack([tone, tone], 1).astype("f"), 16_000, format=kind)
    return file.getvalue()


def mp3_without_announcement() -> bytes:
    content = sound("MP3")
    return content[content.index(content[:2], 4) :]


def read_sound(path: Path) -> str:
    return refusal_of(partial(read_audio, path, 16_000))


def read_manifest(path: Path) -> str:
    for name in ("1.wav", "2.wav"):
        (path.parent / name).write_bytes(sound("WAV"))
    options = SpeechOptions()
    refusal = refusal_of(partial(read, path, options))
    report = check_recordings(path, feature_config(options), options.frames_per_step)
    assert report.problems or not refusal
    return refusal


READERS = {
    kind.lower(): (f"a.{kind.lower()}", sound(kind), read_sound)
    for kind in ("WAV", "RF64", "AIFF", "AU", "FLAC", "OGG", "MP3")
} | {
    "mp3 without length": ("a.mp3", mp3_without_announcement(), read_sound),
    "manifest": ("a.jsonl", MANIFEST, read_manifest),
}
