"""Written texts: how they are shown and recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.markup import escape


@dataclass(frozen=True)
class Sample:
    """A text that continues a primer.

    ``log_probability`` is that of its tokens in the model, in nats.  ``ended`` is False if the text
    was cut at the maximum length.
    """

    text: str
    log_probability: float
    tokens: int
    ended: bool


@dataclass(frozen=True)
class Continuation:
    """A primer, and the texts that continue it; of a beam search, the most likely first."""

    primer: str
    samples: tuple[Sample, ...]


def show(answer: Continuation) -> str:
    """The primer in bold with each text; several texts are numbered."""
    primer = f"[bold]{escape(answer.primer)}[/]" if answer.primer else ""
    shown = [f"{primer}{escape(sample.text)}" for sample in answer.samples]
    if len(shown) == 1:
        return shown[0]
    return "\n".join(
        [
            f"[dim]{number}, log probability {sample.log_probability:.2f}[/]\n{text}"
            for number, (sample, text) in enumerate(zip(answer.samples, shown, strict=True), 1)
        ]
    )


def record(answer: Continuation) -> dict[str, Any]:
    """The texts as a JSON object; ``text`` is the first."""
    return {
        "primer": answer.primer,
        "text": answer.samples[0].text,
        "samples": [
            {
                "text": sample.text,
                "log_probability": round(sample.log_probability, 4),
                "tokens": sample.tokens,
                "ended": sample.ended,
            }
            for sample in answer.samples
        ],
    }
