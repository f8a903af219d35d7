"""Raw audio as it comes from a microphone or a telephone line: samples without a header.

``linear``: 16 bits, little-endian; ``float``: 32-bit floating point, little-endian; ``mulaw`` and
``alaw``: 8 bits, logarithmic (ITU-T G.711).  One channel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import BinaryIO

import numpy as np

from elman.tasks.speech.audio import Samples
from elman.tasks.speech.options import Encoding

#: bytes per sample
WIDTH: dict[Encoding, int] = {"linear": 2, "float": 4, "mulaw": 1, "alaw": 1}


def decode(raw: bytes, encoding: Encoding = "linear") -> Samples:
    """The samples of raw audio, from -1 to 1; samples that are not numbers become 0.

    >>> [round(float(each), 2) for each in decode(bytes([0x80, 0xFF, 0x00]), "mulaw")]
    [0.98, 0.0, -0.98]
    """
    if encoding == "linear":
        return np.frombuffer(raw, "<i2").astype(np.float32) / np.float32(32768)
    if encoding == "float":
        numbers: Samples = np.nan_to_num(np.frombuffer(raw, "<f4"), posinf=0.0, neginf=0.0)
        return numbers.clip(-1, 1)
    table = _mulaw() if encoding == "mulaw" else _alaw()
    return table[np.frombuffer(raw, np.uint8)]


def raw_pieces(
    source: BinaryIO, encoding: Encoding = "linear", at_once: int = 3200
) -> Iterator[Samples]:
    """Yields samples as they arrive, until the end; ignores an incomplete last sample."""
    read = getattr(source, "read1", source.read)  # read1 returns available bytes, without waiting
    return whole_samples(iter(lambda: read(at_once), b""), encoding)


def whole_samples(pieces: Iterable[bytes], encoding: Encoding = "linear") -> Iterator[Samples]:
    """Yields the samples of raw audio that was cut anywhere, even within a sample.

    >>> [each.tolist() for each in whole_samples([bytes([0, 64, 0]), bytes([192])])]
    [[0.5], [-0.5]]
    """
    width, left = WIDTH[encoding], b""
    for piece in pieces:
        left += piece
        whole = len(left) - len(left) % width
        if whole:
            yield decode(left[:whole], encoding)
        left = left[whole:]


@cache
def _mulaw() -> Samples:
    code = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (code >> 4) & 7, (code & 15).astype(np.int32)
    size = (((mantissa << 3) + 132) << exponent) - 132
    return (np.where(code & 128, -size, size) / 32768).astype(np.float32)


@cache
def _alaw() -> Samples:
    code = np.arange(256, dtype=np.uint8) ^ np.uint8(0x55)
    exponent, mantissa = ((code >> 4) & 7).astype(np.int32), (code & 15).astype(np.int32)
    size = np.where(
        exponent == 0, (mantissa << 4) + 8, ((mantissa << 4) + 264) << (exponent - 1).clip(0)
    )
    return (np.where(code & 128, size, -size) / 32768).astype(np.float32)
