"""Puts frames with transparent pixels, as in GIF and APNG, on an opaque background.

The stored colour of a transparent pixel is arbitrary and often that of the figure, which would
vanish without a background.  Decoders already combine each frame with the previous ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: mean level below which a figure is too dark for a black background
_DARK = 64


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
        alpha = pixels[..., 3:].astype(np.uint16)
        if alpha.size == 0 or alpha.min() == 255:
            return frame
        colours = pixels[..., :3].astype(np.uint16)
        if self.level is None and alpha.any():
            seen = float((colours * (alpha / 255)).sum() / (3 * (alpha / 255).sum()))
            self.level = 255 if seen < _DARK else 0
        mixed = (colours * alpha + (self.level or 0) * (255 - alpha) + 127) // 255
        return type(frame).from_ndarray(mixed.astype(np.uint8), format="rgb24")
