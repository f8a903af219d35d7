"""Music as events: note on, note off, time shift, velocity change.

This is the encoding of Performance RNN (Oore et al. 2018), here for the 88 keys of a piano.
Event 0 marks the start.  A time shift is 10 ms to 1 s in steps of 10 ms; there are 32 velocities.
The encoding has no grid or beat, so expressive timing is preserved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from elman.tasks.music.notes import HIGHEST, LOWEST, NUM_PITCHES, Note, Piece, pitch_name

BEGIN = 0
_ON = 1
_OFF = _ON + NUM_PITCHES
_SHIFT = _OFF + NUM_PITCHES
_TOUCH = _SHIFT + 100
NUM_EVENTS = _TOUCH + 32

#: quarter notes per second of decoded events (120 a minute)
_QUARTERS = 2.0


def events_of(piece: Piece) -> tuple[int, ...]:
    """Encodes a piece as events, without the start event.

    Ignores pitches beyond the piano.  At the same time, note-off events precede note-on events.

    >>> piece = Piece((Note(0.0, 60, 1.0),), 1.0, ((0.0, 60.0),))
    >>> [name_of(event) for event in events_of(piece)]
    ['touch 20', 'on C4', 'wait 1.00 s', 'off C4']
    """
    moments = []
    for note in piece.notes:
        if LOWEST <= note.pitch <= HIGHEST:
            start = round(100 * piece.seconds(note.start))
            end = max(round(100 * piece.seconds(note.end)), start + 1)
            moments += [(end, 0, note.pitch, 0), (start, 1, note.pitch, note.velocity // 4)]
    events: list[int] = []
    now, touch = 0, -1
    for time, begins, pitch, its_touch in sorted(moments):
        while time > now:
            wait = min(time - now, 100)
            events.append(_SHIFT + wait - 1)
            now += wait
        if not begins:
            events.append(_OFF + pitch - LOWEST)
            continue
        if its_touch != touch:
            events.append(_TOUCH + its_touch)
            touch = its_touch
        events.append(_ON + pitch - LOWEST)
    return tuple(events)


def piece_of(events: Sequence[int]) -> Piece:
    """Decodes any sequence of events; ignores events without effect.

    A repeated note-on first ends the note; notes without an end last until the last event.

    >>> piece = Piece((Note(0.0, 60, 1.0), Note(0.5, 64, 2.0)), 2.0)
    >>> piece_of(events_of(piece)) == piece
    True
    """
    notes: list[Note] = []
    active: dict[int, tuple[float, int]] = {}
    now, velocity = 0, 80

    def end(pitch: int) -> None:
        if pitch in active:
            start, touch = active.pop(pitch)
            if now > start:
                notes.append(Note(start * _QUARTERS / 100, pitch, now * _QUARTERS / 100, touch))

    for event in events:
        if _ON <= event < _OFF:
            end(event - _ON + LOWEST)
            active[event - _ON + LOWEST] = (now, velocity)
        elif _OFF <= event < _SHIFT:
            end(event - _OFF + LOWEST)
        elif _SHIFT <= event < _TOUCH:
            now += event - _SHIFT + 1
        elif event >= _TOUCH:
            velocity = max(1, 4 * (event - _TOUCH))
    for pitch in [*active]:
        end(pitch)
    return Piece(tuple(sorted(notes)), now * _QUARTERS / 100)


def changes_of(events: Iterable[int]) -> Iterator[tuple[int, int, int]]:
    """(time in 10 ms, pitch, velocity) of each start and end of a note, as ``piece_of`` has them.

    The velocity of an end is 0.

    >>> list(changes_of([_ON + 39, _SHIFT + 49, _OFF + 39]))
    [(0, 60, 80), (50, 60, 0)]
    """
    active: dict[int, int] = {}
    now, velocity = 0, 80
    for event in events:
        if _ON <= event < _SHIFT:
            pitch = (event - _ON) % NUM_PITCHES + LOWEST
            if active.pop(pitch, None) is not None:
                yield now, pitch, 0
            if event < _OFF:
                active[pitch] = now
                yield now, pitch, velocity
        elif event >= _TOUCH:
            velocity = max(1, 4 * (event - _TOUCH))
        elif event >= _SHIFT:
            now += event - _SHIFT + 1
    for pitch in active:
        yield now, pitch, 0


def wait_of(event: int) -> float:
    """The duration of an event in seconds."""
    return (event - _SHIFT + 1) / 100 if _SHIFT <= event < _TOUCH else 0.0


def transposed(events: Sequence[int], steps: int) -> tuple[int, ...]:
    """Transposes events by ``steps`` semitones; the pitches must stay on the piano.

    >>> [name_of(event) for event in transposed(events_of(Piece((Note(0.0, 60, 1.0),), 1.0)), 2)]
    ['touch 20', 'on D4', 'wait 0.50 s', 'off D4']
    """
    return tuple([event + steps if _ON <= event < _SHIFT else event for event in events])


def pitches_of(events: Sequence[int]) -> set[int]:
    """The pitches of the events."""
    return {(event - _ON) % NUM_PITCHES + LOWEST for event in events if _ON <= event < _SHIFT}


def name_of(event: int) -> str:
    """The name of an event."""
    if event == BEGIN:
        return "begin"
    if event < _OFF:
        return f"on {pitch_name(event - _ON + LOWEST)}"
    if event < _SHIFT:
        return f"off {pitch_name(event - _OFF + LOWEST)}"
    if event < _TOUCH:
        return f"wait {wait_of(event):.2f} s"
    return f"touch {event - _TOUCH}"
