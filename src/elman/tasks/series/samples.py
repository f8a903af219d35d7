"""Sample data for series: the daily visitors of two museums, with weeks, a year and a trend."""

from __future__ import annotations

import math
import random
from datetime import date, timedelta

_FIRST = date(2024, 1, 1)
#: days of the training file; the validation file goes on for as many more
_TRAIN, _VALID = 200, 100
#: visitors on each weekday, as a part of the mean; closed on Mondays
_WEEK = {
    "art": (0.0, 0.7, 0.8, 0.9, 1.0, 1.7, 1.9),
    "science": (0.0, 1.1, 1.1, 1.0, 1.0, 1.3, 1.5),
}
_MEAN = {"art": 420, "science": 260}


def visitors(first: int, count: int) -> str:
    """A CSV with a row for each day and museum, from the ``first`` day on."""
    draw = random.Random(0)
    lines = ["time,group,value"]
    for museum, week in _WEEK.items():
        for day in range(_TRAIN + _VALID):
            noise = draw.gauss(1, 0.06)
            missing = draw.random() < 0.02
            if not first <= day < first + count:
                continue
            when = _FIRST + timedelta(days=day)
            year = 1 + 0.25 * math.sin(2 * math.pi * (day - 80) / 366)
            value = _MEAN[museum] * week[when.weekday()] * year * (1 + day / 1500) * noise
            lines.append(f"{when},{museum},{'' if missing else round(value)}")
    return "\n".join(lines) + "\n"


TRAIN = visitors(0, _TRAIN)
#: the last part of the training data is the past of the first forecasts
VALID = visitors(_TRAIN - 64, _VALID + 64)
