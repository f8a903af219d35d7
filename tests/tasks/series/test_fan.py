"""The picture of a forecast can be read."""

from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from elman.tasks.series.answers import Forecast
from elman.tasks.series.fan import HEIGHT, WIDTH, draw_fan
from elman.tasks.series.times import DAY, Step


@pytest.mark.parametrize("first", ["2024-09-28", "2024-01-25", "2023-02-20"])
@pytest.mark.parametrize("days", [20, 37, 90])
def test_no_two_dates_of_the_axis_overlap_or_are_the_same(first, days):
    begun = datetime.fromisoformat(first).replace(tzinfo=UTC).timestamp()
    seen = np.arange(days, dtype=float)[:, None]
    forecast = Forecast(
        "art", ("value",), ("",) * 7, (0.1, 0.5, 0.9), np.ones((7, 1, 3)),
        begun + DAY * np.arange(days + 7), seen, Step("seconds", DAY),
    )  # fmt: skip
    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=130, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw_fan(axes, forecast, 0)
    canvas.draw()
    shown = [each for each in axes.get_xticklabels() if each.get_text()]
    boxes = sorted([each.get_window_extent().extents.tolist() for each in shown])
    assert len({each.get_text() for each in shown}) == len(shown) > 3
    assert all([left[2] < right[0] for left, right in pairwise(boxes)])
