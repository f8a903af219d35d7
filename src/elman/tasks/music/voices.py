"""Music as voices: the pitch of each voice at each step of a time grid, or a rest.

Voices are numbered from the highest down.  Tracks of MIDI files and the voices of JSON files are
voices if each has one pitch at a time; so are chords that all have the same number of pitches.
``form.py`` derives what a model of voices knows of a piece before it begins.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations

from elman.errors import DataError
from elman.tasks.music.notes import HIGHEST, LOWEST, Frame, Note, Piece, frames_of

#: the pitch of each voice, the highest voice first; ``REST`` for a voice that rests
Step = tuple[int, ...]
REST = -1


def voices_of(
    piece: Piece, grid: int, count: int = 0, registers: Sequence[float] = ()
) -> tuple[Step, ...]:
    """The steps of a piece, with ``grid`` steps per quarter note.

    With ``count``, there are so many voices, whose mean pitches are the ``registers``: the chords
    of a piece with fewer are distributed over the voices whose registers are nearest.  Raises
    ``DataError`` for a piece without voices, or with more than ``count``.

    >>> soprano, bass = Note(0.0, 72, 2.0, voice=1), Note(1.0, 48, 2.0, voice=0)
    >>> voices_of(Piece((soprano, bass), 2.0), 1)
    ((72, -1), (72, 48))
    >>> voices_of(Piece((Note(0.0, 50, 1.0),), 1.0), 1, 2, (70.0, 52.0))
    ((-1, 50),)
    """
    own = _own_voices(piece, grid)
    if own and count in (0, len(own[0])):
        return own
    frames = frames_of(piece, grid)
    sizes = sorted({len(frame) for frame in frames if frame})
    if count:
        if sizes and sizes[-1] > count:
            raise DataError(
                f"there are {sizes[-1]} pitches at once, but the model has {count} voices; leave "
                "out some, or use a model of sets of pitches."
            )
        return tuple([_spread(frame, registers) for frame in frames])
    if len(sizes) > 1:
        raise DataError(
            f"there are {sizes[0]} to {sizes[-1]} pitches at a time; prediction = voices needs a "
            'MIDI track or a list in "voices" for each voice, or chords of the same number of '
            "pitches; otherwise use prediction = ordered."
        )
    rests = (REST,) * (sizes[0] if sizes else 1)
    return tuple([frame[::-1] or rests for frame in frames])


def _own_voices(piece: Piece, grid: int) -> tuple[Step, ...]:
    """The voices that the piece's notes name, if each has one pitch at a time."""
    by_voice: defaultdict[int, list[Note]] = defaultdict(list)
    for note in piece.notes:
        if note.voice is None:
            return ()
        if LOWEST <= note.pitch <= HIGHEST:
            by_voice[note.voice].append(note)
    voices = sorted(
        by_voice.values(), key=lambda notes: -statistics.mean([note.pitch for note in notes])
    )
    steps = [[REST] * len(voices) for _ in range(round(piece.length * grid))]
    for voice, notes in enumerate(voices):
        starts: set[int] = set()
        for note in sorted(notes):  # a later note ends the one before
            first = round(note.start * grid)
            if first in starts:
                return ()
            starts.add(first)
            for step in steps[first : max(round(note.end * grid), first + 1)]:
                step[voice] = note.pitch
    return tuple([tuple(step) for step in steps])


def _spread(frame: Frame, registers: Sequence[float]) -> Step:
    """A chord's pitches, from the highest down, in the voices with the nearest registers."""
    pitches = frame[::-1]
    best = min(
        combinations(range(len(registers)), len(pitches)),
        key=lambda voices: sum(
            [abs(registers[v] - p) for v, p in zip(voices, pitches, strict=True)]
        ),
    )
    step = [REST] * len(registers)
    for voice, pitch in zip(best, pitches, strict=True):
        step[voice] = pitch
    return tuple(step)


def voice_notes(steps: Sequence[Step], grid: int, velocity: int = 80) -> tuple[Note, ...]:
    """Converts steps to notes; a pitch that a voice keeps is one long note.

    >>> [(note.start, note.pitch, note.end, note.voice) for note in voice_notes([(60,), (60,)], 1)]
    [(0.0, 60, 2.0, 0)]
    """
    notes = []
    for voice, line in enumerate(zip(*steps, strict=True)):
        start = 0
        for place in range(1, len(line) + 1):
            if place == len(line) or line[place] != line[start]:
                if line[start] != REST:
                    notes.append(Note(start / grid, line[start], place / grid, velocity, voice))
                start = place
    return tuple(sorted(notes, key=lambda note: (note, note.voice)))


def voice_changes(steps: Iterable[Step]) -> Iterable[tuple[int, int, int, int]]:
    """(step, pitch, velocity, voice) of each start and end of a note; an end has velocity 0.

    >>> list(voice_changes([(60,), (62,)]))
    [(0, 60, 80, 0), (1, 60, 0, 0), (1, 62, 80, 0), (2, 62, 0, 0)]
    """
    last: Step = ()
    place = 0
    for step in steps:
        before = last or (REST,) * len(step)
        moved = [k for k in range(len(step)) if step[k] != before[k]]
        for voice in moved:
            if before[voice] != REST:
                yield place, before[voice], 0, voice
        for voice in moved:
            if step[voice] != REST:
                yield place, step[voice], 80, voice
        last = step
        place += 1
    for voice, pitch in enumerate(last):
        if pitch != REST:
            yield place, pitch, 0, voice


def registers_of(pieces: Sequence[Sequence[Step]]) -> tuple[float, ...]:
    """The mean pitch of each voice; 60 for one that always rests."""
    found = []
    for line in zip(*[step for piece in pieces for step in piece], strict=True):
        played = [pitch for pitch in line if pitch != REST]
        found.append(round(statistics.mean(played), 2) if played else 60.0)
    return tuple(found)
