"""Frames with transparent pixels, as of GIF and APNG, laid on a ground.

What a file keeps beneath a transparent pixel is any colour, often that of the figure: without a
ground the figure vanishes.  The decoders lay each frame over the ones before; the ground is what
remains to be seen through all of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: a figure darker than this would not be seen on black
_DARK = 64


class Ground:
    """Black as the bars of a letterbox, or white where the figure itself is dark.

    The first frame in which anything is seen decides for the video.
    """

    def __init__(self) -> None:
        self.level: int | None = None

    def under(self, frame: Any) -> Any:
        """The same frame if it is opaque, else one without transparency."""
        parts = frame.format.components
        if not (frame.format.has_palette or any([part.is_alpha for part in parts])):
            return frame
        pixels = frame.to_ndarray(format="rgba")
        alpha = pixels[..., 3:].astype(np.uint16)
        if alpha.size == 0 or alpha.min() == 255:
            return frame
        colours = pixels[..., :3].astype(np.uint16)
        if self.level is None and alpha.any():
            seen = float((colours * (alpha / 255)).sum() / (3 * (alpha / 255).sum()))
            self.level = 255 if seen < _DARK else 0
        mixed = (colours * alpha + (self.level or 0) * (255 - alpha) + 127) // 255
        return type(frame).from_ndarray(mixed.astype(np.uint8), format="rgb24")
