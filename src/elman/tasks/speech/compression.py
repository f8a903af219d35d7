"""Compresses what a run folder keeps of a language, and says what is wrong with damaged bytes."""

from __future__ import annotations

import lzma


def deflated(data: bytes) -> bytes:
    """The data, compressed."""
    return lzma.compress(data, preset=9)


def inflated(data: bytes, what: str, largest: int) -> bytes:
    """The data that was compressed; ``ValueError`` names ``what`` if it is damaged or larger.

    >>> inflated(deflated(b"abc"), "a dictionary", 10)
    b'abc'
    """
    inflater = lzma.LZMADecompressor()
    try:
        raw = inflater.decompress(data, largest)
    except lzma.LZMAError as error:
        raise ValueError(f"{what} that cannot be decompressed") from error
    if not inflater.eof:
        raise ValueError(f"{what} that is cut off or too large")
    return raw
