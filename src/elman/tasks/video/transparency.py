"""Puts frames with transparent pixels, as in GIF and APNG, on an opaque background.

The stored colour of a transparent pixel is arbitrary and often that of the figure, which would
vanish without a background.  Decoders already combine each frame with the previous ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: mean level below which a figure is too dark for a black background
_DARK = 64
#: numbers of a frame that are worked on at once
_BAND = 2**20


class Background:
    """The background: black like the letterbox, or white if the figure is dark.

    The first frame that is not fully transparent decides for the whole video.
    """

    def __init__(self) -> None:
        self.level: int | None = None

    def apply(self, frame: Any) -> Any:
        """Returns an opaque frame unchanged, and others on the background."""
        parts = frame.format.components
        if not (frame.format.has_palette or any([part.is_alpha for part in parts])):
            return frame
        pixels = frame.to_ndarray(format="rgba")
        if pixels.size == 0 or pixels[..., 3].min() == 255:
            return frame
        # numbers of 16 bits take many times the memory of a frame, so they are made of a part of it
        bands = np.array_split(pixels, 1 + pixels.size // _BAND)
        if self.level is None and pixels[..., 3].any():
            seen = sum([int(_weighted(band).sum(dtype=np.int64)) for band in bands])
            weight = 3 * int(pixels[..., 3].sum(dtype=np.int64))
            self.level = 255 if seen < _DARK * weight else 0
        mixed = np.empty((*pixels.shape[:2], 3), np.uint8)
        for band, out in zip(bands, np.array_split(mixed, len(bands)), strict=True):
            beneath = (self.level or 0) * (255 - band[..., 3:].astype(np.uint16))
            out[:] = (_weighted(band) + beneath + 127) // 255
        return type(frame).from_ndarray(mixed, format="rgb24")


def _weighted(pixels: np.ndarray) -> np.ndarray:
    """The colours times alpha, up to 255 * 255."""
    found: np.ndarray = pixels[..., :3].astype(np.uint16) * pixels[..., 3:]
    return found
