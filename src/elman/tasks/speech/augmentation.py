"""Other voices, rooms and microphones out of the frames at hand: augmentation for speech.

All of it works on log-mel frames (``features.py``), so that sounds are read once: a voice that is
faster or slower and larger or smaller, noise, another loudness and colour, and frames and bands
that are hidden (SpecAugment).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from elman.tasks.speech.features import FLOOR, Frames


@dataclass(frozen=True)
class SoundChanges:
    """How much is changed; 0 for nothing.

    ``speed``: the rate goes from 1 - speed to 1 + speed.  ``size``: the same for the height of
    all bands, as of a smaller or larger speaker (Jaitly and Hinton 2013).  ``noise``: the part of
    sounds that get noise.  ``colour``: how far loudness and single bands go, in nepers of energy.
    ``masks``: bands and stretches of time that are hidden, at most so many each (Park et al. 2019).
    """

    speed: float = 0.1
    size: float = 0.1
    noise: float = 0.5
    colour: float = 1.0
    masks: int = 2


def changed(frames: Frames, changes: SoundChanges, random: np.random.Generator) -> Frames:
    """The frames of a sound that might have been, before they are normalised."""
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
    """The sound ``rate`` times as fast, with its pitch as it was."""
    count = max(1, round(len(frames) / rate))
    places = np.minimum(np.arange(count) * rate, len(frames) - 1)
    return _between(frames, places)


def _larger(frames: Frames, rate: float) -> Frames:
    """What was in band k is in band k * rate: as if all lengths of the throat were changed."""
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
    """With steady noise of some colour, from hardly heard to nearly as loud as the speech."""
    loud = np.percentile(frames.mean(1), 90)
    level = loud - random.uniform(0.7, 8.0)  # nepers of energy: 3 to 35 dB
    # energies of noise in a band scatter like a mean of some squares
    scatter = np.log(random.standard_gamma(4.0, frames.shape) / 4.0)
    noise = level + _smooth(frames.shape[1], 1.5, random) + scatter
    louder: Frames = np.logaddexp(frames, noise.astype(np.float32))
    return louder


def masked(frames: Frames, masks: int, random: np.random.Generator) -> Frames:
    """With some bands and some stretches of time at their mean (SpecAugment), in place.

    ``frames`` are normalised; a band is at most a sixth of all, a stretch 0.15 s and a tenth.
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
