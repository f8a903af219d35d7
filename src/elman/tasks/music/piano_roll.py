"""Draws piano rolls, as PNG or as text."""

from __future__ import annotations

import io
from collections.abc import Sequence

from elman.tasks.music.notes import Note, Piece, pitch_name

#: colours of the voices, from the lowest; more voices repeat them
_COLOURS = ("#2d4a7c", "#3c8d8a", "#e0a33b", "#c8553d", "#7d4e8a")
_BLACK_KEYS = (1, 3, 6, 8, 10)


def draw_roll(piece: Piece, title: str = "") -> bytes:
    """Returns a PNG with a bar per note; the colour shows the voice, the opacity the velocity."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import PatchCollection
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyBboxPatch, Rectangle

    seconds = max(piece.seconds(piece.length), 1.0)
    pitches = [note.pitch for note in piece.notes] or [60]
    low, high = min(pitches) - 2, max(pitches) + 2
    width = min(max(seconds * 0.42, 9.0), 60.0)
    figure = Figure(figsize=(width, max(3.2, (high - low) * 0.12)), dpi=110, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    keys = [
        Rectangle((0, pitch - 0.5), seconds, 1)
        for pitch in range(low, high + 1)
        if pitch % 12 in _BLACK_KEYS
    ]
    axes.add_collection(PatchCollection(keys, facecolor="#f3f1ec", edgecolor="none", zorder=0))
    for note, voice in zip(piece.notes, _voices(piece.notes), strict=True):
        start, end = piece.seconds(note.start), piece.seconds(note.end)
        gap = min(0.03, (end - start) / 4)
        axes.add_patch(
            FancyBboxPatch(
                (start, note.pitch - 0.36),
                end - start - gap,
                0.72,
                boxstyle="round,pad=0,rounding_size=0.12",
                mutation_aspect=2.0,
                facecolor=_COLOURS[voice % len(_COLOURS)],
                edgecolor="none",
                alpha=0.45 + 0.55 * note.velocity / 127,
                zorder=2,
            )
        )
    octaves = [pitch for pitch in range(low, high + 1) if pitch % 12 == 0]
    axes.set_yticks(octaves, [pitch_name(pitch) for pitch in octaves])
    axes.hlines([pitch - 0.5 for pitch in octaves], 0, seconds, color="#c9c4b8", lw=0.7, zorder=1)
    axes.set_xlim(0, seconds)
    axes.set_ylim(low - 0.5, high + 0.5)
    axes.set_xlabel("seconds", color="#555555")
    axes.tick_params(length=0, colors="#555555")
    axes.spines[:].set_visible(False)
    if title:
        axes.set_title(title, loc="left", fontsize=11, color="#333333")
    figure.tight_layout()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _voices(notes: Sequence[Note]) -> list[int]:
    """For each note, the number of lower notes that sound at its start."""
    return [
        len(
            {
                other.pitch
                for other in notes
                if other.start <= note.start < other.end and other.pitch < note.pitch
            }
        )
        for note in notes
    ]


def roll_text(piece: Piece, width: int = 72) -> str:
    """Draws the roll as text: two semitones per line, the highest first, ``width`` columns of time.

    >>> print(roll_text(Piece((Note(0.0, 60, 2.0), Note(1.0, 64, 2.0)), 2.0), width=8))
    E4  │    ▀▀▀▀
    D4  │
    C4  │▀▀▀▀▀▀▀▀
    """
    if not piece.notes:
        return ""
    low = min([note.pitch for note in piece.notes]) // 2 * 2
    high = max([note.pitch for note in piece.notes]) // 2 * 2
    sounding: set[tuple[int, int]] = set()
    for note in piece.notes:
        first = int(note.start / piece.length * width)
        last = max(first + 1, int(note.end / piece.length * width))
        sounding |= {(note.pitch, column) for column in range(first, min(last, width))}
    lines = []
    for pitch in range(high, low - 1, -2):
        cells = [
            " ▀▄█"[((pitch, k) in sounding) + 2 * ((pitch + 1, k) in sounding)]
            for k in range(width)
        ]
        lines.append(f"{pitch_name(pitch):4}│{''.join(cells)}".rstrip())
    return "\n".join(lines)
