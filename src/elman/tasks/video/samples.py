"""Sample data for video: a ball that bounces or rolls, and a bar that spins."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.extras import extra

Picture = NDArray[np.uint8]
Shape = NDArray[np.bool_]
Draw = Callable[[float, np.random.Generator], Shape]

WIDTH, HEIGHT, RATE, FRAMES = 64, 48, 10, 12
TRAIN, VALID = 8, 3


def moving_shapes() -> dict[str, bytes]:
    """The videos by file name, in a folder per activity, alternating between the formats."""
    return {
        f"{part}/{activity}/{k}.{kind}": video_bytes(_pictures(draw, k), kind)
        for activity, draw in ACTIVITIES.items()
        for part, numbers in (("train", range(TRAIN)), ("valid", range(TRAIN, TRAIN + VALID)))
        for k in numbers
        for kind in [list(KINDS)[k % len(KINDS)]]
    }


#: container: codec, pixel format, options
KINDS = {
    "mp4": ("libx264", "yuv420p", {"crf": "20", "threads": "1"}),
    "avi": ("mpeg4", "yuv420p", {"threads": "1"}),
    "webm": ("libvpx", "yuv420p", {"crf": "20", "b": "1M", "threads": "1", "cpu-used": "8"}),
    "gif": ("gif", "gray", {"threads": "1"}),
}

Y, X = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5


def _bouncing(seconds: float, random: np.random.Generator) -> Shape:
    x, period = random.uniform(12, WIDTH - 12), random.uniform(0.5, 0.9)
    height = abs(math.sin(math.pi * (seconds / period + random.uniform())))
    return _disc(x, HEIGHT - 8 - 30 * height, random.uniform(5, 8))


def _rolling(seconds: float, random: np.random.Generator) -> Shape:
    speed = random.choice([-1, 1]) * random.uniform(30, 60)
    x = (random.uniform(0, WIDTH) + speed * seconds) % WIDTH
    return _disc(x, random.uniform(12, HEIGHT - 12), random.uniform(5, 8))


def _spinning(seconds: float, random: np.random.Generator) -> Shape:
    angle = random.uniform(0, math.pi) + random.choice([-1, 1]) * random.uniform(3, 6) * seconds
    x, y = X - random.uniform(22, WIDTH - 22), Y - random.uniform(20, HEIGHT - 20)
    along = x * math.cos(angle) + y * math.sin(angle)
    across = y * math.cos(angle) - x * math.sin(angle)
    bar: Shape = (abs(along) < 17) & (abs(across) < random.uniform(2, 4))
    return bar


ACTIVITIES: dict[str, Draw] = {
    "bouncing": _bouncing,
    "rolling": _rolling,
    "spinning": _spinning,
}


def _disc(x: float, y: float, radius: float) -> Shape:
    disc: Shape = (X - x) ** 2 + (Y - y) ** 2 < radius**2
    return disc


def _pictures(draw: Draw, number: int) -> list[Picture]:
    """The frames of one video; the number seeds its position, size and speed."""
    shapes = [draw(k / RATE, np.random.default_rng(number)) for k in range(FRAMES)]
    return [np.where(shape, 230, 20).astype(np.uint8) for shape in shapes]


def video_bytes(pictures: Sequence[Picture], kind: str, rate: int = RATE) -> bytes:
    """Encodes grey pictures as mp4, avi, webm or gif."""
    with extra("video", "creating videos"):
        import av

    codec, pixels, options = KINDS[kind]
    written = io.BytesIO()
    with av.open(written, "w", format=kind) as container:
        stream: Any = container.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = pictures[0].shape
        stream.pix_fmt = pixels
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="gray8").reformat(format=pixels)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return written.getvalue()
