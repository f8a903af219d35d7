"""The sound of m4a, AAC and video files, which libsndfile does not read (FFmpeg, by PyAV).

``SoundTrack`` has the part of ``soundfile.SoundFile`` that ``audio.py`` uses.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import Float32

from elman.data.containers import SINGLE_FILES
from elman.extras import extra

#: suffixes of files that FFmpeg reads
TRACK_SUFFIXES = (
    ".m4a", ".m4b", ".aac", ".wma", ".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".mka", ".webm",
    ".avi", ".mpg", ".mpeg", ".ts",
)  # fmt: skip
#: seconds by which a container may announce more than its codec gives
_TOLERANCE = 0.25
_UNKNOWN = 2**62


class NoSoundError(Exception):
    """The file cannot be decoded or has no sound; the text says which."""


class SoundTrack:
    """The first sound track of a file, decoded block by block.

    Raises ``NoSoundError`` if there is none, from ``read`` too if the track is damaged.
    """

    format = "track"

    def __init__(self, path: Path) -> None:
        with extra("speech", f"reading {path.suffix} files"):
            import av

        self._path, self._av = path, av
        self._open()

    def _open(self) -> None:
        try:
            self._container: Any = self._av.open(
                str(self._path), options={"format_whitelist": SINGLE_FILES}
            )
        except (self._av.error.FFmpegError, OSError) as error:
            raise NoSoundError(str(getattr(error, "strerror", "") or error)) from error
        tracks = self._container.streams.audio
        if not tracks:
            self._container.close()
            raise NoSoundError("it has no sound track")
        track = tracks[0]
        self.samplerate, self.channels = int(track.rate or 0), int(track.channels or 0)
        if not self.samplerate or not self.channels:
            self._container.close()
            raise NoSoundError("its sound track has no sample rate")
        self.frames = _UNKNOWN
        if track.duration is not None and track.time_base is not None:
            seconds = float(track.duration * track.time_base) - _TOLERANCE
            self.frames = max(0, round(seconds * self.samplerate))
        self._blocks = self._decoded(track)
        self._left = np.zeros((0, self.channels), np.float32)

    def _decoded(self, track: Any) -> Iterator[Float32[np.ndarray, "time channel"]]:
        resampler = self._av.AudioResampler("fltp", track.layout, self.samplerate)
        try:
            for frame in self._container.decode(track):
                for each in resampler.resample(frame):
                    yield each.to_ndarray().T
            for each in resampler.resample(None):
                yield each.to_ndarray().T
        except (self._av.error.FFmpegError, OSError) as error:
            raise NoSoundError(str(getattr(error, "strerror", "") or error)) from error

    def read(
        self, frames: int, dtype: str = "float32", always_2d: bool = True
    ) -> Float32[np.ndarray, "time channel"]:
        """The next samples, at most ``frames``; none at the end."""
        parts, there = [self._left], len(self._left)
        while there < frames and (block := next(self._blocks, None)) is not None:
            parts.append(block)
            there += len(block)
        samples = np.ascontiguousarray(np.concatenate(parts), np.float32)
        self._left = samples[frames:]
        return samples[:frames]

    def seek(self, frames: int) -> None:
        """Goes back to the start; ``frames`` is 0."""
        self._container.close()
        self._open()

    def __enter__(self) -> SoundTrack:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._container.close()
