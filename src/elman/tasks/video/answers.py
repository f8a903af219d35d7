"""Activities: their fields, and how they are shown and saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape

from elman.tasks.video.options import StripOptions
from elman.tasks.video.strip import Strip, draw_strips


@dataclass(frozen=True)
class Activity:
    """The predicted label of a video and all probabilities; ``strip`` if a plot is requested.

    ``over_time`` has the probabilities after each frame, if they are requested.  ``label`` is None
    if the probability of the most likely one is below ``abstain``.
    """

    file: str
    label: str | None
    probability: float
    probabilities: dict[str, float]
    seconds: float
    strip: Strip | None = None
    over_time: Strip | None = None


def save(predictions: Sequence[Activity], wanted: StripOptions) -> list[Path]:
    """Writes a PNG with a strip of frames for each video, if requested."""
    if not wanted.png:
        return []
    path = Path(wanted.png)
    draw_strips([each.strip for each in predictions if each.strip is not None], path)
    return [path]


def show(prediction: Activity) -> str:
    """The label, its probability, and the file."""
    shown = show_label(prediction.label, prediction.probability)
    if prediction.label is None:
        likely = max(prediction.probabilities, key=lambda name: prediction.probabilities[name])
        shown = f"[dim]not sure ({escape(likely)})[/] {prediction.probability:4.0%}"
    return f"{shown}   {escape(prediction.file)}"


def show_label(label: str | None, probability: float) -> str:
    """A label with its probability, in colour."""
    return f"[bold cyan]{escape(label or '')}[/] {probability:4.0%}"


def record(prediction: Activity) -> dict[str, Any]:
    """The activity as a JSON object."""
    found: dict[str, Any] = {
        "file": prediction.file,
        "label": prediction.label,
        "probability": round(prediction.probability, 6),
        "probabilities": {k: round(p, 6) for k, p in prediction.probabilities.items()},
        "seconds": round(prediction.seconds, 3),
    }
    strip = prediction.over_time
    if strip is not None:
        found["frames"] = [
            {
                "seconds": round(k / strip.rate, 3),
                "probabilities": {
                    label: round(float(p), 6) for label, p in zip(strip.labels, row, strict=True)
                },
            }
            for k, row in enumerate(strip.after)
        ]
    return found
