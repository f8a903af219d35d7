"""Data augmentation for speech.

Works on log-mel frames (``features.py``), so that audio is read once: speed perturbation, vocal
tract length perturbation, additive noise, gain and equalisation, and masking (SpecAugment).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from elman.tasks.speech.features import FLOOR, Frames


@dataclass(frozen=True)
class Augmentation:
    """Strength of each augmentation; 0 disables it.

    ``speed``: the speaking rate is drawn from 1 - speed to 1 + speed.  ``size``: likewise for the
    frequency axis, as for a shorter or longer vocal tract (Jaitly and Hinton 2013).  ``noise``: the
    fraction of recordings to which noise is added.  ``colour``: standard deviation of the gain, in
    nepers of energy; single bands vary by half of it.  ``masks``: maximum number of time masks and
    of frequency masks (Park et al. 2019).
    """

    speed: float = 0.1
    size: float = 0.1
    noise: float = 0.5
    colour: float = 1.0
    masks: int = 2


def augment(frames: Frames, augmentation: Augmentation, random: np.random.Generator) -> Frames:
    """Returns randomly changed frames; they are not normalised yet."""
    speed = random.uniform(1 - augmentation.speed, 1 + augmentation.speed)
    size = random.uniform(1 - augmentation.size, 1 + augmentation.size)
    if augmentation.speed:
        frames = _change_speed(frames, speed)
    if augmentation.size:
        frames = _scale_frequencies(frames, size)
    if augmentation.colour:
        level = random.normal(0, augmentation.colour)
        frames = frames + (level + _random_curve(frames.shape[1], augmentation.colour / 2, random))
    if random.random() < augmentation.noise:
        frames = _add_noise(frames, random)
    other: Frames = np.maximum(frames, FLOOR).astype(np.float32)
    return other


def _change_speed(frames: Frames, rate: float) -> Frames:
    """Makes the audio ``rate`` times as fast; the pitch stays the same."""
    count = max(1, round(len(frames) / rate))
    places = np.minimum(np.arange(count) * rate, len(frames) - 1)
    return _interpolate(frames, places)


def _scale_frequencies(frames: Frames, rate: float) -> Frames:
    """Moves band k to band k * rate, as a change of the vocal tract length does."""
    places = np.clip(np.arange(frames.shape[1]) / rate, 0, frames.shape[1] - 1)
    return _interpolate(np.ascontiguousarray(frames.T), places).T


def _interpolate(rows: Frames, places: np.ndarray) -> Frames:
    below = places.astype(np.int64)
    above = np.minimum(below + 1, len(rows) - 1)
    part = (places - below).astype(np.float32)[:, None]
    mixed: Frames = rows[below] * (1 - part) + rows[above] * part
    return mixed


def _random_curve(size: int, spread: float, random: np.random.Generator) -> np.ndarray:
    """A smooth random curve over the bands."""
    points = random.normal(0, spread, 5)
    return np.interp(np.linspace(0, 4, size), np.arange(5), points).astype(np.float32)


def _add_noise(frames: Frames, random: np.random.Generator) -> Frames:
    """Adds stationary coloured noise at a signal-to-noise ratio of 3 to 35 dB."""
    loud = np.percentile(frames.mean(1), 90)
    level = loud - random.uniform(0.7, 8.0)  # nepers of energy: 3 to 35 dB
    # the noise energy in a band varies like a mean of a few squares
    scatter = np.log(random.standard_gamma(4.0, frames.shape) / 4.0)
    noise = level + _random_curve(frames.shape[1], 1.5, random) + scatter
    louder: Frames = np.logaddexp(frames, noise.astype(np.float32))
    return louder


def mask_spans(frames: Frames, masks: int, random: np.random.Generator) -> Frames:
    """Masks random bands and time spans with their mean (SpecAugment), in place.

    ``frames`` are normalised.  A frequency mask covers at most a sixth of the bands, a time mask at
    most 0.15 s and a tenth of the frames.
    """
    time, num_mels = frames.shape
    for _ in range(random.integers(0, masks + 1)):
        width = random.integers(0, num_mels // 6 + 1)
        start = random.integers(0, num_mels - width + 1)
        frames[:, start : start + width] = 0
    for _ in range(random.integers(0, masks + 1)):
        width = random.integers(0, min(15, time // 10) + 1)
        start = random.integers(0, time - width + 1)
        frames[start : start + width] = 0
    return frames
