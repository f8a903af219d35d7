"""MIDI files, read and written through symusic.

Reading keeps the notes of all tracks but drums, and the tempos.  ``MidiFile`` also says what was
left out or may surprise, for ``elman check``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from elman.data.faults import Fault, Place, Row
from elman.data.folders import files_below
from elman.extras import extra
from elman.files import write_whole
from elman.tasks.music.midi_bytes import strikes, unusable, unwrapped
from elman.tasks.music.notes import HIGHEST, LOWEST, Note, Piece
from elman.tasks.music.pitch_sets import PARTS

SUFFIXES = (".mid", ".midi", ".rmi")
#: quarter notes: six hours at 120 a minute; a piece that claims to be longer has broken times
LONGEST = 43_200
#: quarter notes a minute; faster tempos (0 microseconds for each) are a mistake
FASTEST = 10_000
_TICKS = 480  # in a quarter note, when written


@dataclass(frozen=True)
class MidiFile:
    """A piece, and what its file holds beyond it."""

    piece: Piece
    drums: int  # notes
    beyond: int  # notes that no piano has
    signatures: tuple[str, ...]
    endless: int = 0  # notes that never end or last no time
    tempos: int = 0  # changes to a tempo that cannot be played


def midi_rows(path: Path) -> Iterator[Row[MidiFile] | Fault]:
    """The pieces and faults of a file, or of all MIDI files below a folder.

    Files below folders called train, valid and test are for that part.
    """
    if not path.is_dir():
        yield _read(path, None)
        return
    files = [file for file in files_below(path) if file.suffix.lower() in SUFFIXES]
    if not files:
        yield Fault(Place(path), "there is no MIDI file (.mid, .midi, .rmi) in the folder.")
    for file in files:
        parts = [name for name in file.relative_to(path).parts[:-1] if name in PARTS]
        yield _read(file, parts[-1] if parts else None)


def _read(path: Path, part: str | None) -> Row[MidiFile] | Fault:
    place = Place(path)
    try:
        content = unwrapped(path.read_bytes())
    except OSError as error:
        return Fault(place, f"the file cannot be read ({error.strerror}); check its name.")
    complaint = unusable(content)
    if complaint:
        return Fault(place, f"this file {complaint}")
    try:
        score = symusic().Score.from_midi(content).to("quarter")
    except Exception as error:  # symusic raises whatever its parser met
        said = str(error).replace("MiniMidi: ", "").replace("Invaild midi file! ", "")
        reason = said.partition(": iostream")[0].strip(" .!")
        return Fault(place, f"this is not a whole MIDI file ({reason}); make or copy it again.")
    drums = sum([len(track.notes) for track in score.tracks if track.is_drum])
    notes = [
        Note(float(n.time), int(n.pitch), float(n.end), int(n.velocity))
        for track in score.tracks
        if not track.is_drum
        for n in track.notes
        if n.duration > 0
    ]
    pitched = sum([len(track.notes) for track in score.tracks]) - drums
    endless = max(0, strikes(content) - drums - pitched) + pitched - len(notes)
    played = [note for note in notes if LOWEST <= note.pitch <= HIGHEST]
    if not played:
        only = f"only drums ({drums} notes)" if drums else "no notes"
        without = f" ({endless} begin and never end)" if endless else ""
        return Fault(place, f"there are {only} in the file{without}; remove it.")
    first, last = min([note.start for note in played]), max([note.end for note in played])
    if first < 0 or last - first > LONGEST:
        return Fault(
            place,
            f"its notes are spread over more than {LONGEST:,} quarter notes, or before the "
            "beginning: its times are broken; save it again, or cut it into pieces.",
        )
    # silence before the first note is not music; whole quarters of it go, so that beats stay beats
    silence = float(int(first))
    signatures = [f"{s.numerator}/{s.denominator}" for s in score.time_signatures]
    piece = Piece(
        tuple(
            sorted([Note(n.start - silence, n.pitch, n.end - silence, n.velocity) for n in played])
        ),
        last - silence,
        _tempos(score, silence),
        part,
    )
    return Row(
        place,
        MidiFile(
            piece,
            drums,
            len(notes) - len(played),
            tuple(dict.fromkeys(signatures)),
            endless,
            sum([not _playable(tempo) for tempo in score.tempos]),
        ),
    )


def _playable(tempo: Any) -> bool:
    return bool(0 < tempo.qpm <= FASTEST)


def _tempos(score: Any, silence: float) -> tuple[tuple[float, float], ...]:
    """Where which tempo begins; 120 quarters a minute where the file does not say."""
    found = {0.0: 120.0}
    for tempo in sorted(filter(_playable, score.tempos), key=lambda tempo: tempo.time):
        found[max(0.0, float(tempo.time) - silence)] = round(float(tempo.qpm), 3)
    tempos = list(found.items())
    kept = [after for before, after in pairwise(tempos) if before[1] != after[1]]
    return (tempos[0], *kept)


def write_midi(path: Path, piece: Piece, *, program: int = 0) -> None:
    """Write a piece as a MIDI file; ``program`` is the instrument (0 piano, 19 church organ).

    Times are rounded to 1/480 of a quarter note.

    >>> import tempfile
    >>> piece = Piece((Note(0.0, 60, 1.0), Note(1.0, 64, 2.5)), 2.5, ((0.0, 90.0),))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_midi(Path(folder) / "a.mid", piece)
    ...     [row] = midi_rows(Path(folder) / "a.mid")
    >>> row.value.piece == piece
    True
    """
    library = symusic()
    score = library.Score(_TICKS)
    track = library.Track(name="Elman", program=program, is_drum=False)
    for note in piece.notes:
        start = round(note.start * _TICKS)
        duration = max(1, round(note.end * _TICKS) - start)
        track.notes.append(library.Note(start, duration, note.pitch, note.velocity))
    score.tracks.append(track)
    for place, tempo in piece.tempos:
        score.tempos.append(library.Tempo(round(place * _TICKS), qpm=tempo))
    write_whole(path, score.dumps_midi())


def symusic() -> Any:
    """The library, or what to install."""
    with extra("music", "reading and writing MIDI"):
        import symusic
    return symusic
