"""A video as small frames at even times: decoding, scaling, sampling.

Whatever PyAV opens goes through here, file or stream: its frames become squares of one size
(letterboxed, so that nothing is lost), and of frames at any times those that are shown at 0,
1/rate, 2/rate ... seconds are taken.  Which files there are and what they show: ``clips.py``.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from elman.errors import DataError
from elman.extras import extra
from elman.tasks.video.transparency import Ground

Picture = UInt8[np.ndarray, "channel size size"]
T = TypeVar("T")

#: seconds by which files round the time of a frame (webm counts milliseconds, gif hundredths)
ROUNDING = 1e-3
#: seconds; a video that claims to be longer has broken times
LONGEST = 6 * 3600.0
#: bytes of all frames of a video, as they are kept
_MOST_BYTES = 2**31


@dataclass(frozen=True)
class FrameShape:
    """What every video is brought to: squares of ``size`` pixels, ``rate`` of them a second."""

    size: int = 32
    rate: float = 10.0
    colour: bool = False

    @property
    def channels(self) -> int:
        """1 for grey, 3 for red, green and blue."""
        return 3 if self.colour else 1


@dataclass(frozen=True)
class Video:
    """Frames in even steps of time, and what the video was before: its size, rate and seconds."""

    frames: UInt8[Tensor, "time channel size size"]
    width: int
    height: int
    rate: float
    seconds: float

    @property
    def digest(self) -> bytes:
        """The same for videos with the same frames only."""
        return hashlib.blake2b(self.frames.numpy().tobytes(), digest_size=16).digest()


@dataclass(frozen=True)
class Shown:
    """A decoded frame, scaled, with the seconds from when to when it is shown."""

    start: float
    end: float
    picture: Picture
    width: int
    height: int


def read_video(source: Path | bytes, shape: FrameShape) -> Video:
    """A whole video in memory.

    Raises ``DataError`` with a sentence, without the name of the file, for what is no video, has no
    pictures, or breaks off.
    """
    count, last = 0, None

    def watched() -> Iterator[tuple[float, float, Picture]]:
        nonlocal count, last
        for last in decoded(source, shape):
            count += 1
            yield last.start, last.end, last.picture

    kept: list[Picture] = []
    for picture in sampled(watched(), shape.rate):
        if (len(kept) + 1) * picture.nbytes > _MOST_BYTES:
            raise DataError(
                f"its frames take more than {_MOST_BYTES >> 30} GB of memory after "
                f"{len(kept) / shape.rate / 60:.0f} minutes; cut the video into clips, or set "
                "size or rate lower."
            )
        kept.append(picture)
    pictures = np.stack(kept)
    assert last is not None  # a video without a frame is an error
    return Video(torch.from_numpy(pictures), last.width, last.height, count / last.end, last.end)


def sampled(frames: Iterable[tuple[float, float, T]], rate: float) -> Iterator[T]:
    """What is shown at 0, 1/rate, 2/rate ... seconds, of frames with their start and end.

    The start of the first is 0, and no start is before the one that came before.  A frame is shown
    until the next one starts, the last until its end.  Each is given as soon as it is certain.

    >>> list(sampled([(0.0, 0.1, "a"), (0.1, 0.5, "b"), (0.5, 0.6, "c")], rate=5))
    ['a', 'b', 'b']
    >>> list(sampled([(0.0, 0.5, "a"), (0.5, 1.0, "b")], rate=4))
    ['a', 'a', 'b', 'b']
    """
    count, last, until = 0, None, 0.0
    for start, end, frame in frames:
        while last is not None and count / rate < start - ROUNDING:
            yield last
            count += 1
        last, until = frame, end
        if count / rate <= start + ROUNDING:  # its own time has come: no need to wait for the next
            yield last
            count += 1
    while last is not None and count / rate < until - ROUNDING:
        yield last
        count += 1


def decoded(source: Path | bytes | BinaryIO, shape: FrameShape) -> Iterator[Shown]:
    """The frames of a video as they come, at least one; for errors see ``read_video``."""
    with extra("video", "reading videos"):
        import av

    count = 0
    try:
        arrives = not isinstance(source, Path | bytes) and not source.seekable()
        options = {"fpsprobesize": "0"} if arrives else {}  # no look ahead to guess the rate
        with av.open(
            _openable(source), mode="r", options=options, metadata_errors="replace"
        ) as container:
            stream = _picture_stream(container)
            for shown in _shown(container, stream, shape):
                count += 1
                yield shown
    except FileNotFoundError as error:
        raise DataError("there is no such file; check its name and folder.") from error
    except IsADirectoryError as error:
        raise DataError("this is a folder, and a video was expected; name a file.") from error
    except PermissionError as error:
        raise DataError("the file cannot be read (no permission); check its rights.") from error
    except (av.error.FFmpegError, _BrokenOff) as error:
        if count:
            raise DataError(
                f"the video breaks off after frame {count}; it is damaged or cut off: copy it "
                "again."
            ) from error
        raise DataError(_unreadable(source, error)) from error
    if not count:
        raise DataError("there is no frame in the video; give one with at least one.")


class _BrokenOff(Exception):
    """A packet came that is not whole."""


class _Arriving(io.RawIOBase):
    """Bytes as they arrive: a read gives what is there, and there is no going back."""

    def __init__(self, source: BinaryIO) -> None:
        self.source = source

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def read(self, size: int = -1) -> bytes:
        read = getattr(self.source, "read1", self.source.read)
        found: bytes = read(size)
        return found


def _openable(source: Path | bytes | BinaryIO) -> Any:
    if isinstance(source, Path):
        return str(source)
    if isinstance(source, bytes):
        return io.BytesIO(source)
    return source if source.seekable() else _Arriving(source)


def _unreadable(source: Path | bytes | BinaryIO, error: Exception) -> str:
    if isinstance(source, Path) and source.stat().st_size == 0:
        return "the file is empty; copy it again."
    if not isinstance(source, Path | bytes) and not source.seekable():
        return (
            "this is no video that can be read while it arrives; give webm, mkv, gif or MPEG-TS "
            "(an mp4 has its index at the end: name the file instead)."
        )
    reason = getattr(error, "strerror", None) or "its first frame is not whole"
    return (
        f"this is no video that can be read ({reason}): it is damaged, cut off, or of another "
        "kind; give mp4, webm, avi, mkv or gif."
    )


def _picture_stream(container: Any) -> Any:
    for stream in container.streams.video:
        # a music file's cover is no video
        if not int(stream.disposition) & int(type(stream.disposition).attached_pic):
            return stream
    kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
    raise DataError(f"there are no pictures in it, only {kinds}; give a video.")


def _shown(container: Any, stream: Any, shape: FrameShape) -> Iterator[Shown]:
    """The frames of a stream, with times that begin at 0 and never go back."""
    from av.video.reformatter import VideoReformatter

    stream.thread_type = "NONE"  # for small videos threads cost more than they gain
    scale, ground = VideoReformatter(), Ground()
    usual = float(1 / (stream.average_rate or stream.guessed_rate or 0 or math.ceil(shape.rate)))
    first, start, end = None, 0.0, 0.0
    reached = begins = float(container.start_time or 0) / 1_000_000
    for packet in container.demux([stream, *container.streams.audio]):
        if packet.stream.index != stream.index:
            if packet.pts is not None:
                reached = max(reached, float((packet.pts + packet.duration) * packet.time_base))
            continue
        if packet.size and packet.is_corrupt:
            raise _BrokenOff
        for frame in packet.decode():
            time = end if frame.time is None else float(frame.time)
            first = time if first is None else first
            start = max(start, time - first)
            lasts = float(frame.duration * frame.time_base) if frame.duration else usual
            end = start + lasts
            if end > LONGEST:
                raise DataError(
                    f"its times go up to {end / 3600:,.0f} hours; write the video anew, with times "
                    "that are right, or cut it into clips."
                )
            reached = max(reached, first + end)
            opaque = ground.under(frame)
            picture = _picture(scale, opaque, stream, shape, frame.rotation)
            yield Shown(start, end, picture, frame.width, frame.height)
    # a file whose head promises more than is there
    promised = float(container.duration or 0) / 1_000_000
    if first is not None and (_short(end, _promised(stream)) or _short(reached - begins, promised)):
        raise _BrokenOff


def _short(seconds: float, promised: float) -> bool:
    """Whether so much is missing that it cannot be the rounding of times or of the last frame."""
    return seconds < 0.9 * promised - 0.2


def _promised(stream: Any) -> float:
    """How many seconds of pictures the file promises; 0 where it does not say."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    try:  # matroska and webm, as "00:00:20.008000000"
        hours, minutes, seconds = str(stream.metadata["DURATION"]).split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except (KeyError, ValueError):
        return 0.0


def _picture(scale: Any, frame: Any, stream: Any, shape: FrameShape, rotation: float) -> Picture:
    """A frame in the middle of a black square, as it is to be seen."""
    width, height = frame.width * float(stream.sample_aspect_ratio or 1), float(frame.height)
    factor = shape.size / max(width, height)
    width, height = max(1, round(width * factor)), max(1, round(height * factor))
    small = scale.reformat(
        frame,
        width,
        height,
        "rgb24" if shape.colour else "gray8",
        interpolation="AREA",
        threads=1,  # threads that wait for each other: ten times slower on a busy machine
    ).to_ndarray()
    small = small.transpose(2, 0, 1) if shape.colour else small[None]
    turns = round(rotation / 90) % 4
    small = np.rot90(small, turns, (1, 2))
    picture = np.zeros((shape.channels, shape.size, shape.size), np.uint8)
    top, left = [(shape.size - n) // 2 for n in small.shape[1:]]
    picture[:, top : top + small.shape[1], left : left + small.shape[2]] = small
    return picture
