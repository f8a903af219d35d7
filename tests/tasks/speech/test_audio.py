"""Sound files of any kind become the same numbers, whole and in pieces; wrong ones are named."""

import numpy as np
import pytest
import soundfile

from elman.data.faults import Fault, Row
from elman.errors import DataError
from elman.tasks.speech.audio import Resampler, read_audio, resample
from elman.tasks.speech.augmentation import Augmentation, augment, mask_spans
from elman.tasks.speech.features import Cmvn, LogMel, RunningMean, log_mel, normalised
from elman.tasks.speech.manifests import manifest_rows
from elman.tasks.speech.options import SpeechOptions
from elman.tasks.speech.reading import read_inputs

RATES = (8_000, 11_025, 16_000, 22_050, 44_100, 48_000)


def tone(rate, seconds=1.0, hertz=440.0):
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype("f")


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("ending", ["wav", "flac", "ogg"])
def test_a_tone_is_the_same_at_every_rate_format_and_number_of_channels(rate, ending, tmp_path):
    path = tmp_path / f"tone.{ending}"
    soundfile.write(path, np.stack([tone(rate) * 1.5, tone(rate) * 0.5], 1), rate)
    sound = read_audio(path, 8_000)
    assert (sound.file_rate, sound.file_channels) == (rate, 2)
    assert abs(len(sound.samples) - 8_000) <= 1
    middle = slice(1000, 7000)
    # ogg is lossy; the others differ by 16 bits and the resampler's ripple
    assert np.abs(sound.samples[middle] - tone(8_000)[middle]).max() < (
        0.03 if ending == "ogg" else 2e-3
    )


@pytest.mark.parametrize("level", [False, True])
@pytest.mark.parametrize("rate", RATES)
def test_pieces_are_resampled_and_heard_as_the_whole_to_the_last_bit(rate, level):
    draw = np.random.default_rng(rate)
    sound = draw.standard_normal(rate).astype("f") * 0.1
    pieces = np.split(sound, np.sort(draw.integers(0, rate, 30)))
    resampler, mel = Resampler(rate, 8_000), LogMel(8_000, 40)
    normal = Cmvn(tuple(draw.standard_normal(40)), tuple(draw.uniform(1, 2, 40)), level)
    running = RunningMean(normal)
    found = [running.accept(mel.accept(resampler.accept(piece))) for piece in pieces]
    found += [running.accept(mel.accept(resampler.finish())), running.accept(mel.finish())]
    whole = normalised(log_mel(resample(sound, rate, 8_000), 8_000, 40), normal)
    assert np.array_equal(np.concatenate(found), whole)


def test_bands_hold_the_energy_of_their_pitch_and_loudness_shifts_all_alike():
    bands = [
        log_mel(tone(8_000, hertz=hertz), 8_000, 40).mean(0).argmax() for hertz in (200, 800, 3000)
    ]
    assert bands == sorted(bands)
    assert bands[0] < 8
    assert bands[2] > 30
    quiet, loud = log_mel(tone(8_000), 8_000, 40), log_mel(2 * tone(8_000), 8_000, 40)
    heard = quiet > -8
    np.testing.assert_allclose((loud - quiet)[heard], np.log(4), atol=0.01)


def test_a_running_mean_takes_the_mean_of_what_came_and_of_what_is_usual():
    frames = np.array([[4.0], [8.0]], "f")
    found = normalised(frames, Cmvn((2.0,), (2.0,)))
    # 100 frames of the usual 2, then those that came
    np.testing.assert_allclose(found[:, 0], [(4 - 204 / 101) / 2, (8 - 212 / 102) / 2], rtol=1e-6)


def test_a_quieter_recording_gives_the_same_numbers():
    draw = np.random.default_rng(2)
    sound = (draw.standard_normal(16_000) * np.linspace(0.3, 0.9, 16_000)).astype("f")
    cmvn = Cmvn.of([log_mel(sound, 8_000, 40)], level=True)
    loud = normalised(log_mel(sound, 8_000, 40), cmvn)
    np.testing.assert_allclose(normalised(log_mel(sound / 4, 8_000, 40), cmvn), loud, atol=1e-4)
    without = Cmvn(cmvn.mean, cmvn.std)
    assert np.abs(normalised(log_mel(sound / 4, 8_000, 40), without)[:9] - loud[:9]).max() > 0.3


