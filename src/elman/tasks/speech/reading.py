"""Reads recordings from manifests, folders, audio files and arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from elman.data.faults import Row, values_or_error
from elman.data.sources import is_folder
from elman.data.text import text_rows
from elman.errors import OptionError
from elman.tasks.speech.audio import Sound, mono, read_audio, resample
from elman.tasks.speech.data import (
    FeatureConfig,
    Utterance,
    read_utterances,
)
from elman.tasks.speech.manifests import audio_files
from elman.tasks.speech.options import SpeechOptions


def read(path: Path, options: SpeechOptions) -> list[Row[Utterance]]:
    """Reads the recordings of a manifest, or of a folder with a metadata.csv."""
    rows = list(read_utterances(path, feature_config(options)))
    values_or_error(rows)
    return [row for row in rows if isinstance(row, Row)]


def feature_config(options: SpeechOptions) -> FeatureConfig:
    """The feature configuration of the options."""
    return FeatureConfig(
        options.sample_rate,
        options.num_mels,
        options.lowercase,
        options.punctuation,
        options.audio_column,
        options.text_column,
    )


def read_inputs(path: Path, options: SpeechOptions) -> list[Path]:
    """Names an audio file, all audio files in a folder, or those of a manifest."""
    if is_folder(path):
        return audio_files(path)
    if path.suffix.lower() in (".jsonl", ".ndjson", ".json", ".csv", ".tsv"):
        column = "file_name" if path.name == "metadata.csv" else options.audio_column
        flags = ("--audio-column", "")
        found = text_rows(path, text_column=column, label_column="", labelled=False, flags=flags)
        names = [each.text for each in values_or_error(found)]
        return [path.parent / name for name in names]
    return [path]


def _read_sound(path: Path, options: SpeechOptions) -> Utterance:
    config = feature_config(options)
    return config.utterance(str(path), read_audio(path, options.sample_rate), None)


def as_input(value: Any) -> Any:
    """Converts a string to a path; other inputs stay until the model's sample rate is known."""
    if isinstance(value, str):
        return Path(value)
    return value


def utterance_of(value: Any, options: SpeechOptions) -> Utterance:
    """Makes an utterance of a path, or of samples and their rate."""
    if isinstance(value, Utterance):
        return value
    if isinstance(value, Path):
        return _read_sound(value, options)
    try:
        samples, rate = value
        numbers = np.asarray(samples, np.float32)
        rate = int(rate)
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"speech: an input has type {type(value).__name__}; pass the path of an audio file, "
            "or (samples, rate) with samples from -1 to 1."
        ) from error
    numbers = mono(numbers) if numbers.ndim == 2 else numbers
    heard = resample(numbers, rate, options.sample_rate)
    sound = Sound(heard, len(numbers) / rate, rate, 1, "")
    return feature_config(options).utterance(f"{len(numbers) / rate:.1f} s of audio", sound, None)
