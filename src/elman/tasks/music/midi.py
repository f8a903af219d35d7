"""Reads and writes MIDI files with symusic.

Reading keeps the tempos and the notes of all tracks except drums.  ``MidiFile`` also counts what
was ignored, for ``elman check``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from elman.data.faults import Fault, Place, Row
from elman.data.folders import files_below
from elman.data.sources import is_folder, why_not_a_file
from elman.extras import extra
from elman.files import write_whole
from elman.stages import counted
from elman.tasks.music.midi_bytes import count_note_ons, time_fault, unwrap_riff
from elman.tasks.music.notes import HIGHEST, LOWEST, Note, Piece
from elman.tasks.music.pitch_sets import PARTS

SUFFIXES = (".mid", ".midi", ".rmi")
#: maximum quarter notes of a piece: six hours at 120 a minute; longer pieces have broken times
LONGEST = 43_200
#: maximum quarter notes per minute; faster tempos (0 microseconds each) are errors
FASTEST = 10_000
_TICKS = 480  # per quarter note, when writing


@dataclass(frozen=True)
class MidiFile:
    """A piece, and counts of what was ignored in its file."""

    piece: Piece
    drums: int  # notes
    beyond: int  # notes outside the range of a piano
    signatures: tuple[str, ...]
    endless: int = 0  # notes that never end or have no duration
    tempos: int = 0  # invalid tempos


def midi_rows(path: Path) -> Iterator[Row[MidiFile] | Fault]:
    """Yields the pieces and faults of a MIDI file, or of all MIDI files in a folder.

    Subfolders named train, valid and test assign their files to that part of the data.
    """
    if not is_folder(path):
        yield _read(path, None)
        return
    files = [file for file in files_below(path) if file.suffix.lower() in SUFFIXES]
    if not files:
        yield Fault(Place(path), "there are no MIDI files (.mid, .midi, .rmi) in this folder.")
    for file in counted(files, f"reading the files of {path.name}"):
        parts = [name for name in file.relative_to(path).parts[:-1] if name in PARTS]
        yield _read(file, parts[-1] if parts else None)


def _read(path: Path, part: str | None) -> Row[MidiFile] | Fault:
    place = Place(path)
    reason = why_not_a_file(path)
    if reason is not None:
        return Fault(place, reason)
    try:
        content = unwrap_riff(path.read_bytes())
    except OSError as error:
        return Fault(place, f"the file cannot be read ({error.strerror}); check its name.")
    complaint = time_fault(content)
    if complaint:
        return Fault(place, f"this file {complaint}")
    try:
        score = symusic().Score.from_midi(content).to("quarter")
    except Exception as error:  # symusic raises many kinds
        said = str(error).replace("MiniMidi: ", "").replace("Invaild midi file! ", "")
        reason = said.partition(": iostream")[0].strip(" .!")
        return Fault(
            place, f"this is not a complete MIDI file ({reason}); create or copy it again."
        )
    drums = sum([len(track.notes) for track in score.tracks if track.is_drum])
    notes = [
        Note(float(n.time), int(n.pitch), float(n.end), int(n.velocity), voice)
        for voice, track in enumerate(score.tracks)
        if not track.is_drum
        for n in track.notes
        if n.duration > 0
    ]
    pitched = sum([len(track.notes) for track in score.tracks]) - drums
    endless = max(0, count_note_ons(content) - drums - pitched) + pitched - len(notes)
    played = [note for note in notes if LOWEST <= note.pitch <= HIGHEST]
    if not played:
        only = f"only drums ({drums} notes)" if drums else "no notes"
        without = f" ({endless} notes never end)" if endless else ""
        return Fault(place, f"the file has {only}{without}; remove it.")
    first, last = min([note.start for note in played]), max([note.end for note in played])
    if first < 0 or last - first > LONGEST:
        return Fault(
            place,
            f"its notes span more than {LONGEST:,} quarter notes or start at negative times; "
            "save it again, or split it into pieces.",
        )
    # remove leading silence, in whole quarter notes so that notes stay on their beats
    silence = float(int(first))
    signatures = [f"{s.numerator}/{s.denominator}" for s in score.time_signatures]
    piece = Piece(
        tuple(sorted([replace(n, start=n.start - silence, end=n.end - silence) for n in played])),
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
    """The tempo changes as (quarter note, tempo); files without a tempo have 120."""
    found = {0.0: 120.0}
    for tempo in sorted(filter(_playable, score.tempos), key=lambda tempo: tempo.time):
        found[max(0.0, float(tempo.time) - silence)] = round(float(tempo.qpm), 3)
    tempos = list(found.items())
    kept = [after for before, after in pairwise(tempos) if before[1] != after[1]]
    return (tempos[0], *kept)


def write_midi(path: Path, piece: Piece, *, program: int = 0) -> None:
    """Writes a piece as a MIDI file; ``program`` is the instrument (0 piano, 19 church organ).

    Times are rounded to 1/480 of a quarter note.  Each voice has a track of its own.

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
    for voice in sorted({-1 if note.voice is None else note.voice for note in piece.notes}) or [-1]:
        name = "Elman" if voice < 0 else f"Voice {voice + 1}"
        track = library.Track(name=name, program=program, is_drum=False)
        for note in piece.notes:
            if (-1 if note.voice is None else note.voice) == voice:
                start = round(note.start * _TICKS)
                duration = max(1, round(note.end * _TICKS) - start)
                track.notes.append(library.Note(start, duration, note.pitch, note.velocity))
        score.tracks.append(track)
    for place, tempo in piece.tempos:
        score.tempos.append(library.Tempo(round(place * _TICKS), qpm=tempo))
    write_whole(path, score.dumps_midi())


def symusic() -> Any:
    """Imports symusic; ``OptionError`` says what to install if it is missing."""
    with extra("music", "reading and writing MIDI"):
        import symusic
    return symusic
