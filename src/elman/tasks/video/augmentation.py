"""Data augmentation for videos: crops in time, speed, mirroring, shift, zoom and rotation.

These changes keep the label, so the model learns not to depend on position, size and speed.  All
random numbers come from the given generator.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import UInt8
from torch import Generator, Tensor

Frames = UInt8[Tensor, "time channel size size"]


@dataclass(frozen=True)
class Augmentation:
    """Maximum strength of each augmentation; 0 and False disable it.

    ``flip`` mirrors videos with probability 0.5.  ``shift`` is a fraction of the frame size, in
    each direction; ``zoom`` and ``speed`` are relative changes; ``turn`` is in degrees; ``cut`` is
    the fraction of the time that may be dropped.
    """

    flip: bool = False
    shift: float = 0.0
    zoom: float = 0.0
    turn: float = 0.0
    speed: float = 0.0
    cut: float = 0.0


def augment(
    videos: Sequence[Frames], augmentation: Augmentation, generator: Generator
) -> tuple[UInt8[Tensor, "frames channel size size"], list[int]]:
    """Augments each video; returns the concatenated frames and the lengths.

    >>> video = torch.arange(4, dtype=torch.uint8).reshape(2, 1, 1, 2)
    >>> frames, lengths = augment([video, video], Augmentation(), Generator())
    >>> torch.equal(frames, torch.cat([video, video])), lengths
    (True, [2, 2])
    """
    places = [frame_indices(len(video), augmentation, generator) for video in videos]
    lengths = [len(place) for place in places]
    frames = torch.cat([video[place] for video, place in zip(videos, places, strict=True)])
    if augmentation.shift or augmentation.zoom or augmentation.turn:
        maps = _affine_maps(len(videos), augmentation, generator)
        frames = _warp(frames, maps.repeat_interleave(torch.tensor(lengths), 0))
    elif augmentation.flip:
        mirrored = _uniform(generator, len(videos)) < 0.5
        rows = mirrored.repeat_interleave(torch.tensor(lengths))
        frames = torch.where(rows[:, None, None, None], frames.flip(-1), frames)
    return frames, lengths


def frame_indices(length: int, augmentation: Augmentation, generator: Generator) -> Tensor:
    """The indices of the frames of an augmented video: a random part, at a random speed.

    >>> frame_indices(4, Augmentation(), Generator()).tolist()
    [0, 1, 2, 3]
    """
    part, where, fast = _uniform(generator, 3).tolist()
    kept = length * (1 - augmentation.cut * part)
    start = (length - kept) * where
    step = math.exp((2 * fast - 1) * math.log1p(augmentation.speed))
    count = max(1, round(kept / step))
    # the middle of each step; with start 0 and step 1, all frames
    places = start + (torch.arange(count, dtype=torch.float64) + 0.5) * step
    seen: Tensor = places.long()
    return seen.clamp_max(length - 1)


def _affine_maps(count: int, augmentation: Augmentation, generator: Generator) -> Tensor:
    """Affine maps from new to old coordinates, (count, 2, 3)."""
    mirror, size, turn, right, down = 2 * _uniform(generator, 5, count) - 1
    sign = torch.where((mirror < 0) & augmentation.flip, -1.0, 1.0)
    scale = torch.exp(size * math.log1p(augmentation.zoom))
    angle = turn * math.radians(augmentation.turn)
    across, along = scale * angle.cos(), scale * angle.sin()
    rows = [
        torch.stack([across * sign, -along, 2 * augmentation.shift * right], -1),
        torch.stack([along * sign, across, 2 * augmentation.shift * down], -1),
    ]
    return torch.stack(rows, 1)


def _warp(frames: Frames, maps: Tensor) -> Frames:
    grid = torch.nn.functional.affine_grid(maps, list(frames.shape), align_corners=False)
    moved: Tensor = torch.nn.functional.grid_sample(
        frames.float(), grid, padding_mode="border", align_corners=False
    )
    rounded: Tensor = moved.round_()
    return rounded.to(torch.uint8)


def _uniform(generator: Generator, *shape: int) -> Tensor:
    """Uniform random numbers from 0 to 1."""
    return torch.rand(*shape, generator=generator)
