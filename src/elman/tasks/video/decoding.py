"""Decodes videos to small frames at a constant rate.

Reads any file or stream that PyAV opens.  Frames are scaled to squares of one size (letterboxed, so
that nothing is lost) and sampled at 0, 1/rate, 2/rate ... seconds.  ``clips.py`` lists files and
labels.
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

from elman.data.containers import SINGLE_FILES
from elman.data.sources import why_not_a_file
from elman.errors import DataError
from elman.extras import extra
from elman.tasks.video.following import LARGER, followed
from elman.tasks.video.transparency import Background

Picture = UInt8[np.ndarray, "channel size size"]
#: a file that may arrive in pieces
Arriving = BinaryIO | io.RawIOBase
Source = Path | bytes | Arriving
T = TypeVar("T")

#: rounding of frame times in seconds (webm has milliseconds, gif hundredths)
ROUNDING = 1e-3
#: pixels of a frame: those of the largest videos (8K), and a frame takes four bytes for each
MOST_PIXELS = 8192 * 4320
#: maximum duration in seconds; longer videos have broken timestamps
LONGEST = 6 * 3600.0
#: maximum size of the decoded frames of a video, in bytes
_MOST_BYTES = 2**31


@dataclass(frozen=True)
class FrameShape:
    """The frame format: squares of ``size`` pixels at ``rate`` frames per second.

    With ``follow``, they are crops that follow what moves.
    """

    size: int = 32
    rate: float = 10.0
    colour: bool = False
    follow: bool = False

    @property
    def channels(self) -> int:
        """1 for grey, 3 for red, green and blue."""
        return 3 if self.colour else 1

    @property
    def decoded_size(self) -> int:
        """The size to which frames are decoded: larger than their crops, if these follow."""
        return self.size * LARGER if self.follow else self.size


@dataclass(frozen=True)
class Video:
    """Frames at a constant rate, and the original size, rate and duration of the video."""

    frames: UInt8[Tensor, "time channel size size"]
    width: int
    height: int
    rate: float
    seconds: float

    @property
    def digest(self) -> bytes:
        """A hash of the frames."""
        return hashlib.blake2b(self.frames.numpy().tobytes(), digest_size=16).digest()


@dataclass(frozen=True)
class DecodedFrame:
    """A decoded and scaled frame, shown from ``start`` to ``end`` seconds."""

    start: float
    end: float
    picture: Picture
    width: int
    height: int


def read_video(source: Path | bytes, shape: FrameShape) -> Video:
    """Reads a whole video into memory.

    Raises ``DataError``, without the file name, if it is not a video, has no frames, or is
    truncated.
    """
    count, last = 0, None

    def watched() -> Iterator[tuple[float, float, Picture]]:
        nonlocal count, last
        for last in decoded(source, shape):
            count += 1
            yield last.start, last.end, last.picture

    kept: list[Picture] = []
    for picture in at_rate(watched(), shape):
        if (len(kept) + 1) * picture.nbytes > _MOST_BYTES:
            raise DataError(
                f"its frames take more than {_MOST_BYTES >> 30} GB of memory after "
                f"{len(kept) / shape.rate / 60:.0f} minutes; split the video into clips, or lower "
                "size or rate."
            )
        kept.append(picture)
    pictures = np.stack(kept)
    assert last is not None  # a video without a frame is an error
    return Video(torch.from_numpy(pictures), last.width, last.height, count / last.end, last.end)


def at_rate(frames: Iterable[tuple[float, float, Picture]], shape: FrameShape) -> Iterator[Picture]:
    """The decoded frames of (start, end, picture) at the rate and in the size of the shape."""
    pictures = sampled(frames, shape.rate)
    return followed(pictures, shape.size) if shape.follow else pictures


def sampled(frames: Iterable[tuple[float, float, T]], rate: float) -> Iterator[T]:
    """Yields the frames shown at 0, 1/rate, 2/rate ... seconds, of (start, end, frame).

    Starts must begin at 0 and must not decrease.  A frame is shown until the next one starts, the
    last until its end.  Each frame is yielded as soon as possible.

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
        if count / rate <= start + ROUNDING:  # certain without the next frame
            yield last
            count += 1
    while last is not None and count / rate < until - ROUNDING:
        yield last
        count += 1


def decoded(source: Source, shape: FrameShape) -> Iterator[DecodedFrame]:
    """Yields the frames of a video as they arrive, at least one; errors as in ``read_video``."""
    with extra("video", "reading videos"):
        import av

    reason = _why_no_file(source)
    if reason is not None:
        raise DataError(reason)
    count = 0
    try:
        arrives = not isinstance(source, Path | bytes) and not source.seekable()
        options = {"format_whitelist": SINGLE_FILES}
        if arrives:
            options["fpsprobesize"] = "0"  # no look-ahead to guess the rate
        with av.open(
            _openable(source), mode="r", options=options, metadata_errors="replace"
        ) as container:
            stream = _picture_stream(container)
            for shown in _shown(container, stream, shape):
                count += 1
                yield shown
    except PermissionError as error:
        raise DataError("the file cannot be read; check its permissions.") from error
    except (av.error.FFmpegError, _Truncated) as error:
        if count:
            raise DataError(
                f"the video ends unexpectedly after frame {count}; it is damaged or truncated: "
                "copy it again."
            ) from error
        raise DataError(_unreadable(source, error)) from error
    if not count:
        raise DataError("the video has no frames; use one with at least one frame.")


def _why_no_file(source: Source) -> str | None:
    return why_not_a_file(source) if isinstance(source, Path) else None


class _Truncated(Exception):
    """The video is truncated."""