def test_usual_frames_have_mean_zero_and_spread_one():
    draw = np.random.default_rng(0)
    sounds = [draw.normal(3, 2, (50, 4)).astype("f"), draw.normal(3, 2, (70, 4)).astype("f")]
    normal = Cmvn.of(sounds)
    both = np.concatenate(sounds)
    np.testing.assert_allclose(normal.mean, both.mean(0), atol=1e-3)
    np.testing.assert_allclose(normal.std, both.std(0), atol=1e-3)


def test_changes_change_what_they_say_and_nothing_else():
    frames = log_mel(tone(8_000, hertz=800), 8_000, 40)
    nothing = Augmentation(speed=0, size=0, noise=0, colour=0)
    assert np.array_equal(augment(frames, nothing, np.random.default_rng(0)), frames)
    slower = augment(frames, Augmentation(0.3, 0, 0, 0), np.random.default_rng(1))
    assert len(slower) != len(frames)
    larger = [
        augment(frames, Augmentation(0, 0.3, 0, 0), np.random.default_rng(k)) for k in range(8)
    ]
    assert len({each.mean(0).argmax() for each in larger}) > 2
    noisy = augment(frames, Augmentation(0, 0, 1.0, 0), np.random.default_rng(0))
    assert (noisy >= frames - 1e-3).all()
    assert noisy.mean() > frames.mean() + 0.5
    hidden = mask_spans(np.ones((100, 40), "f"), 2, np.random.default_rng(3))
    assert 0 < (hidden == 0).mean() < 0.7


def test_files_that_are_no_sound_are_named_with_the_reason(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"not a sound at all")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0, "f"), 8_000)
    soundfile.write(tmp_path / "nan.wav", np.full(100, np.nan, "f"), 8_000, subtype="FLOAT")
    whole = tmp_path / "whole.flac"
    soundfile.write(whole, tone(8_000), 8_000)
    (tmp_path / "cut.flac").write_bytes(whole.read_bytes()[:20])
    for name, why in (
        ("a.wav", "cannot be read as audio"), ("none.wav", "no such audio file"),
        ("empty.wav", "no samples"), ("nan.wav", "NaN"), ("cut.flac", "cannot be read"),
        (".", "is a folder"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=why):
            read_audio(tmp_path / name, 8_000)
    assert not read_audio(whole, 8_000).silent


def test_silence_is_silent_and_fingerprints_are_of_the_samples(tmp_path):
    soundfile.write(tmp_path / "s.wav", np.zeros(800, "f"), 8_000)
    assert read_audio(tmp_path / "s.wav", 8_000).silent
    for name in ("a.wav", "b.flac"):
        soundfile.write(tmp_path / name, (tone(8_000) * 32767).astype("i2"), 8_000)
    a, b = [read_audio(tmp_path / name, 8_000).fingerprint for name in ("a.wav", "b.flac")]
    assert a == b


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.jsonl", '{"audio": "x/1.wav", "text": "one two"}\n'),
        ("m.csv", "audio,text\nx/1.wav,one two\n"),
        ("metadata.csv", "file_name,text\nx/1.wav,one two\n"),
    ],
)
def test_each_kind_of_manifest_names_the_recording_from_its_own_folder(name, text, tmp_path):
    (tmp_path / name).write_text(text)
    [row] = manifest_rows(tmp_path if name == "metadata.csv" else tmp_path / name)
    assert isinstance(row, Row)
    assert row.value.audio == tmp_path / "x/1.wav"
    assert row.value.text == "one two"


def test_a_manifest_to_transcribe_without_audio_names_the_flag(tmp_path):
    (tmp_path / "m.csv").write_text("sound,text\n1.wav,one\n")
    with pytest.raises(DataError, match=r'no column "audio".*choose one with --audio-column'):
        read_inputs(tmp_path / "m.csv", SpeechOptions())


def test_manifests_that_lack_something_are_named_with_their_line(tmp_path):
    (tmp_path / "m.jsonl").write_text('{"audio": "1.wav", "text": "one"}\n{"audio": "2.wav"}\n')
    good, bad = manifest_rows(tmp_path / "m.jsonl")
    assert isinstance(good, Row)
    assert isinstance(bad, Fault)
    assert str(bad).startswith(f'{tmp_path / "m.jsonl"}, line 2: there is no column "text"')
    [fault] = manifest_rows(tmp_path)
    assert "there is no metadata.csv" in str(fault)
