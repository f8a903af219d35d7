"""Data augmentation for speech.

Works on log-mel frames (``features.py``), so that audio is read once: speed perturbation, vocal
tract length perturbation, additive noise, gain and equalisation, and masking (SpecAugment).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from elman.tasks.speech.features import FLOOR, Frames


@dataclass(frozen=True)
class SoundChanges:
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


def changed(frames: Frames, changes: SoundChanges, random: np.random.Generator) -> Frames:
    """Returns randomly changed frames; they are not normalised yet."""
    speed = random.uniform(1 - changes.speed, 1 + changes.speed)
    size = random.uniform(1 - changes.size, 1 + changes.size)
    if changes.speed:
        frames = _faster(frames, speed)
    if changes.size:
        frames = _larger(frames, size)
    if changes.colour:
        level = random.normal(0, changes.colour)
        frames = frames + (level + _smooth(frames.shape[1], changes.colour / 2, random))
    if random.random() < changes.noise:
        frames = _noisy(frames, random)
    other: Frames = np.maximum(frames, FLOOR).astype(np.float32)
    return other


def _faster(frames: Frames, rate: float) -> Frames:
    """Makes the audio ``rate`` times as fast; the pitch stays the same."""
    count = max(1, round(len(frames) / rate))
    places = np.minimum(np.arange(count) * rate, len(frames) - 1)
    return _between(frames, places)


def _larger(frames: Frames, rate: float) -> Frames:
    """Moves band k to band k * rate, as a change of the vocal tract length does."""
    places = np.clip(np.arange(frames.shape[1]) / rate, 0, frames.shape[1] - 1)
    return _between(np.ascontiguousarray(frames.T), places).T


def _between(rows: Frames, places: np.ndarray) -> Frames:
    below = places.astype(np.int64)
    above = np.minimum(below + 1, len(rows) - 1)
    part = (places - below).astype(np.float32)[:, None]
    mixed: Frames = rows[below] * (1 - part) + rows[above] * part
    return mixed


def _smooth(size: int, spread: float, random: np.random.Generator) -> np.ndarray:
    """A smooth random curve over the bands."""
    points = random.normal(0, spread, 5)
    return np.interp(np.linspace(0, 4, size), np.arange(5), points).astype(np.float32)


def _noisy(frames: Frames, random: np.random.Generator) -> Frames:
    """Adds stationary coloured noise at a signal-to-noise ratio of 3 to 35 dB."""
    loud = np.percentile(frames.mean(1), 90)
    level = loud - random.uniform(0.7, 8.0)  # nepers of energy: 3 to 35 dB
    # the noise energy in a band varies like a mean of a few squares
    scatter = np.log(random.standard_gamma(4.0, frames.shape) / 4.0)
    noise = level + _smooth(frames.shape[1], 1.5, random) + scatter
    louder: Frames = np.logaddexp(frames, noise.astype(np.float32))
    return louder


def masked(frames: Frames, masks: int, random: np.random.Generator) -> Frames:
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
