"""Plots the frames of videos and, below, the label probabilities over time."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from elman.errors import OptionError
from elman.files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: maximum number of videos per picture, of frames per video, and of named labels
MAX_VIDEOS, FRAMES_SHOWN, NAMED = 12, 10, 4
#: inches: width of a row; heights of frames with labels, curves, title and axis
WIDTH, FRAMES, CURVES, TITLE, AXIS = 10.0, 1.15, 1.25, 0.4, 0.45
LEFT, RIGHT = 0.6, 1.4
COLOURS = ("#3949ab", "#e8710a", "#2e9e5b", "#b0307a")


@dataclass(frozen=True)
class Strip:
    """The frames of a video, and the label probabilities after each frame."""

    title: str
    frames: UInt8[Tensor, "time channel size size"]
    rate: float
    labels: tuple[str, ...]
    after: Float[Tensor, "time class"]


def draw_strips(strips: Sequence[Strip], path: Path) -> None:
    """Writes the picture; ``OptionError`` if there are more than ``MAX_VIDEOS`` videos."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if len(strips) > MAX_VIDEOS:
        raise OptionError(
            f"--png: {len(strips)} videos are too many for one picture; the limit is {MAX_VIDEOS}."
        )
    row = FRAMES + CURVES + TITLE + AXIS
    figure = Figure(figsize=(WIDTH, row * len(strips)), dpi=130)
    FigureCanvasAgg(figure)
    for k, strip in enumerate(strips):
        _draw(figure, strip, bottom=row * (len(strips) - 1 - k))
    written = io.BytesIO()
    figure.savefig(written, format="png", metadata={"Software": None})
    write_whole(path, written.getvalue())


def _draw(figure: Figure, strip: Strip, bottom: float) -> None:
    """Draws one video: its title, its frames with labels, and the probability curves."""
    wide, high = figure.get_size_inches()

    def axes(left: float, low: float, width: float, height: float) -> Axes:
        place = (left / wide, (bottom + low) / high, width / wide, height / high)
        return figure.add_axes(place)

    width, count = wide - LEFT - RIGHT, len(strip.frames)
    shown = min(count, FRAMES_SHOWN)
    each = width / FRAMES_SHOWN
    frames_low = AXIS + CURVES + 0.05
    for k in range(shown):
        # divide the time into equal parts: show the middle frame and the label at the end
        middle, last = (2 * k + 1) * count // (2 * shown), (k + 1) * count // shown - 1
        best = int(strip.after[last].argmax())
        picture = axes(
            LEFT + k * width / shown + (width / shown - each) / 2, frames_low, each, each
        )
        frame = strip.frames[middle].permute(1, 2, 0).numpy()
        picture.imshow(frame if frame.shape[-1] == 3 else frame[..., 0], "gray", vmin=0, vmax=255)
        picture.set_axis_off()
        said = f"{_short(strip.labels[best])}\n{strip.after[last, best]:.0%}"
        picture.set_title(said, fontsize=7, pad=3, color="#333333")
    seconds = count / strip.rate
    curves = axes(LEFT, AXIS, width, CURVES)
    order = strip.after[-1].argsort(descending=True).tolist()
    times = np.arange(1, count + 1) / strip.rate
    for rank, label in reversed(list(enumerate(order))):
        named = rank < NAMED
        colour = COLOURS[rank] if named else "#cccccc"
        curves.plot(
            times, strip.after[:, label].numpy(), color=colour, linewidth=2 if rank == 0 else 1.2,
            marker="o" if count == 1 else None,
        )  # fmt: skip
    named_labels = order[:NAMED]
    above = 2.0
    for rank, label in enumerate(named_labels):
        end = float(strip.after[-1, label])
        # keep names apart
        above = min(max(end, 0.14 * (len(named_labels) - 1 - rank)), above - 0.14)
        curves.annotate(
            f"{strip.labels[label]} {end:.0%}", (1, above), (6, 0), ("axes fraction", "data"),
            textcoords="offset points", va="center", fontsize=8, color=COLOURS[rank],
            fontweight="bold" if rank == 0 else "normal", annotation_clip=False,
        )  # fmt: skip
    curves.set(xlim=(0, seconds), ylim=(-0.03, 1.03), yticks=(0, 0.5, 1))
    curves.set_yticklabels(["0 %", "50 %", "100 %"])
    curves.tick_params(labelsize=7, length=2)
    curves.set_xlabel("seconds", fontsize=7, labelpad=1)
    curves.spines[["top", "right"]].set_visible(False)
    figure.text(
        LEFT / wide, (bottom + frames_low + FRAMES + 0.13) / high, strip.title, fontsize=10,
        fontweight="bold", va="bottom",
    )  # fmt: skip


def _short(label: str) -> str:
    """Shortens a label to fit above a frame.

    >>> _short("directing_traffic"), _short("running")
    ('directing tra…', 'running')
    """
    label = label.replace("_", " ")
    return label if len(label) <= 14 else label[:13] + "…"
