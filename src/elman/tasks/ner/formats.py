"""Texts with their names in the formats of other tools: brat, CoNLL, JSON lines and HTML."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from elman.tasks.ner.answers import Names


def brat(answer: Names) -> str:
    """Standoff lines, as in the .ann files of brat (Stenetorp et al. 2012).

    >>> from elman.tasks.ner.answers import Name, Names
    >>> brat(Names("Ann met Bob.", (Name("Ann", "PER", 0, 3, 0.9),)))
    'T1\\tPER 0 3\\tAnn'
    """
    return "\n".join(
        [
            f"T{k}\t{name.type} {name.start} {name.end}\t{' '.join(name.text.split())}"
            for k, name in enumerate(answer.names, 1)
        ]
    )


def conll(answer: Names) -> str:
    """A word and its tag (B, I, O) on each line, and a blank line after the text.

    >>> from elman.tasks.ner.answers import Name, Names
    >>> names = Names("Ann left.", (Name("Ann", "PER", 0, 3, 0.9),), ((0, 3), (4, 8), (8, 9)))
    >>> conll(names)
    'Ann\\tB-PER\\nleft\\tO\\n.\\tO\\n'
    """
    lines = []
    for start, end in answer.places:
        inside = next((n for n in answer.names if n.start <= start < n.end), None)
        tag = "O" if inside is None else f"{'B' if inside.start == start else 'I'}-{inside.type}"
        lines.append(f"{answer.text[start:end]}\t{tag}\n")
    return "".join(lines)


def jsonl(answer: Names) -> str:
    """A JSON object."""
    names = [
        {"text": n.text, "type": n.type, "start": n.start, "end": n.end, "confidence": n.confidence}
        for n in answer.names
    ]
    return json.dumps({"text": answer.text, "names": names}, ensure_ascii=False)


def as_html(answer: Names) -> str:
    """A paragraph in which each name is marked.

    >>> from elman.tasks.ner.answers import Name, Names
    >>> as_html(Names("Ann & Bob", (Name("Ann", "PER", 0, 3, 0.9),)))
    '<p><mark class="PER" title="PER, 90 %">Ann</mark> &amp; Bob</p>'
    """
    parts, last = [], 0
    for name in answer.names:
        kind = html.escape(name.type)
        parts.append(html.escape(answer.text[last : name.start]))
        title = f"{kind}, {100 * name.confidence:.0f} %"
        parts.append(f'<mark class="{kind}" title="{title}">{html.escape(name.text)}</mark>')
        last = name.end
    return f"<p>{''.join(parts)}{html.escape(answer.text[last:])}</p>"


FORMATS: dict[str, Callable[[Names], str]] = {
    "brat": brat,
    "conll": conll,
    "jsonl": jsonl,
    "html": as_html,
}
