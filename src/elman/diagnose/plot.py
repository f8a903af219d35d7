"""A plot of a comparison, readable in black and white: every line has its own markers."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from elman.diagnose.diagnosis import TENTH, Diagnosis
from elman.diagnose.words import all_sentences

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: dark to light, so that they also differ in greyscale
COLOURS = ("#1b1b1b", "#2f6fb0", "#b5402a", "#4b9b62", "#d9952b", "#9a7fc0", "#7fb4c9", "#a8a8a8")
DASHES = ("-", "--", "-.", ":", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)))
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
#: values below this are not drawn
FLOOR = 1e-16


def draw(found: Mapping[str, Diagnosis]) -> bytes:
    """A PNG: gradients by distance, singular values, spectral radii, gates; sentences below."""
    picture = io.BytesIO()
    figure_of(found).savefig(picture, format="png", dpi=110)
    return picture.getvalue()


def figure_of(found: Mapping[str, Diagnosis]) -> Figure:
    """The plot as a matplotlib figure, for other formats and changes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    words = "\n".join([line for said in all_sentences(found) for line in textwrap.wrap(said, 150)])
    gates = sum([len(each.gates) for each in found.values()])
    below = max(3.6, 0.24 * gates + 1.0)
    text = 0.165 * (words.count("\n") + 2)
    height = 4.2 + below + text
    figure = Figure(figsize=(12, height))
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        2, 2, height_ratios=[4.2, below], hspace=0.32, wspace=0.26,
        left=0.07, right=0.985, top=1 - 0.35 / height, bottom=(text + 0.55) / height,
    )  # fmt: skip
    axes = [figure.add_subplot(grid[row, column]) for row in range(2) for column in range(2)]
    _gradients(axes[0], found)
    _singular_values(axes[1], found)
    _spectral_radius(axes[2], found)
    _gates(axes[3], found)
    figure.text(0.02, 0.1 / height, words, fontsize=8.5, va="bottom", linespacing=1.35)
    return figure


def _gradients(axes: Axes, found: Mapping[str, Diagnosis]) -> None:
    for k, each in enumerate(found.values()):
        for s, state in enumerate(each.gradient):
            label = each.name if len(each.gradient) == 1 else f"{each.name}: {state}"
            _line(axes, k, s, np.arange(each.distance + 1), each.median(state), label)
    axes.axhline(TENTH, color="0.6", linewidth=0.9, linestyle=":")
    axes.annotate("a tenth", (1, TENTH), xycoords=("axes fraction", "data"), fontsize=8,
                  color="0.4", ha="right", va="bottom")  # fmt: skip
    _dress(axes, "length of ∂L⟨t⟩/∂state⟨t-k⟩", "steps back in time, k", "Gradient")


def _singular_values(axes: Axes, found: Mapping[str, Diagnosis]) -> None:
    for k, each in enumerate(found.values()):
        if each.jacobians is not None:
            for s, name in enumerate(("largest", "smallest")):
                values = np.nanmedian(getattr(each.jacobians, name), 1)
                label = f"{each.name}: {name}"
                _line(axes, k, s, each.jacobians.distances, values, label)
    title = "Product of the Jacobians of k steps"
    _dress(axes, "singular value", "steps back in time, k", title)


def _spectral_radius(axes: Axes, found: Mapping[str, Diagnosis]) -> None:
    for k, each in enumerate(found.values()):
        if each.jacobians is not None:
            values = each.jacobians.spectral_radius[:, 0]
            _line(axes, k, 0, each.jacobians.steps, values, each.name, log=False)
    axes.axhline(1, color="0.6", linewidth=0.9, linestyle=":")
    _dress(axes, "largest |eigenvalue|", "step of the sequence", "Spectral radius of one step")


def _gates(axes: Axes, found: Mapping[str, Diagnosis]) -> None:
    rows = [(each.name, gate) for each in found.values() for gate in each.gates]
    for y, (_, gate) in enumerate(rows):
        low, high = 100 * gate.low.mean(), 100 * gate.high.mean()
        axes.barh(y, low, color="0.25", edgecolor="black", linewidth=0.5)
        axes.barh(y, 100 - low - high, left=low, color="white", edgecolor="black", linewidth=0.5)
        axes.barh(y, high, left=100 - high, color="0.75", edgecolor="black", linewidth=0.5,
                  hatch="////")  # fmt: skip
    axes.set_yticks(range(len(rows)), [f"{name}: {gate.name}" for name, gate in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of steps: at the low end (dark), between, at the high end (hatched)")
    axes.set_title("Gates")


def _line(
    axes: Axes,
    layer: int,
    state: int,
    x: np.ndarray,
    y: np.ndarray,
    label: str,
    *,
    log: bool = True,
) -> None:
    shown = np.where(y > FLOOR, y, np.nan) if log else y
    axes.plot(
        x, shown, label=label, color=COLOURS[layer % len(COLOURS)], linewidth=1.5,
        linestyle=DASHES[(layer + state) % len(DASHES)], marker=MARKS[layer % len(MARKS)],
        markersize=5, markevery=(layer + state, max(1, len(x) // 9)),
        markerfacecolor="white" if state else COLOURS[layer % len(COLOURS)],
    )  # fmt: skip
    if log:
        axes.set_yscale("log")


def _dress(axes: Axes, y: str, x: str, title: str) -> None:
    axes.set_ylabel(y)
    axes.set_xlabel(x)
    axes.set_title(title)
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, framealpha=0.85, edgecolor="none")
