"""Music as notes, and as frames: the set of pitches that sound at each step of a grid.

Times are in quarter notes.  ``midi.py`` and ``pitch_sets.py`` read pieces from files;
``events.py`` converts pieces to events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

#: MIDI numbers of the keys of a piano, A0 to C8
LOWEST, HIGHEST = 21, 108
NUM_PITCHES = HIGHEST - LOWEST + 1

_NAMES = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")

#: the pitches that sound at a step, ascending
Frame = tuple[int, ...]


@dataclass(frozen=True, order=True)
class Note:
    """A pitch (60 is middle C) from ``start`` to ``end``; velocity is from 1 to 127.

    ``voice`` numbers the voice or track that it belongs to, where that is known.
    """

    start: float
    pitch: int
    end: float
    velocity: int = 80
    voice: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Piece:
    """Notes in time order, the length in quarter notes, and the tempo changes.

    ``tempos`` are pairs of a position and of quarter notes per minute; the first position is 0.
    ``part`` is the part of the data set: "train", "valid", "test" or None.
    """

    notes: tuple[Note, ...]
    length: float
    tempos: tuple[tuple[float, float], ...] = ((0.0, 120.0),)
    part: str | None = None

    def seconds(self, place: float) -> float:
        """Converts a position in quarter notes to seconds.

        >>> Piece((), 8.0, ((0.0, 120.0), (4.0, 60.0))).seconds(6.0)
        4.0
        """
        total = 0.0
        ends = [begin for begin, _ in self.tempos[1:]]
        for (begin, tempo), end in zip(self.tempos, [*ends, place], strict=True):
            total += max(0.0, min(end, place) - begin) * 60 / tempo
        return total


def transposed(piece: Piece, semitones: int) -> Piece:
    """The piece, ``semitones`` higher; notes that would have no MIDI number are left out.

    >>> transposed(Piece((Note(0.0, 60, 1.0),), 1.0), 2).notes[0].pitch
    62
    """
    notes = [replace(note, pitch=note.pitch + semitones) for note in piece.notes]
    return replace(piece, notes=tuple([note for note in notes if 0 <= note.pitch <= 127]))


def frames_of(piece: Piece, grid: int) -> tuple[Frame, ...]:
    """The piano pitches that sound at each step, with ``grid`` steps per quarter note.

    A note starts at the nearest step and lasts at least one step.

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
    """Converts frames to notes; a pitch in consecutive frames becomes one long note.

    >>> [(note.start, note.pitch, note.end) for note in notes_of([(60,), (60, 64), ()], grid=1)]
    [(0.0, 60, 2.0), (1.0, 64, 2.0)]
    """
    notes = []
    active: dict[int, int] = {}
    for step, frame in enumerate([*frames, ()]):
        sounding = set(frame)
        for pitch in [pitch for pitch in active if pitch not in sounding]:
            notes.append(Note(active.pop(pitch) / grid, pitch, step / grid, velocity))
        for pitch in frame:
            active.setdefault(pitch, step)
    return tuple(sorted(notes))


def pitch_name(pitch: int) -> str:
    """The name of a pitch.

    >>> pitch_name(60), pitch_name(70)
    ('C4', 'B♭4')
    """
    return f"{_NAMES[pitch % 12]}{pitch // 12 - 1}"


#: key profiles, from the tonic up: shares of pitches in 982 pieces (Albrecht and Shanahan 2013).
#: They find the key of 91 % of Bach's chorales, those of Krumhansl and Kessler (1982) of 80 %
_PROFILES = {
    "major": (0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081),
    "minor": (0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052),
}


def key_of(notes: Sequence[Note]) -> str:
    """Estimates the key of the notes, weighted by duration; "" without notes.

    Takes the key profile with the highest correlation (Krumhansl 1990).

    >>> scale = (60, 62, 64, 65, 67, 69, 71, 72)
    >>> key_of([Note(float(k), pitch, k + 1.0) for k, pitch in enumerate(scale)])
    'C major'
    """
    heard = [0.0] * 12
    for note in notes:
        heard[note.pitch % 12] += note.end - note.start
    if not any(heard):
        return ""
    fits = key_fits(heard)
    return key_name(*max(fits, key=lambda key: fits[key]))


def key_name(tonic: int, mode: str) -> str:
    """The name of a key; ``tonic`` is a pitch class.

    >>> key_name(7, "minor")
    'G minor'
    """
    return f"{_NAMES[tonic]} {mode}"


def key_fits(heard: Sequence[float]) -> dict[tuple[int, str], float]:
    """How well each key, a tonic and a mode, fits the durations of the twelve pitch classes."""
    heard = list(heard)
    return {
        (tonic, mode): _correlation(heard[tonic:] + heard[:tonic], profile)
        for mode, profile in _PROFILES.items()
        for tonic in range(12)
    }


def to_common_key(notes: Sequence[Note], kind: Literal["none", "tonic", "relative"]) -> int:
    """The semitones, from -6 to 5, that bring notes to a common key; 0 without notes.

    It is C major, and for minor keys C minor ("tonic") or A minor ("relative").

    >>> to_common_key([Note(0.0, pitch, 1.0) for pitch in (62, 66, 69, 62)], "tonic")  # D major
    -2
    """
    tonic, _, mode = key_of(notes).partition(" ")
    if not mode or kind == "none":
        return 0
    target = 9 if (mode, kind) == ("minor", "relative") else 0
    return (target - _NAMES.index(tonic) + 6) % 12 - 6


def _correlation(a: Sequence[float], b: Sequence[float]) -> float:
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    above = sum([(x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True)])
    below = sum([(x - mean_a) ** 2 for x in a]) * sum([(y - mean_b) ** 2 for y in b])
    return above / below**0.5 if below else 0.0
