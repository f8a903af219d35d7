"""MIDI files, byte by byte, whose times, types and ends are wrong."""

import struct

import pytest

from elman.data.faults import Fault
from elman.tasks.music.midi import midi_rows
from elman.tasks.music.report import check_music

ON, OFF = b"\x00\x90\x3c\x50", b"\x83\x60\x80\x3c\x40"  # a note of 480 ticks
END = b"\x00\xff\x2f\x00"
FAR = b"\xff\xff\xff\x7f"  # the longest time that the format has


def midi(*tracks, kind=0, division=480):
    head = struct.pack(">4sIHHH", b"MThd", 6, kind, len(tracks), division)
    return head + b"".join([struct.pack(">4sI", b"MTrk", len(t + END)) + t + END for t in tracks])


def written(folder, content):
    (folder / "a.mid").write_bytes(content)
    return folder / "a.mid"


REFUSED = {
    "one huge time": (midi(ON + OFF + FAR + ON[1:] + OFF), "start at negative times"),
    "a huge note": (midi(ON + FAR + OFF[2:]), "start at negative times"),
    "times that overflow": (midi((FAR + ON[1:] + FAR + OFF[2:]) * 9), "start at negative times"),
    "division 0": (midi(ON + OFF, division=0), "the time division 0"),
    "SMPTE": (midi(ON + OFF, division=0xE728), "in SMPTE frames"),
    "type 2": (midi(ON + OFF, ON + OFF, kind=2), "contains several pieces (MIDI type 2)"),
    "only a note without end": (midi(ON), "the file has no notes (1 notes never end)"),
}


@pytest.mark.parametrize(("content", "sentence"), REFUSED.values(), ids=REFUSED)
def test_times_that_mean_nothing_are_refused_in_a_sentence(content, sentence, tmp_path):
    [fault] = midi_rows(written(tmp_path, content))
    assert isinstance(fault, Fault)
    assert "a.mid: " in str(fault)
    assert sentence in str(fault)
    [problem] = check_music(tmp_path, grid=1, tempo=80).problems
    assert sentence in problem


@pytest.mark.parametrize("micros", [0, 1])
def test_a_tempo_that_cannot_be_played_is_left_out_and_said(micros, tmp_path):
    tempo = b"\x00\xff\x51\x03" + struct.pack(">I", micros)[1:]
    path = written(tmp_path, midi(tempo + ON + OFF))
    [row] = midi_rows(path)
    assert row.value.piece.tempos == ((0.0, 120.0),)
    assert row.value.piece.seconds(1.0) == 0.5
    assert any(
        ["a.mid) with an invalid tempo" in w for w in check_music(path, grid=1, tempo=80).warnings]
    )


def test_a_note_without_end_is_left_out_and_said(tmp_path):
    # program change, text and running status lie between the notes
    others = b"\x00\xc0\x05\x00\xff\x01\x02hi\x00\xf0\x01\xf7"
    running = b"\x00\x90\x3c\x50\x83\x60\x3c\x00"
    whole = written(tmp_path, midi(others + running + ON + OFF))
    [row] = midi_rows(whole)
    assert (len(row.value.piece.notes), row.value.endless) == (2, 0)
    twice = written(tmp_path, midi(ON + ON + OFF + OFF))
    [row] = midi_rows(twice)
    assert (len(row.value.piece.notes), row.value.endless) == (2, 0)
    path = written(tmp_path, midi(others + running + ON + OFF + b"\x00\x90\x40\x50"))
    [row] = midi_rows(path)
    assert (len(row.value.piece.notes), row.value.endless) == (2, 1)
    warnings = check_music(path, grid=1, tempo=80).warnings
    assert any(["a.mid) with notes that never end" in warning for warning in warnings])


def test_midi_in_a_riff_file_is_read(tmp_path):
    plain = midi(ON + OFF)
    [row] = midi_rows(written(tmp_path, plain))
    body = b"RMIDINFO\x01\x00\x00\x00x\x00data" + struct.pack("<I", len(plain)) + plain
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.rmi").write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    [found] = midi_rows(tmp_path / "d")
    assert found.value == row.value
    (tmp_path / "d" / "a.rmi").write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body[:-9])
    [fault] = midi_rows(tmp_path / "d")
    assert "this is not a complete MIDI file" in str(fault)


def test_a_type_2_file_of_one_track_is_a_piece(tmp_path):
    [row] = midi_rows(written(tmp_path, midi(ON + OFF, kind=2)))
    assert len(row.value.piece.notes) == 1
