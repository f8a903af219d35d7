"""Training curves as a picture: losses on the left, the metric on the right.

The only input is the lines of ``history.jsonl``; ``matplotlib`` draws without a display.
"""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#2f6fb0", "#d9772b", "#8a8a8a"


def draw_curves(history: Sequence[Mapping[str, Any]], *, metric: str, title: str = "") -> bytes:
    """A PNG of training loss, validation loss and ``metric`` by epoch, with the best one marked.

    ``history`` has at least one line.  A validation loss is optional.
    """
    picture = io.BytesIO()
    curves_figure(history, metric=metric, title=title).savefig(picture, format="png")
    return picture.getvalue()


def curves_figure(
    history: Sequence[Mapping[str, Any]], *, metric: str, title: str = ""
) -> "Figure":
    """The same picture as a matplotlib figure, for other formats or further drawing."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    losses, scores = figure.subplots(1, 2)
    epochs = [line["epoch"] for line in history]
    best = [line for line in history if line["best"]][-1]

    _curve(losses, epochs, [line["train_loss"] for line in history], "training", BLUE)
    validation = [line["valid"].get("loss") for line in history]
    if any(value is not None for value in validation):
        _curve(losses, epochs, validation, "validation", ORANGE)
    losses.set_ylabel("mean loss per example")
    losses.set_title("Loss")
    losses.axvline(best["epoch"], color=GREY, linestyle=":", linewidth=1.2)

    _curve(scores, epochs, [line["valid"][metric] for line in history], "validation", ORANGE)
    score = best["valid"][metric]
    label = f"best: {score:.4g} in epoch {best['epoch']:.4g}"
    scores.axvline(best["epoch"], color=GREY, linestyle=":", linewidth=1.2)
    scores.plot(
        [best["epoch"]], [score], "o", markersize=9, color="white", zorder=3, label=label,
        markeredgecolor=ORANGE, markeredgewidth=2,
    )  # fmt: skip
    scores.set_ylabel(metric)
    scores.set_title(f"Validation {metric}")

    for axes in (losses, scores):
        _dress(axes, epochs)
    if title:
        figure.suptitle(title)
    return figure


def _curve(
    axes: "Axes", epochs: list[float], values: Sequence[float | None], label: str, color: str
) -> None:
    numbers = [float("nan") if value is None else value for value in values]
    dots = "o" if len(epochs) <= 40 else None
    axes.plot(epochs, numbers, color=color, linewidth=1.8, marker=dots, markersize=3.5, label=label)


def _dress(axes: "Axes", epochs: list[float]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlim(min(0.5, *epochs), max(epochs) + 0.5)
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(framealpha=0.9, edgecolor="none")
