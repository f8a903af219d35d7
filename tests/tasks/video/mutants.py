"""The videos that ``test_mutants.py`` damages."""

import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from elman.tasks.video.decoding import FrameShape, read_video
from tasks.mutating import refusal_of
from tasks.video.video_files import transparent, with_sound


def video(kind: str) -> bytes:
    """A second of noise, with sound."""
    with tempfile.TemporaryDirectory() as folder:
        return with_sound(Path(folder) / "a", kind, 1, 1, {})


def pictures(kind: str) -> bytes:
    """A square that moves before nothing."""
    squares = np.zeros((4, 24, 24), bool)
    for k, picture in enumerate(squares):
        picture[4:12, 4 * k : 4 * k + 8] = True
    return transparent(kind, squares, (255, 255, 255), (0, 0, 0))


def read_any_video(path: Path) -> str:
    return refusal_of(partial(read_video, path, FrameShape(size=24, rate=10)))


READERS = {
    kind: (f"a.{kind}", video(kind), read_any_video)
    for kind in ("webm", "matroska", "mp4", "avi", "mpegts")
} | {kind: (f"a.{kind}", pictures(kind), read_any_video) for kind in ("GIF", "PNG")}
