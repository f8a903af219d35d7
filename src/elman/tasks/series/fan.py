"""Draws series and the fan of quantiles that continues them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elman.errors import OptionError
from elman.files import write_whole
from elman.tasks.series.answers import Forecast
from elman.tasks.series.times import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: most fans of one picture
MAX_FANS = 12
#: inches
WIDTH, HEIGHT = 9.0, 2.6
COLOUR = "#3949ab"
_DATES = -6.2e10, 2.5e11  # the seconds that Python's dates can say


def draw_fans(forecasts: Sequence[Forecast], path: Path) -> None:
    """Writes the picture; ``OptionError`` if there are more than ``MAX_FANS`` series."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    fans = [(each, k) for each in forecasts for k in range(len(each.targets))]
    if len(fans) > MAX_FANS:
        raise OptionError(
            f"--png: {len(fans)} series are too many for one picture; the limit is {MAX_FANS}. "
            "Give a file with fewer."
        )
    figure = Figure(figsize=(WIDTH, HEIGHT * len(fans)), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    for k, (forecast, target) in enumerate(fans):
        draw_fan(figure.add_subplot(len(fans), 1, k + 1), forecast, target)
    written = io.BytesIO()
    figure.savefig(written, format="png", metadata={"Software": None})
    write_whole(path, written.getvalue())


def draw_fan(axes: Axes, forecast: Forecast, target: int) -> None:
    """Draws what was seen of a target and the fan of its forecast."""
    from matplotlib.dates import AutoDateFormatter, AutoDateLocator

    times = _axis(forecast)
    if isinstance(times, list):
        # multiples of days begin anew with each month, so that two dates can overlap there
        locator = AutoDateLocator(interval_multiples=False)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(AutoDateFormatter(locator))  # type: ignore[no-untyped-call]
    seen = len(forecast.values)
    axes.plot(times[:seen], forecast.values[:, target], color="black", linewidth=1)
    ahead, found = times[seen:], forecast.quantiles[:, target]
    count = len(forecast.levels)
    for k in range(count // 2):
        axes.fill_between(
            ahead, found[:, k], found[:, count - 1 - k], color=COLOUR, alpha=0.6 / (count // 2),
            linewidth=0,
        )  # fmt: skip
    mark = "." if len(ahead) == 1 else None
    axes.plot(ahead, forecast.median[:, target], color=COLOUR, linewidth=1.5, marker=mark)
    name = " ".join([part for part in (forecast.name, forecast.targets[target]) if part])
    low, high = forecast.levels[0], forecast.levels[-1]
    axes.set_title(
        f"{name}: median, and quantiles from {low:g} to {high:g}", fontsize=9, loc="left"
    )
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.2)


def _axis(forecast: Forecast) -> Any:
    times: Floats = forecast.times
    if forecast.step.unit == "number" or not ((times > _DATES[0]) & (times < _DATES[1])).all():
        return times
    return [datetime.fromtimestamp(time, UTC).replace(tzinfo=None) for time in times]