class _UnseekableReader(io.RawIOBase):
    """A stream without seeking; a read returns the available bytes."""

    def __init__(self, source: Arriving) -> None:
        self.source = source

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def read(self, size: int = -1) -> bytes:
        read = getattr(self.source, "read1", self.source.read)
        found: bytes = read(size)
        return found


def _openable(source: Source) -> Any:
    if isinstance(source, Path):
        return str(source)
    if isinstance(source, bytes):
        return io.BytesIO(source)
    return source if source.seekable() else _UnseekableReader(source)


def _unreadable(source: Source, error: Exception) -> str:
    if isinstance(source, Path) and source.stat().st_size == 0:
        return "the file is empty; copy it again."
    if not isinstance(source, Path | bytes) and not source.seekable():
        return (
            "this is not a video that can be streamed; use webm, mkv, gif or MPEG-TS (an mp4 has "
            "its index at the end: pass the file name instead)."
        )
    reason = getattr(error, "strerror", None) or "its first frame is incomplete"
    return (
        f"this is not a readable video ({reason}): it is damaged, truncated, or in another "
        "format; use mp4, webm, avi, mkv or gif."
    )


def _picture_stream(container: Any) -> Any:
    for stream in container.streams.video:
        # skip the cover picture of a music file
        if not int(stream.disposition) & int(type(stream.disposition).attached_pic):
            return stream
    kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
    raise DataError(f"the file has no video stream, only {kinds}; use a video.")


def _shown(container: Any, stream: Any, shape: FrameShape) -> Iterator[DecodedFrame]:
    """Yields the frames of a stream, with times that start at 0 and never decrease."""
    from av.video.reformatter import VideoReformatter

    context = stream.codec_context
    if context is None:
        raise DataError("its codec is unknown; use mp4, webm, avi, mkv or gif.")
    width, height = context.width, context.height
    if width * height > MOST_PIXELS:
        raise DataError(
            f"its frames are {width:,} x {height:,} pixels; the limit is {MOST_PIXELS:,} pixels. "
            "Make them smaller, or copy the video again if its header is wrong."
        )
    context.options = {"max_pixels": str(MOST_PIXELS)}  # a later frame may be larger
    stream.thread_type = "NONE"  # threads slow down the decoding of small videos
    scale, background = VideoReformatter(), Background()
    usual = float(1 / (stream.average_rate or stream.guessed_rate or 0 or math.ceil(shape.rate)))
    first, start, end = None, 0.0, 0.0
    reached = begins = float(container.start_time or 0) / 1_000_000
    for packet in container.demux([stream, *container.streams.audio]):
        if packet.stream.index != stream.index:
            if packet.pts is not None:
                reached = max(reached, float((packet.pts + packet.duration) * packet.time_base))
            continue
        if packet.size and packet.is_corrupt:
            raise _Truncated
        for frame in packet.decode():
            if frame.is_corrupt:
                raise _Truncated
            time = end if frame.time is None else float(frame.time)
            first = time if first is None else first
            start = max(start, time - first)
            lasts = float(frame.duration * frame.time_base) if frame.duration else usual
            end = start + lasts
            if end > LONGEST:
                raise DataError(
                    f"its timestamps go up to {end / 3600:,.0f} hours; encode the video again with "
                    "correct timestamps, or split it into clips."
                )
            reached = max(reached, first + end)
            opaque = background.apply(frame)
            picture = _picture(scale, opaque, stream, shape, frame.rotation)
            yield DecodedFrame(start, end, picture, frame.width, frame.height)
    if first is not None and "mpegts" in container.format.name and _ends_in_packet(container):
        raise _Truncated
    # the header announces a longer video
    stated = float(container.duration or 0) / 1_000_000
    if first is not None and (
        _is_truncated(end, _stated_duration(stream)) or _is_truncated(reached - begins, stated)
    ):
        raise _Truncated


def _ends_in_packet(container: Any) -> bool:
    """Whether a transport stream ends within a packet, of 188, 192 or 204 bytes."""
    return container.size > 0 and not any([container.size % n == 0 for n in (188, 192, 204)])


def _is_truncated(seconds: float, stated: float) -> bool:
    """Whether more is missing than rounding of times or of the last frame can explain."""
    return seconds < 0.9 * stated - 0.2


def _stated_duration(stream: Any) -> float:
    """The duration in the header of the file, in seconds; 0 if it is not stated."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    try:  # matroska and webm, as "00:00:20.008000000"
        hours, minutes, seconds = str(stream.metadata["DURATION"]).split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except (KeyError, ValueError):
        return 0.0


def _picture(scale: Any, frame: Any, stream: Any, shape: FrameShape, rotation: float) -> Picture:
    """Scales, rotates and letterboxes a frame."""
    width, height = frame.width * float(stream.sample_aspect_ratio or 1), float(frame.height)
    size = shape.decoded_size
    factor = size / max(width, height)
    width, height = max(1, round(width * factor)), max(1, round(height * factor))
    small = scale.reformat(
        frame,
        width,
        height,
        "rgb24" if shape.colour else "gray8",
        interpolation="AREA",
        threads=1,  # more threads are up to ten times slower on a busy machine
    ).to_ndarray()
    small = small.transpose(2, 0, 1) if shape.colour else small[None]
    turns = round(rotation / 90) % 4
    small = np.rot90(small, turns, (1, 2))
    picture = np.zeros((shape.channels, size, size), np.uint8)
    top, left = [(size - n) // 2 for n in small.shape[1:]]
    picture[:, top : top + small.shape[1], left : left + small.shape[2]] = small
    return picture
