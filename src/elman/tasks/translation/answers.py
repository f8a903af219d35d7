"""Translations: their fields, and how they are shown and saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape
from torch import Tensor

from elman.tasks.translation.attention_map import attention_png, attention_text
from elman.tasks.translation.options import SearchOptions


@dataclass(frozen=True)
class Attention:
    """Attention weights (target piece, source piece) of a translation."""

    source: tuple[str, ...]
    target: tuple[str, ...]
    weights: Tensor


@dataclass(frozen=True)
class Translated:
    """The best translation, and the n best with their scores, best first.

    ``confidence`` is the probability that the translation is close to a reference, if the model was
    calibrated.
    """

    text: str
    translation: str
    n_best: tuple[tuple[str, float], ...]
    attention: Attention | None = None
    note: str = ""
    confidence: float | None = None


def save(predictions: Sequence[Translated], wanted: SearchOptions) -> list[Path]:
    """Writes the attention of each translation as PNG, numbered from the second on."""
    if not wanted.png:
        return []
    path = Path(wanted.png)
    paths = []
    for number, each in enumerate(predictions, 1):
        if each.attention is not None:
            place = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
            attention = each.attention
            attention_png(place, attention.source, attention.target, attention.weights)
            paths.append(place)
    return paths


def show(prediction: Translated) -> str:
    """The translation; on request, also the n best with their scores, and the attention."""
    lines = [f"[bold green]{escape(prediction.translation)}[/]"]
    if len(prediction.n_best) > 1:
        lines = [f"{score:8.3f}  {escape(text)}" for text, score in prediction.n_best]
        lines[0] = f"[bold green]{lines[0]}[/]"
    if prediction.note:
        lines.append(f"[yellow]note:[/] {prediction.note}")
    if prediction.attention is not None:
        attention = prediction.attention
        lines += attention_text(attention.source, attention.target, attention.weights)
    return "\n".join(lines)


def record(prediction: Translated) -> dict[str, Any]:
    """The translation as a JSON object."""
    made: dict[str, Any] = {
        "text": prediction.text,
        "translation": prediction.translation,
        "n_best": [{"text": text, "score": round(s, 6)} for text, s in prediction.n_best],
    }
    if prediction.confidence is not None:
        made["confidence"] = round(prediction.confidence, 4)
    if prediction.note:
        made["note"] = prediction.note
    if prediction.attention is not None:
        attention = prediction.attention
        made["attention"] = {
            "source": attention.source,
            "target": attention.target,
            "weights": [[round(float(w), 4) for w in row] for row in attention.weights],
        }
    return made
