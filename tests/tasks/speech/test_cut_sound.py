"""Sound files that are cut off, too long or out of phase are never read as something else."""

import io
import resource
import struct
import wave

import numpy as np
import pytest
import soundfile

from elman.errors import DataError
from elman.tasks.speech.audio import mono, read_audio
from elman.tasks.speech.data import FeatureConfig, check_recordings

RATE = 16_000


def speech(seconds=2.0):
    """A tone in noise, which no codec makes small."""
    draw = np.random.default_rng(0)
    times = np.arange(round(RATE * seconds)) / RATE
    noise = 0.05 * draw.standard_normal(len(times))
    return (0.3 * np.sin(2 * np.pi * 440 * times) + noise).astype("f")


def written(path, samples, rate=RATE, kind=None):
    soundfile.write(path, samples, rate, format=kind)
    return path


def checked(folder, name):
    (folder / "a.jsonl").write_text(f'{{"audio": "{name}", "text": "one two three"}}\n')
    config = FeatureConfig(8_000, 40, True, False, "audio", "text")
    return check_recordings(folder / "a.jsonl", config, 4)


@pytest.mark.parametrize("left", [0.3, 0.75, 0.999])
@pytest.mark.parametrize("kind", ["WAV", "RF64", "AIFF", "AU", "FLAC", "MP3"])
def test_a_sound_that_is_cut_off_is_refused(kind, left, tmp_path):
    path = written(tmp_path / f"a.{kind.lower()}", speech(), kind=kind)
    assert read_audio(path, 8_000).seconds == 2
    content = path.read_bytes()
    path.write_bytes(content[: round(left * len(content))])
    with pytest.raises(DataError, match=f"a.{kind.lower()}: this file .*truncated"):
        read_audio(path, 8_000)
    [problem] = checked(tmp_path, path.name).problems
    assert path.name in problem
    assert "truncated" in problem


def without_announcement(content):
    """An mp3 file without the frame that says how many frames it has."""
    assert b"Xing" in content[:44] or b"Info" in content[:44]
    second = content.index(content[:2], 4)
    return content[second:]


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_an_mp3_that_does_not_say_how_long_it_is_is_read_to_its_end(mode, rate, tmp_path):
    path = tmp_path / "a.mp3"
    soundfile.write(path, speech(6.0), rate, bitrate_mode=mode, compression_level=0.5)
    whole = read_audio(path, rate)
    content = without_announcement(path.read_bytes())
    path.write_bytes(content)
    plain = read_audio(path, rate)
    assert whole.seconds <= plain.seconds < whole.seconds + 0.2  # the codec fills its frames
    at = int(np.argmax(np.correlate(plain.samples, whole.samples[:20_000], "valid")))
    longest = len(whole.samples) - 2_000
    np.testing.assert_allclose(plain.samples[at:][:longest], whole.samples[:longest], atol=0.05)
    tags = b"ID3\x04\0\0\0\0\0\x0a" + bytes(10), b"TAG" + bytes(125)
    path.write_bytes(tags[0] + content + tags[1])
    np.testing.assert_array_equal(read_audio(path, rate).samples, plain.samples)


def test_an_mp3_that_ends_within_a_frame_is_refused(tmp_path):
    content = without_announcement(written(tmp_path / "a.mp3", speech(), kind="MP3").read_bytes())
    for left in (0.3, 0.5, 0.999):
        path = tmp_path / "a.mp3"
        path.write_bytes(content[: round(left * len(content))])
        with pytest.raises(DataError, match=r"is truncated: its last frame is incomplete"):
            read_audio(path, 8_000)
        [problem] = checked(tmp_path, "a.mp3").problems
        assert "truncated" in problem


def test_mp3_files_that_were_joined_are_read_to_the_end(tmp_path):
    path = written(tmp_path / "a.mp3", speech(), kind="MP3")
    path.write_bytes(2 * path.read_bytes())
    assert 4 <= read_audio(path, 8_000).seconds < 4.3
    [note] = [w for w in checked(tmp_path, "a.mp3").warnings if "announces" in w]
    assert "several files joined?" in note


def test_sizes_that_a_pipe_could_not_know_are_no_promise(tmp_path):
    path = written(tmp_path / "a.wav", speech())
    content = path.read_bytes()
    for size in (0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000):
        data = content.index(b"data")
        path.write_bytes(content[: data + 4] + struct.pack("<I", size) + content[data + 8 :])
        assert read_audio(path, 8_000).seconds == 2


def test_an_ogg_file_without_its_last_page_is_noted(tmp_path):
    path = written(tmp_path / "a.ogg", speech(10))
    assert not any(["last page" in warning for warning in checked(tmp_path, "a.ogg").warnings])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    [note] = [w for w in checked(tmp_path, "a.ogg").warnings if "last page" in w]
    assert "a.ogg" in note


def test_a_header_cannot_ask_for_memory(tmp_path):
    flac = written(tmp_path / "a.flac", speech()).read_bytes()
    # STREAMINFO: 8 bytes from byte 18 on end in the 36 bits that count the samples
    [head] = struct.unpack(">Q", flac[18:26])
    (tmp_path / "many.flac").write_bytes(
        flac[:18] + struct.pack(">Q", head | (2**36 - 1)) + flac[26:]
    )
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, 1, 0, "NONE", ""))
        out.writeframes(bytes(20_000))
    (tmp_path / "slow.wav").write_bytes(file.getvalue())
    quiet = written(tmp_path / "hours.flac", np.zeros(6 * 3600 * 1000, "i2"), rate=1000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, sentence in {
        "many.flac": r"lasts 1,193.0 hours, but the limit is one hour",
        "slow.wav": "sample rate of 1 Hz, but only 1000 to 768000 Hz are supported",
        quiet.name: r"lasts 6.0 hours, but the limit is one hour",
    }.items():
        with pytest.raises(DataError, match=sentence):
            read_audio(tmp_path / name, 16_000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_channels_of_opposite_phase_do_not_cancel(tmp_path):
    tone = speech()
    both = np.stack([0.9 * tone, -tone], 1)
    path = written(tmp_path / "phase.wav", both)
    alone = written(tmp_path / "right.wav", -tone)
    sound = read_audio(path, 8_000)
    np.testing.assert_array_equal(sound.samples, read_audio(alone, 8_000).samples)
    np.testing.assert_array_equal(mono(both), -tone)
    report = checked(tmp_path, "phase.wav")
    assert report.problems == ()
    [note] = [warning for warning in report.warnings if "opposite phase" in warning]
    assert "phase.wav" in note
    assert "only channel 2 is used" in note


def test_other_channels_are_averaged(tmp_path):
    left, right = speech(), np.random.default_rng(1).standard_normal(2 * RATE).astype("f") * 0.1
    both = np.stack([left, right], 1)
    np.testing.assert_array_equal(mono(both), both.mean(1))
    sound = read_audio(written(tmp_path / "a.wav", both), RATE)
    assert sound.notes == ()
    np.testing.assert_allclose(sound.samples, both.mean(1), atol=1e-4)  # 16 bits
