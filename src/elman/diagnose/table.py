"""A comparison as tables for the terminal."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping

import numpy as np
from rich.console import Console
from rich.table import Table

from elman.diagnose.diagnosis import Diagnosis
from elman.diagnose.words import all_sentences


def tables(found: Mapping[str, Diagnosis]) -> list[Table]:
    """A table of gradients with a row per state, and a table of gates."""
    return [_gradients(found), _gates(found)]


def as_text(found: Mapping[str, Diagnosis]) -> str:
    """The tables and the sentences as plain text."""
    page = io.StringIO()
    console = Console(file=page, width=120, no_color=True, highlight=False)
    for table in tables(found):
        console.print(table)
    for sentence in all_sentences(found):
        console.print(sentence, soft_wrap=True, markup=False)
    return page.getvalue().rstrip("\n")


def _gradients(found: Mapping[str, Diagnosis]) -> Table:
    table = Table(
        box=None,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        title="gradient, steps back in time",
        title_justify="left",
    )
    table.add_column("layer", no_wrap=True)
    table.add_column("state")
    for name in ("halves", "tenth", "at 10", "at end", "σ max", "σ min", "radius", "dead",
                 "frozen"):  # fmt: skip
        table.add_column(name, justify="right")
    for each in found.values():
        for state in each.gradient:
            first = state == each.cell.states[0]
            units = each.units[state]
            table.add_row(
                each.name if first else "",
                state,
                *[_half_life(each) if first else "", _horizon(each, state)],
                *[_at(each, state, k) for k in (min(10, each.distance), each.distance)],
                *(_spectrum(each) if first else ["", "", ""]),
                *[str(len(units.dead)), str(len(units.frozen))],
            )
    return table


def _half_life(found: Diagnosis) -> str:
    life = found.half_life
    if not math.isfinite(life) or abs(life) > 1000:
        return "never"
    return f"{life:.1f}" if life >= 0 else f"(doubles) {-life:.1f}"


def _horizon(found: Diagnosis, state: str) -> str:
    steps = found.horizon(state)
    return f"≥ {steps}" if steps >= found.distance else str(steps)


def _at(found: Diagnosis, state: str, distance: int) -> str:
    return _short(found.median(state)[distance])


def _short(value: float) -> str:
    """A short form with one or two significant digits.

    >>> _short(0.1234), _short(1.7e-7), _short(2e30)
    ('0.12', '2e-7', '2e30')
    """
    if value == 0 or 0.01 <= value < 1000:
        return f"{value:.2f}"
    digits, _, power = f"{value:.0e}".partition("e")
    return f"{digits}e{int(power)}" if power else digits


def _spectrum(found: Diagnosis) -> list[str]:
    if found.jacobians is None:
        return ["", "", ""]
    one, k = found.jacobians, int(np.abs(found.jacobians.distances - 10).argmin())
    ends = [float(np.nanmedian(values[k])) for values in (one.largest, one.smallest)]
    return [*[_short(value) for value in ends], f"{np.nanmedian(one.spectral_radius):.2f}"]


def _gates(found: Mapping[str, Diagnosis]) -> Table:
    table = Table(
        box=None,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        title="gates, % of steps near either end",
        title_justify="left",
    )
    table.add_column("layer", no_wrap=True)
    table.add_column("gate")
    for name in ("mean", "low", "high", "units low", "units high"):
        table.add_column(name, justify="right")
    for each in found.values():
        for k, gate in enumerate(each.gates):
            table.add_row(
                each.name if k == 0 else "",
                gate.name,
                f"{gate.mean.mean():.2f}",
                *[f"{share.mean():.0%}" for share in (gate.low, gate.high)],
                # units that are at this end at more than half of the steps
                *[str(int((share > 0.5).sum())) for share in (gate.low, gate.high)],
            )
    return table
