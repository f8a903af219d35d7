"""Files of music: what is read, what is refused, what is said, and what is written."""

import json
from pathlib import Path

import pytest
import symusic
from hypothesis import given
from hypothesis import strategies as st

from elman.data.faults import Fault, Row
from elman.tasks.music.events import NUM_EVENTS, events_of, piece_of, pitches_of, transposed
from elman.tasks.music.midi import midi_rows, write_midi
from elman.tasks.music.notes import HIGHEST, LOWEST, Note, Piece, frames_of, key_of, notes_of
from elman.tasks.music.report import check_music, music_rows


def midi(path, notes, *, drums=(), tempos=((0, 120),), signatures=()):
    """A MIDI file of (pitch, start, end) in quarter notes, written by symusic itself."""
    score = symusic.Score(480)
    for its_notes, is_drum in ((notes, False), (drums, True)):
        track = symusic.Track(is_drum=is_drum)
        for pitch, start, end in its_notes:
            length = round(480 * (end - start))
            track.notes.append(symusic.Note(round(480 * start), length, pitch, 64))
        if its_notes:
            score.tracks.append(track)
    for place, tempo in tempos:
        score.tempos.append(symusic.Tempo(round(480 * place), qpm=tempo))
    for place, numerator, denominator in signatures:
        score.time_signatures.append(
            symusic.TimeSignature(round(480 * place), numerator, denominator)
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    score.dump_midi(str(path))
    return path


SCALE = [(60, 0, 1), (62, 1, 2), (64, 2, 4)]


def values(rows):
    return [row.value for row in rows if isinstance(row, Row)]


def test_midi_becomes_notes_tempos_and_frames(tmp_path):
    path = midi(tmp_path / "a.mid", SCALE, tempos=((0, 120), (2, 60)))
    [piece] = values(music_rows(path, 1, 80))
    assert piece.notes == (Note(0, 60, 1, 64), Note(1, 62, 2, 64), Note(2, 64, 4, 64))
    assert piece.tempos == ((0.0, 120.0), (2.0, 60.0))
    assert piece.seconds(4.0) == pytest.approx(3.0)
    assert frames_of(piece, 1) == ((60,), (62,), (64,), (64,))
    assert frames_of(piece, 2)[:3] == ((60,), (60,), (62,))


def test_silence_before_the_first_note_goes_and_the_beat_stays(tmp_path):
    path = midi(tmp_path / "a.mid", [(60, 5.5, 6), (62, 6, 7)])
    [piece] = values(music_rows(path, 2, 80))
    assert [(note.pitch, note.start) for note in piece.notes] == [(60, 0.5), (62, 1.0)]
    assert frames_of(piece, 2) == ((), (60,), (62,), (62,))


def test_what_is_no_midi_is_a_fault_with_its_file(tmp_path):
    whole = midi(tmp_path / "a.mid", SCALE).read_bytes()
    for content in (b"", b"MThd", b"RIFF, not MIDI at all", whole[: len(whole) // 2]):
        (tmp_path / "a.mid").write_bytes(content)
        [fault] = midi_rows(tmp_path / "a.mid")
        assert isinstance(fault, Fault)
        assert "a.mid: this is not a complete MIDI file" in str(fault)
    [fault] = midi_rows(tmp_path / "b.mid")
    assert "no such file" in str(fault)
    (tmp_path / "empty").mkdir()
    [fault] = midi_rows(tmp_path / "empty")
    assert "no MIDI files" in str(fault)


def test_a_file_without_notes_is_a_fault(tmp_path):
    [fault] = midi_rows(midi(tmp_path / "a.mid", []))
    assert "the file has no notes" in str(fault)
    [fault] = midi_rows(midi(tmp_path / "a.mid", [], drums=[(38, 0, 1)]))
    assert "only drums (1 notes)" in str(fault)
    [fault] = midi_rows(midi(tmp_path / "a.mid", [(5, 0, 1)]))
    assert "the file has no notes" in str(fault), "no piano has that pitch"


def test_check_says_what_is_left_out_and_what_may_surprise(tmp_path):
    folder = tmp_path / "d"
    midi(folder / "train" / "a.mid", SCALE, drums=[(38, 0, 1)], signatures=((0, 5, 8),))
    midi(folder / "train" / "b.mid", [*SCALE, (120, 0, 1)], tempos=((0, 90), (1, 100)))
    midi(folder / "test" / "c.MID", SCALE)
    midi(folder / "valid" / "d.midi", [(60, k + 0.4, k + 0.9) for k in range(9)])
    (folder / "valid" / "e.mid").write_bytes(b"broken")
    report = check_music(folder, grid=1, tempo=80)
    assert len(report.problems) == 1
    assert "e.mid" in report.problems[0]
    said = "\n".join(report.warnings)
    for words in (
        "a.mid) with drums",
        "b.mid) with notes beyond the piano",
        "a.mid: the time signature is 5/8",
        "b.mid) with tempo changes",
        "of the notes start between the steps of grid = 1",
        "also occur in another part",
    ):
        assert words in said
    assert report.facts["parts"] == {"test": 1, "train": 2, "valid": 1}
    assert report.facts["duplicates"] == 2
    clean = check_music(midi(tmp_path / "x.mid", SCALE), grid=1, tempo=80)
    assert (clean.problems, clean.warnings) == ((), ())


WRONG = {
    "": "the file is empty",
    "{": "line 1: this is not valid JSON",
    '{"train": [], "valid": []}': "the file has no pieces",
    '{"dev": [[[60]]]}': 'the object has "dev"; the valid keys are',
    '{"train": 7}': "train is not a list of pieces",
    '{"train": [[[60], 61]]}': "train[0], step 1, is 61; it must be a list",
    '{"train": [[[60]], [[60], [61.5]]]}': "train[1], step 1, has the pitch 61.5",
    '{"train": [[[60, 128]]]}': "step 0, has the pitch 128",
    '{"train": [[[true]]]}': "has the pitch true",
    '{"train": [[]]}': "train[0] is not a list of steps",
    "[[[60]], 5]": "piece 1 is not a list of steps",
}


@pytest.mark.parametrize(("content", "sentence"), WRONG.items(), ids=range(len(WRONG)))
def test_wrong_pitch_sets_are_faults_with_their_place(tmp_path, content, sentence):
    path = tmp_path / "a.json"
    path.write_text(content)
    faults = [item for item in music_rows(path, 1, 80) if isinstance(item, Fault)]
    assert len(faults) == 1
    assert sentence in str(faults[0])
    assert str(path) in str(faults[0])


def test_pitch_sets_keep_every_step_silent_ones_too(tmp_path):
    path = tmp_path / "a.json"
    pieces = {"train": [[[], [64, 60], [60], [], []]], "test": [[[70]]]}
    path.write_text(json.dumps(pieces))
    for grid in (1, 4):
        one, two = values(music_rows(path, grid, 80))
        assert frames_of(one, grid) == ((), (60, 64), (60,), (), ())
        assert (one.part, two.part) == ("train", "test")
        assert one.seconds(one.length) == pytest.approx(5 / grid * 60 / 80)


def test_pitches_that_no_piano_has_are_left_out_and_said(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("[[[20, 21, 108, 109], [60]]]")
    [piece] = values(music_rows(path, 1, 80))
    assert frames_of(piece, 1) == ((21, 108), (60,))
    assert "beyond the piano" in check_music(path, grid=1, tempo=80).warnings[0]


frames = st.lists(
    st.sets(st.integers(LOWEST, HIGHEST), max_size=5).map(lambda s: tuple(sorted(s))),
    min_size=1,
    max_size=12,
).map(tuple)


@given(frames, st.sampled_from([1, 2, 4]))
def test_frames_become_notes_and_frames_again(steps, grid):
    assert frames_of(Piece(notes_of(steps, grid), len(steps) / grid), grid) == steps


@given(frames, st.sampled_from([1, 4]))
def test_frames_become_events_and_frames_again(steps, grid):
    piece = Piece(notes_of(steps, grid), len(steps) / grid)  # 120 a minute
    events = events_of(piece)
    assert all(0 < event < NUM_EVENTS for event in events)
    again = piece_of(events)
    assert frames_of(Piece(again.notes, piece.length), grid) == steps


@given(st.lists(st.integers(0, NUM_EVENTS - 1), max_size=60))
def test_any_events_become_notes_that_can_be_written(events):
    for note in piece_of(events).notes:
        assert 0 <= note.start < note.end
        assert LOWEST <= note.pitch <= HIGHEST
        assert 1 <= note.velocity <= 127


@given(frames, st.integers(-5, 5))
def test_transposed_events_are_those_of_the_transposed_notes(steps, by):
    steps = [[min(max(pitch, LOWEST + 5), HIGHEST - 5) for pitch in step] for step in steps]
    piece = Piece(notes_of([sorted(set(step)) for step in steps], 1), len(steps))
    moved = Piece(
        tuple([Note(n.start, n.pitch + by, n.end, n.velocity) for n in piece.notes]), piece.length
    )
    assert sorted(transposed(events_of(piece), by)) == sorted(events_of(moved))
    assert pitches_of(events_of(piece)) == {note.pitch for note in piece.notes}


def test_a_note_that_is_struck_again_ends_before():
    piece = Piece((Note(0, 60, 2.0), Note(1.0, 60, 3.0)), 3.0)
    assert [(n.start, n.end) for n in piece_of(events_of(piece)).notes] == [(0.0, 1.0), (1.0, 2.0)]


def test_midi_that_is_written_reads_back_the_same(tmp_path):
    notes = (Note(0, 36, 2.5, 30), Note(0.25, 67, 0.5, 127), Note(1.0, 67, 4.0, 1))
    piece = Piece(notes, 4.0, ((0.0, 90.0), (2.0, 40.0)))
    write_midi(tmp_path / "a.mid", piece, program=19)
    [again] = values(music_rows(tmp_path / "a.mid", 1, 80))
    assert again == piece
    assert symusic.Score(str(tmp_path / "a.mid")).tracks[0].program == 19


def test_keys_are_heard():
    minor = (57, 59, 60, 62, 64, 65, 68, 69, 64, 57)
    assert key_of([Note(k, pitch, k + 1) for k, pitch in enumerate(minor)]) == "A minor"
    assert key_of([]) == ""


@pytest.mark.data
@pytest.mark.skipif(
    not Path(__file__).resolve().parents[3].parent.joinpath("shared/data/music").is_dir(),
    reason="the data of ../shared/data are not here",
)
def test_the_chorales_are_read_as_they_are():
    path = Path(__file__).resolve().parents[3].parent / "shared/data/music"
    path = path / "jsb-chorales-quarter.json"
    pieces = values(music_rows(path, 1, 80))
    content = json.loads(path.read_text())
    steps = [step for part in content.values() for piece in part for step in piece]
    assert [list(f) for piece in pieces for f in frames_of(piece, 1)] == steps
    report = check_music(path, grid=1, tempo=80)
    assert report.facts["parts"] == {"train": 229, "valid": 76, "test": 77}
    assert report.problems == ()
