"""Finds the part of a picture that moves, and follows it with a square crop.

A walker fills the frame then, whether the film is square, wide or tall, and whether the figure is
large or small.  Only past frames are used, so that streams give the same crops.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from jaxtyping import UInt8
from torch import nn

Picture = UInt8[np.ndarray, "channel size size"]

#: pictures to follow in are this many times as large as the crops
LARGER = 4
#: change of a pixel, of 255, from which on it moves
_CHANGE = 24
#: how much of the motion of a frame is left at the next one
_FADES = 0.8
#: fraction of the pixels that must have moved; less is noise
_LEAST = 5e-4
#: fraction of the motion beyond each edge of the box
_BEYOND = 0.02
#: the side of the crop, as a multiple of the larger side of what moves
_MARGIN = 1.3
#: smallest side of the crop, as a fraction of the picture's
_SMALLEST = 0.15
#: how far the centre and the side go towards those of a new frame
_CENTRE, _SIDE = 0.3, 0.15


class Follower:
    """Crops pictures one after another to squares of ``size`` pixels.

    Until something has moved, the crop is the whole picture.

    >>> pictures = np.zeros((6, 1, 128, 128), np.uint8)
    >>> for k in range(6):  # a small square that moves to the right
    ...     pictures[k, :, 60:70, 20 + 4 * k : 30 + 4 * k] = 255
    >>> follower = Follower(32)
    >>> sizes = [int((follower.accept(picture) > 127).sum()) for picture in pictures]
    >>> sizes[0] < 10 < sizes[-1]  # it fills more of the crop, once it has moved
    True
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._before: Picture | None = None
        self._moved = np.zeros((1, 1), np.float32)
        self._box: np.ndarray | None = None  # centre x, centre y, side

    def accept(self, picture: Picture) -> Picture:
        """The crop of the next picture."""
        if self._before is not None:
            self._look(picture)
        self._before = picture
        side = picture.shape[-1]
        box = np.array([side / 2, side / 2, side]) if self._box is None else self._box
        return self._crop(picture, *box.tolist())

    def _look(self, picture: Picture) -> None:
        """Moves the box towards what has moved."""
        assert self._before is not None
        change = np.abs(picture.astype(np.int16) - self._before).max(0)
        self._moved = np.maximum(_FADES * self._moved, change > _CHANGE).astype(np.float32)
        total = float(self._moved.sum())
        side = picture.shape[-1]
        if total < _LEAST * side * side:
            return
        left, right = _edges(self._moved.sum(0) / total)
        top, bottom = _edges(self._moved.sum(1) / total)
        wanted = max(_MARGIN * max(right - left, bottom - top), _SMALLEST * side)
        found = np.array([(left + right) / 2, (top + bottom) / 2, min(wanted, side)])
        if self._box is None:
            self._box = found
        else:
            self._box = self._box + (found - self._box) * np.array([_CENTRE, _CENTRE, _SIDE])

    def _crop(self, picture: Picture, x: float, y: float, side: float) -> Picture:
        whole = max(1, round(side))
        left, top = round(x - whole / 2), round(y - whole / 2)
        edge = picture.shape[-1]
        square = np.zeros((picture.shape[0], whole, whole), np.uint8)
        a, b = max(0, top), min(edge, top + whole)
        c, d = max(0, left), min(edge, left + whole)
        square[:, a - top : b - top, c - left : d - left] = picture[:, a:b, c:d]
        pixels = torch.from_numpy(square)[None].float()
        if whole < self._size:
            small = nn.functional.interpolate(pixels, self._size, mode="bilinear")
        else:
            small = nn.functional.adaptive_avg_pool2d(pixels, self._size)
        crop: Picture = small[0].round().to(torch.uint8).numpy()
        return crop


def _edges(shares: np.ndarray) -> tuple[float, float]:
    """Where the shares, which sum to 1, begin and end, but for a little beyond each edge."""
    sums = np.cumsum(shares)
    first = int(np.searchsorted(sums, _BEYOND))
    last = int(np.searchsorted(sums, 1 - _BEYOND))
    return float(first), float(min(last, len(shares) - 1) + 1)


def followed(pictures: Iterable[Picture], size: int) -> Iterator[Picture]:
    """The crops of the pictures of a video, in order."""
    follower = Follower(size)
    for picture in pictures:
        yield follower.accept(picture)
