"""Music as notes, and as frames: the set of pitches that sound at each step of a grid.

Times are in quarter notes.  Files become pieces in ``midi.py`` and ``pitch_sets.py``, pieces
become events in ``events.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: the keys of a piano, as MIDI counts them: A0 to C8
LOWEST, HIGHEST = 21, 108
NUM_PITCHES = HIGHEST - LOWEST + 1

_NAMES = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")

#: the pitches that sound at a step, ascending
Frame = tuple[int, ...]


@dataclass(frozen=True, order=True)
class Note:
    """A pitch (60 is middle C) from ``start`` to ``end``; velocity is how hard it is struck."""

    start: float
    pitch: int
    end: float
    velocity: int = 80


@dataclass(frozen=True)
class Piece:
    """Notes in the order of time, the length in quarter notes, and where which tempo begins.

    ``tempos`` are pairs of a place and of quarter notes a minute, the first at 0.  ``part`` is
    what the data file says that the piece is for: "train", "valid" or "test".
    """

    notes: tuple[Note, ...]
    length: float
    tempos: tuple[tuple[float, float], ...] = ((0.0, 120.0),)
    part: str | None = None

    def seconds(self, place: float) -> float:
        """The time of a place.

        >>> Piece((), 8.0, ((0.0, 120.0), (4.0, 60.0))).seconds(6.0)
        4.0
        """
        total = 0.0
        ends = [begin for begin, _ in self.tempos[1:]]
        for (begin, tempo), end in zip(self.tempos, [*ends, place], strict=True):
            total += max(0.0, min(end, place) - begin) * 60 / tempo
        return total


def frames_of(piece: Piece, grid: int) -> tuple[Frame, ...]:
    """The pitches of the piano that sound at each step, ``grid`` steps to a quarter note.

    A note begins at the nearest step and lasts for at least one.

    >>> frames_of(Piece((Note(0.0, 60, 2.0), Note(0.9, 64, 1.1)), 3.0), 1)
    ((60,), (60, 64), ())
    """
    steps: list[set[int]] = [set() for _ in range(round(piece.length * grid))]
    for note in piece.notes:
        first = round(note.start * grid)
        last = max(round(note.end * grid), first + 1)
        if LOWEST <= note.pitch <= HIGHEST:
            for step in steps[first:last]:
                step.add(note.pitch)
    return tuple([tuple(sorted(step)) for step in steps])


def notes_of(frames: Sequence[Sequence[int]], grid: int, velocity: int = 80) -> tuple[Note, ...]:
    """Notes that sound as the frames say; a pitch that stays is one long note.

    >>> notes_of([(60,), (60, 64), ()], grid=1)
    (Note(start=0.0, pitch=60, end=2.0, velocity=80), Note(start=1.0, pitch=64, end=2.0, velocity=80))
    """  # noqa: E501 - what is printed is a line
    notes = []
    begun: dict[int, int] = {}
    for step, frame in enumerate([*frames, ()]):
        sounding = set(frame)
        for pitch in [pitch for pitch in begun if pitch not in sounding]:
            notes.append(Note(begun.pop(pitch) / grid, pitch, step / grid, velocity))
        for pitch in frame:
            begun.setdefault(pitch, step)
    return tuple(sorted(notes))


def pitch_name(pitch: int) -> str:
    """The name of a key of the piano.

    >>> pitch_name(60), pitch_name(70)
    ('C4', 'B♭4')
    """
    return f"{_NAMES[pitch % 12]}{pitch // 12 - 1}"


#: how well a tone of a key fits it, from its tonic on (Krumhansl and Kessler 1982)
_PROFILES = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}


def key_of(notes: Sequence[Note]) -> str:
    """The key that the notes fit best, weighed by how long they sound; "" without notes.

    By the correlation with the profile of each key (Krumhansl and Schmuckler; Krumhansl 1990).

    >>> scale = (60, 62, 64, 65, 67, 69, 71, 72)
    >>> key_of([Note(float(k), pitch, k + 1.0) for k, pitch in enumerate(scale)])
    'C major'
    """
    heard = [0.0] * 12
    for note in notes:
        heard[note.pitch % 12] += note.end - note.start
    if not any(heard):
        return ""
    fits = {
        f"{_NAMES[tonic]} {mode}": _correlation(heard[tonic:] + heard[:tonic], profile)
        for mode, profile in _PROFILES.items()
        for tonic in range(12)
    }
    return max(fits, key=lambda key: fits[key])


def _correlation(a: Sequence[float], b: Sequence[float]) -> float:
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    above = sum([(x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True)])
    below = sum([(x - mean_a) ** 2 for x in a]) * sum([(y - mean_b) ** 2 for y in b])
    return above / below**0.5 if below else 0.0
