"""Answers: the quantiles of the next steps of series, their labels, or their anomalies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.markup import escape

from elman.tasks.series.times import Floats, Step


@dataclass(frozen=True, eq=False)
class Forecast:
    """The quantiles of the next steps of one series.

    ``quantiles`` is (step, target, level).  ``times`` and ``values`` are what comes before, and the
    times go on to the end of the forecast, for a picture.
    """

    name: str
    targets: tuple[str, ...]
    dates: tuple[str, ...]
    levels: tuple[float, ...]
    quantiles: Floats
    times: Floats
    values: Floats
    step: Step

    @property
    def median(self) -> Floats:
        """(step, target): the forecast values."""
        median: Floats = self.quantiles[:, :, self.levels.index(0.5)]
        return median

    def record(self) -> dict[str, Any]:
        """The forecast as a JSON object."""
        return {
            "series": self.name,
            "times": [*self.dates],
            "forecast": {
                target: [_rounded(value) for value in self.median[:, k]]
                for k, target in enumerate(self.targets)
            },
            "quantiles": {
                target: {
                    f"{level:g}": [_rounded(value) for value in self.quantiles[:, k, at]]
                    for at, level in enumerate(self.levels)
                }
                for k, target in enumerate(self.targets)
            },
        }

    def line(self) -> str:
        """The next step in one line."""
        parts = []
        for k, target in enumerate(self.targets):
            named = f"{escape(target)} " if len(self.targets) > 1 else ""
            low, high = self.quantiles[0, k, 0], self.quantiles[0, k, -1]
            parts.append(f"{named}[bold cyan]{self.median[0, k]:.6g}[/] ({low:.6g} to {high:.6g})")
        return f"{self.dates[0]}   {'   '.join(parts)}"


@dataclass(frozen=True)
class Continuation:
    """The forecasts of all series of a file."""

    file: str
    forecasts: tuple[Forecast, ...]


def _rounded(value: float) -> float | None:
    return float(f"{value:.7g}") if np.isfinite(value) else None


@dataclass(frozen=True)
class Span:
    """Steps ``first`` to ``last`` of a series, which share a label or are an anomaly."""

    label: str
    first: int
    last: int
    start: str
    end: str
    #: the highest score of an anomaly
    score: float = 0.0

    def record(self) -> dict[str, Any]:
        """The span as a JSON object."""
        found = {"label": self.label, "start": self.start, "end": self.end}
        found |= {"first": self.first, "last": self.last}  # type: ignore[dict-item]
        return {**found, "score": _rounded(self.score)} if self.score else found


@dataclass(frozen=True, eq=False)
class Verdict:
    """The answer for a series that is read as a whole: a class, a number, or spans of steps."""

    name: str
    label: str | None = None
    value: float | None = None
    probability: float = 0.0
    probabilities: dict[str, float] = field(default_factory=dict)
    spans: tuple[Span, ...] | None = None
    scores: Floats | None = None
    threshold: float = 0.0

    def record(self) -> dict[str, Any]:
        """The answer as a JSON object."""
        found: dict[str, Any] = {"series": self.name}
        if self.label is not None:
            found["label"] = self.label
            found["probability"] = round(self.probability, 6)
            found["probabilities"] = {k: round(p, 6) for k, p in self.probabilities.items()}
        if self.value is not None:
            found["value"] = _rounded(self.value)
        if self.spans is not None:
            found["spans"] = [span.record() for span in self.spans]
        if self.scores is not None:
            found["threshold"] = _rounded(self.threshold)
            found["scores"] = [_rounded(each) for each in self.scores]
        return found

    def line(self) -> str:
        """The answer in one line, or one for each span."""
        if self.label is not None:
            return f"[bold cyan]{escape(self.label)}[/] {self.probability:4.0%}"
        if self.value is not None:
            return f"[bold cyan]{self.value:.6g}[/]"
        parts = [
            f"{span.start} to {span.end}   [cyan]{escape(span.label)}[/]"
            + (f"   score {span.score:.3g}, threshold {self.threshold:.3g}" if span.score else "")
            for span in self.spans or ()
        ]
        return "\n".join(parts) or "no anomaly"


@dataclass(frozen=True)
class Labelled:
    """The answers for all series of a file."""

    file: str
    verdicts: tuple[Verdict, ...]


#: what ``predict`` gives for a file
Answer = Continuation | Labelled
