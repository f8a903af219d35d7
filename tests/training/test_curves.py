"""The curves show what the history holds."""

from typing import Any

import numpy
import pytest

from elman.training.curves import curves_figure, draw_curves


def history(*scores: float, loss: bool = True) -> list[dict[str, Any]]:
    best = -1.0
    lines = []
    for epoch, score in enumerate(scores, 1):
        valid = {"f1": score, **({"loss": 2.0 / epoch} if loss else {})}
        lines.append(
            {"epoch": epoch, "train_loss": 1.0 / epoch, "valid": valid, "best": score > best}
        )
        best = max(best, score)
    return lines


def curves(figure: Any, panel: int) -> dict[str, list[float]]:
    return {
        str(line.get_label()): numpy.asarray(line.get_ydata(), float).tolist()
        for line in figure.axes[panel].lines
        if not str(line.get_label()).startswith("_")
    }


def test_losses_and_metric_are_drawn_with_the_best_epoch_marked() -> None:
    figure = curves_figure(history(0.5, 0.7, 0.6), metric="f1", title="ner")
    assert curves(figure, 0) == {
        "training": pytest.approx([1, 1 / 2, 1 / 3]),
        "validation": pytest.approx([2, 1, 2 / 3]),
    }
    assert curves(figure, 1) == {
        "validation": [0.5, 0.7, 0.6],
        "best: 0.7 in epoch 2": [0.7],
    }
    losses, scores = figure.axes
    assert (losses.get_xlabel(), losses.get_ylabel()) == ("epoch", "mean loss per example")
    assert (scores.get_xlabel(), scores.get_ylabel()) == ("epoch", "f1")
    assert figure.get_suptitle() == "ner"


def test_a_missing_validation_loss_leaves_its_curve_out() -> None:
    assert list(curves(curves_figure(history(0.5, loss=False), metric="f1"), 0)) == ["training"]


@pytest.mark.parametrize("lines", [1, 3, 60])
def test_the_picture_is_a_png(lines: int) -> None:
    picture = draw_curves(history(*[n / 100 for n in range(lines)]), metric="f1")
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(picture) > 10_000
