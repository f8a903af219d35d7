"""Plots a recording: log-mel energies over time, with the words at their times."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Protocol

from elman.tasks.speech.features import STEP, Frames


class Timed(Protocol):
    """A word with its start and end in seconds."""

    @property
    def text(self) -> str: ...
    @property
    def start(self) -> float: ...
    @property
    def end(self) -> float: ...


def draw_spectrogram(frames: Frames, words: Sequence[Timed], title: str) -> bytes:
    """Returns a PNG of the frames, with the words above at their times."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    seconds = len(frames) * STEP
    figure = Figure(figsize=(max(5.0, min(16.0, 2 + 3 * seconds)), 3.2), dpi=120)
    figure.set_layout_engine("constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.imshow(
        frames.T.astype("float32"), origin="lower", aspect="auto", cmap="magma",
        extent=(0, seconds, 0, frames.shape[1]), interpolation="nearest",
    )  # fmt: skip
    top = frames.shape[1]
    for k, word in enumerate(words):
        height = top * (
            1.06 if k % 2 == 0 else 1.16
        )  # in two rows, because short words are close together
        axes.text((word.start + word.end) / 2, height, word.text, ha="center", va="center")
        axes.axvline(word.start, color="white", linewidth=0.8, alpha=0.7)
        axes.axvline(word.end, color="white", linewidth=0.8, alpha=0.7, linestyle=":")
    axes.set_xlim(0, max(seconds, STEP))
    axes.set_xlabel("seconds")
    axes.set_ylabel("band (low to high)")
    axes.set_title(title, fontsize=9, color="#555555", pad=34 if words else 6)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()
