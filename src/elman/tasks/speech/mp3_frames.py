"""The frames of an mp3 file: their number, the number announced, whether the last one is whole.

libsndfile trusts the first frame.  If it announces a number of frames (Xing or Info), libsndfile
reads no more than those, and loses the second part of two joined files.  If it announces none,
libsndfile guesses the length from the bit rate, and loses the end of a file whose bit rate varies.
This module counts all frames; ``header`` is a frame that announces their number.

Source: ISO 11172-3 and 13818-3 (headers of frames), the Xing VBR header of LAME.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path

# kilobits a second, by the index in the header: layers 2 and 3 of MPEG 1, and MPEG 2 and 2.5
_LAYER_3 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_LAYER_2 = (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384)
_LOW = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
#: how far the first frame, or the next one after bytes of another kind, may be
_SEARCHED = 2**16


@dataclass(frozen=True)
class Mp3Frames:
    """What is in an mp3 file; ``announced`` is None where the file does not say."""

    count: int
    announced: int | None
    #: whether the file ends within a frame
    cut: bool
    samples: int
    rate: int
    #: a frame that announces ``count`` frames, to be put before the first
    header: bytes
    start: int

    @property
    def seconds(self) -> float:
        """How long all frames last."""
        return self.count * self.samples / self.rate


def mp3_frames(path: Path) -> Mp3Frames | None:
    """The frames of a file; None where there are none of MPEG audio, layer 2 or 3."""
    with path.open("rb") as file:
        if path.stat().st_size < 4:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _frames(content)


def _frames(content: mmap.mmap) -> Mp3Frames | None:
    start = at = _next_frame(content, _after_tags(content), None)
    if at < 0:
        return None
    first = content[at : at + 4]
    count, announced = 0, _announced(content, at)
    if announced is not None:
        start = at = at + _size(first)
    while 0 <= at < len(content):
        size = _size(content[at : at + 4])
        if not size or not _alike(content[at : at + 4], first):
            if content[at : at + 3] in (b"TAG", b"ID3") or content[at : at + 5] == b"APETA":
                break
            at = _next_frame(content, at + 1, first)
            continue
        if at + size > len(content):
            return _made(count, announced, True, first, start)
        count += 1
        at += size
    return _made(count, announced, False, first, start)


def _made(
    count: int, announced: int | None, cut: bool, first: bytes, start: int
) -> Mp3Frames | None:
    if count == 0 and not cut:
        return None
    kind, layer = first[1] >> 3 & 3, first[1] >> 1 & 3
    samples = 576 if layer == 1 and kind != 3 else 1152
    return Mp3Frames(count, announced, cut, samples, _rate(first), _info(first, count), start)


def _after_tags(content: mmap.mmap) -> int:
    """Where the tags at the beginning (ID3v2) end."""
    at = 0
    while content[at : at + 3] == b"ID3" and len(content) >= at + 10:
        high, middle, low, lowest = [byte & 127 for byte in content[at + 6 : at + 10]]
        footer = 10 if content[at + 5] & 16 else 0
        at += 10 + (high << 21 | middle << 14 | low << 7 | lowest) + footer
    return at


def _next_frame(content: mmap.mmap, at: int, like: bytes | None) -> int:
    """Where two frames follow each other, or one ends the file; -1 if nowhere near."""
    end = at + _SEARCHED
    while (at := content.find(b"\xff", at, end)) >= 0:
        head = content[at : at + 4]
        size = _size(head)
        if size and (like is None or _alike(head, like)):
            after = content[at + size : at + size + 4]
            if at + size == len(content) or (_size(after) and _alike(after, head)):
                return at
        at += 1
    return -1


def _size(head: bytes) -> int:
    """How many bytes a frame has; 0 where these four bytes begin none."""
    if len(head) < 4 or head[0] != 255 or head[1] < 224:
        return 0
    kind, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    rate = head[2] >> 2 & 3
    index = head[2] >> 4
    if kind == 1 or layer not in (1, 2) or rate == 3 or index in (0, 15):
        return 0
    table = _LOW if kind != 3 else _LAYER_3 if layer == 1 else _LAYER_2
    bytes_of_a_bit_rate = 72 if layer == 1 and kind != 3 else 144
    return bytes_of_a_bit_rate * 1000 * table[index] // _rate(head) + (head[2] >> 1 & 1)


def _rate(head: bytes) -> int:
    return _RATES[head[1] >> 3 & 3][head[2] >> 2 & 3]


def _alike(head: bytes, other: bytes) -> bool:
    """Whether version, layer and rate are the same: two streams differ, one stream never does."""
    return head[1] & 0xFE == other[1] & 0xFE and head[2] & 0x0C == other[2] & 0x0C


def _side(head: bytes) -> int:
    """How many bytes stand between the header of a frame and what announces frames."""
    mono = head[3] >> 6 == 3
    if head[1] >> 3 & 3 == 3:
        return 17 if mono else 32
    return 9 if mono else 17


def _announced(content: mmap.mmap, at: int) -> int | None:
    head = content[at : at + 4]
    tag = at + 4 + _side(head)
    if content[tag : tag + 4] in (b"Xing", b"Info"):
        if content[tag + 7] & 1:
            return int.from_bytes(content[tag + 8 : tag + 12], "big")
        return 0
    if content[at + 36 : at + 40] == b"VBRI":
        return int.from_bytes(content[at + 50 : at + 54], "big")
    return None


def _info(first: bytes, count: int) -> bytes:
    """An empty frame that announces so many others; nothing where a layer has no such frame."""
    if first[1] >> 1 & 3 != 1:
        return b""
    # 0x80 is 112 kilobits a second, or 64: room enough
    head = bytes([255, first[1] | 1, 0x80 | first[2] & 0x0C, first[3]])
    body = bytes(_side(head)) + b"Xing" + (1).to_bytes(4, "big") + count.to_bytes(4, "big")
    return (head + body).ljust(_size(head), b"\0")
