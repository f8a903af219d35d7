"""Music as events: a note begins, a note ends, time goes by, the touch changes.

So does Performance RNN (Oore et al. 2018) write expressive playing; here with the 88 keys of a
piano.  Event 0 marks the beginning.  Time goes by in hundredths of a second, at most one second
an event; touch has 32 steps.  Without grid or beat, rubato and chords that are not quite together
stay as they were played.
"""

from __future__ import annotations

from collections.abc import Sequence

from elman.tasks.music.notes import HIGHEST, LOWEST, NUM_PITCHES, Note, Piece, pitch_name

BEGIN = 0
_ON = 1
_OFF = _ON + NUM_PITCHES
_SHIFT = _OFF + NUM_PITCHES
_TOUCH = _SHIFT + 100
NUM_EVENTS = _TOUCH + 32

#: quarter notes in a second, where events become notes: 120 a minute
_QUARTERS = 2.0


def events_of(piece: Piece) -> tuple[int, ...]:
    """The events of a piece, without the one that marks the beginning.

    Pitches beyond the piano are left out.  At one moment notes end before others begin.

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
    """The notes of events, whichever they are: what makes no sense is passed over.

    A note that is struck again ends before; one that never ends does so with the last event.

    >>> piece = Piece((Note(0.0, 60, 1.0), Note(0.5, 64, 2.0)), 2.0)
    >>> piece_of(events_of(piece)) == piece
    True
    """
    notes: list[Note] = []
    begun: dict[int, tuple[float, int]] = {}
    now, velocity = 0, 80

    def end(pitch: int) -> None:
        if pitch in begun:
            start, touch = begun.pop(pitch)
            if now > start:
                notes.append(Note(start * _QUARTERS / 100, pitch, now * _QUARTERS / 100, touch))

    for event in events:
        if _ON <= event < _OFF:
            end(event - _ON + LOWEST)
            begun[event - _ON + LOWEST] = (now, velocity)
        elif _OFF <= event < _SHIFT:
            end(event - _OFF + LOWEST)
        elif _SHIFT <= event < _TOUCH:
            now += event - _SHIFT + 1
        elif event >= _TOUCH:
            velocity = max(1, 4 * (event - _TOUCH))
    for pitch in [*begun]:
        end(pitch)
    return Piece(tuple(sorted(notes)), now * _QUARTERS / 100)


def wait_of(event: int) -> float:
    """The seconds that go by with an event."""
    return (event - _SHIFT + 1) / 100 if _SHIFT <= event < _TOUCH else 0.0


def transposed(events: Sequence[int], steps: int) -> tuple[int, ...]:
    """The same events, so many semitones higher; the pitches must stay on the piano.

    >>> [name_of(event) for event in transposed(events_of(Piece((Note(0.0, 60, 1.0),), 1.0)), 2)]
    ['touch 20', 'on D4', 'wait 0.50 s', 'off D4']
    """
    return tuple([event + steps if _ON <= event < _SHIFT else event for event in events])


def pitches_of(events: Sequence[int]) -> set[int]:
    """The pitches that begin or end in the events."""
    return {(event - _ON) % NUM_PITCHES + LOWEST for event in events if _ON <= event < _SHIFT}


def name_of(event: int) -> str:
    """An event in words."""
    if event == BEGIN:
        return "begin"
    if event < _OFF:
        return f"on {pitch_name(event - _ON + LOWEST)}"
    if event < _SHIFT:
        return f"off {pitch_name(event - _OFF + LOWEST)}"
    if event < _TOUCH:
        return f"wait {wait_of(event):.2f} s"
    return f"touch {event - _TOUCH}"
