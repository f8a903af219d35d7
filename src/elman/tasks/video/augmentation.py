"""Videos that training has not seen: parts of them, faster and slower, mirrored, moved, larger.

None of these changes what a video shows, so a model that has seen them learns that and not where,
how large or how fast it is.  All that is random comes from the generator that is given.
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
class Changes:
    """How far videos are changed at most; 0 and False leave them as they are.

    ``flip`` mirrors every other video.  ``shift`` is the part of the picture by which it moves, in
    each direction; ``zoom`` and ``speed`` are parts by which it becomes larger or smaller, faster
    or slower; ``turn`` is in degrees; ``cut`` is the part of the time that may be missing.
    """

    flip: bool = False
    shift: float = 0.0
    zoom: float = 0.0
    turn: float = 0.0
    speed: float = 0.0
    cut: float = 0.0


def changed(
    videos: Sequence[Frames], changes: Changes, generator: Generator
) -> tuple[UInt8[Tensor, "frames channel size size"], list[int]]:
    """The videos after one another, each changed in a way of its own, and their lengths.

    >>> video = torch.arange(4, dtype=torch.uint8).reshape(2, 1, 1, 2)
    >>> frames, lengths = changed([video, video], Changes(), Generator())
    >>> torch.equal(frames, torch.cat([video, video])), lengths
    (True, [2, 2])
    """
    places = [moments(len(video), changes, generator) for video in videos]
    lengths = [len(place) for place in places]
    frames = torch.cat([video[place] for video, place in zip(videos, places, strict=True)])
    if changes.shift or changes.zoom or changes.turn:
        maps = _maps(len(videos), changes, generator)
        frames = _moved(frames, maps.repeat_interleave(torch.tensor(lengths), 0))
    elif changes.flip:
        mirrored = _chances(generator, len(videos)) < 0.5
        rows = mirrored.repeat_interleave(torch.tensor(lengths))
        frames = torch.where(rows[:, None, None, None], frames.flip(-1), frames)
    return frames, lengths


def moments(length: int, changes: Changes, generator: Generator) -> Tensor:
    """Which frames of a video are seen, in order: a part of them, at another speed.

    >>> moments(4, Changes(), Generator()).tolist()
    [0, 1, 2, 3]
    """
    part, where, fast = _chances(generator, 3).tolist()
    kept = length * (1 - changes.cut * part)
    start = (length - kept) * where
    step = math.exp((2 * fast - 1) * math.log1p(changes.speed))
    count = max(1, round(kept / step))
    # in the middle of each step: with a step of 1 from 0 on these are the frames themselves
    places = start + (torch.arange(count, dtype=torch.float64) + 0.5) * step
    seen: Tensor = places.long()
    return seen.clamp_max(length - 1)


def _maps(count: int, changes: Changes, generator: Generator) -> Tensor:
    """Where in the old picture each point of the new one is found: (count, 2, 3)."""
    mirror, size, turn, right, down = 2 * _chances(generator, 5, count) - 1
    sign = torch.where((mirror < 0) & changes.flip, -1.0, 1.0)
    scale = torch.exp(size * math.log1p(changes.zoom))
    angle = turn * math.radians(changes.turn)
    across, along = scale * angle.cos(), scale * angle.sin()
    rows = [
        torch.stack([across * sign, -along, 2 * changes.shift * right], -1),
        torch.stack([along * sign, across, 2 * changes.shift * down], -1),
    ]
    return torch.stack(rows, 1)


def _moved(frames: Frames, maps: Tensor) -> Frames:
    grid = torch.nn.functional.affine_grid(maps, list(frames.shape), align_corners=False)
    moved: Tensor = torch.nn.functional.grid_sample(
        frames.float(), grid, padding_mode="border", align_corners=False
    )
    rounded: Tensor = moved.round_()
    return rounded.to(torch.uint8)


def _chances(generator: Generator, *shape: int) -> Tensor:
    """Numbers between 0 and 1."""
    return torch.rand(*shape, generator=generator)
