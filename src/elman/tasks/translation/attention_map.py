"""Draws attention weights as text or PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from torch import Tensor

from elman.files import write_whole

_SHADES = " ░▒▓█"


def attention_text(source: Sequence[str], target: Sequence[str], weights: Tensor) -> list[str]:
    """Rich markup with a line per target piece; shades show the weights of the source pieces.

    >>> import torch
    >>> for line in attention_text(["le", "chat"], ["the", "cat"], torch.eye(2)):
    ...     print(line.rstrip())
         [dim]le  chat[/]
    the  ██
    cat      ████
    """
    wide = max([len(piece) for piece in target], default=0)
    head = "  ".join([escape(piece) for piece in source])
    lines = [f"{'':{wide}}  [dim]{head}[/]"]
    for piece, row in zip(target, weights.tolist(), strict=True):
        cells = [
            _SHADES[min(4, int(weight * 5))] * len(name)
            for name, weight in zip(source, row, strict=True)
        ]
        lines.append(f"{escape(f'{piece:{wide}}')}  {'  '.join(cells)}")
    return lines


def attention_png(
    path: Path, source: Sequence[str], target: Sequence[str], weights: Tensor
) -> None:
    """Writes a PNG with the source from left to right and the target from top to bottom."""
    from matplotlib.figure import Figure

    size = (1.6 + 0.5 * len(source), 1.2 + 0.36 * len(target))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.imshow(weights.numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(source)), source, rotation=45, ha="left")
    axes.set_yticks(range(len(target)), target)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=150)
    write_whole(path, content.getvalue())
