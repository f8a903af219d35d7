"""Speech by the command line, on tones that have names; streaming; what is wrong with the data."""

import base64
import io
import json
import shutil
import sys
import zlib
from itertools import pairwise

import numpy as np
import pytest
import soundfile
import torch

import elman
from elman.decode import PrefixBeam
from elman.errors import DataError, OptionError, RunError
from elman.tasks import TASKS, Data, train
from elman.tasks.speech.answers import Sentence, Word
from elman.tasks.speech.arpa import write_arpa
from elman.tasks.speech.audio import read_audio
from elman.tasks.speech.data import Utterance
from elman.tasks.speech.features import Cmvn
from elman.tasks.speech.language_model import Language, TextFusion, train_language
from elman.tasks.speech.ngrams import train_ngrams
from elman.tasks.speech.options import SpeechOptions, TranscribeOptions
from elman.tasks.speech.raw_audio import raw_pieces
from elman.tasks.speech.reading import utterance_of
from elman.tasks.speech.sentences import GreedySearch
from elman.tasks.speech.streaming import StreamingTranscriber
from elman.tasks.speech.subtitles import subtitles
from elman.tasks.speech.symbols import SpeechSymbols, load_symbols
from elman.tasks.speech.transcription import hear
from elman.tasks.speech.transcripts import Pieces
from elman.training.progress import Silence
from tasks.conftest import samples

speech = TASKS["speech"]

SMALL = {
    "cell": "gru", "hidden_size": 48, "num_layers": 1, "frames_per_step": 4, "dropout": 0.0,
    "speed": 0.0, "size": 0.0, "noise": 0.0, "masks": 0, "learning_rate": 0.01, "warmup_steps": 20,
    "average_weights": 0.9, "epochs": 60, "batch_size": 4, "threads": 1, "language": "words",
}  # fmt: skip


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    """The samples and a run that has learned them: folder/run."""
    folder = samples(tmp_path_factory.mktemp("speech"), "speech")
    data = Data(folder / "train.jsonl", folder / "valid.jsonl", "tones", "Apache-2.0")
    train(speech, data, folder / "run", SMALL, progress=Silence())
    return folder


def test_new_check_train_evaluate_predict_and_resume_go_through(command, tmp_path):
    data, run = tmp_path / "d", tmp_path / "r"
    assert command("new", "speech", data)[0] == 0
    status, out, _ = command("check", "speech", data / "train.jsonl")
    assert status == 0
    assert "ready to train" in out
    arguments = (
        "train", "speech", "--train", data / "train.jsonl", "--valid", data / "valid.jsonl",
        "--out", run, "--hidden-size", 8, "--num-layers", 1, "--threads", 1, "--cell", "gru",
    )  # fmt: skip
    status, out, err = command(*arguments, "--epochs", 1)
    assert status == 0, err
    assert out == ""
    status, _, err = command(*arguments, "--epochs", 2, "--resume")
    assert status == 0, err
    assert "epoch 2 of 2" in err
    status, out, _ = command("evaluate", run, data / "valid.jsonl", "--json")
    assert status == 0
    assert json.loads(out).keys() >= {"wer", "cer"}
    picture = tmp_path / "p.png"
    status, out, _ = command("predict", run, data / "valid" / "00.wav", "--json", "--png", picture)
    assert status == 0
    [answer] = json.loads(out)["predictions"]
    assert answer.keys() == {"audio", "text", "seconds", "sentences", "words"}
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_recording_that_has_changed_is_noticed_when_a_run_goes_on(tones, tmp_path):
    shutil.copytree(tones, tmp_path / "d")
    data = Data(tmp_path / "d" / "train.jsonl", tmp_path / "d" / "valid.jsonl")
    train(speech, data, tmp_path / "run", {**SMALL, "epochs": 1}, progress=Silence())
    sound, rate = soundfile.read(tmp_path / "d" / "train" / "00.wav")
    soundfile.write(tmp_path / "d" / "train" / "00.wav", 0.5 * sound, rate)
    with pytest.raises(RunError, match="started with other training data"):
        train(speech, data, tmp_path / "run", SMALL, resume=True, progress=Silence())


def test_tones_are_learned_in_seconds_and_words_come_when_they_sound(tones):
    model = elman.load(tones / "run")
    assert model.evaluate(tones / "valid.jsonl")["wer"] < 0.15
    right = 0
    for row in (tones / "valid.jsonl").read_text().splitlines():
        row = json.loads(row)
        [answer] = model(tones / row["audio"])
        if answer.text != row["text"]:
            continue
        sound, rate = soundfile.read(tones / row["audio"])
        loud = np.convolve(np.abs(sound) > 0.02, np.ones(160), "same") > 0
        begins = np.flatnonzero(loud[1:] & ~loud[:-1]) / rate
        assert len(begins) == len(answer.words)
        for word, begin in zip(answer.words, begins, strict=True):
            # a network may wait to be sure, but does not know what is to come
            assert begin - 0.05 < word.start < word.end < begin + 0.6
        right += 1
    assert right > 5


@pytest.mark.parametrize("beam", [1, 8])
def test_a_stream_cut_anywhere_ends_with_the_offline_text(tones, beam):
    model = elman.load(tones / "run")
    files = sorted((tones / "valid").glob("*.wav"))
    silence = np.zeros(12_000, np.int16)
    parts = [soundfile.read(file, dtype="int16")[0] for file in files]
    sound = np.concatenate([np.concatenate([part, silence]) for part in parts])
    [whole] = model([(sound / np.float32(32768), 8_000)], beam=beam)
    assert len(whole.sentences) > 2
    draw = np.random.default_rng(beam)

    class Dribble(io.BytesIO):
        def read1(self, size=-1):
            return super().read1(int(draw.integers(1, 4000)))

    *partial, final = model.stream(Dribble(sound.tobytes()), rate=8_000, beam=beam)
    assert final == whole.text
    assert len(final.split()) > 5
    times = [float(line.removeprefix("[dim]").split()[0]) for line in partial]
    assert times == sorted(times)
    ended = [line for line in partial if "[bold]" in line]
    assert [line.partition("[bold]")[2].partition("[/]")[0] for line in ended] == [
        sentence.text for sentence in whole.sentences
    ]
    # a sentence is told while it is spoken and once it has ended, before the next is over
    assert len(partial) > 2 * len(ended)
    for line, sentence in list(zip(ended, whole.sentences, strict=True))[:-1]:
        assert 0 < float(line.removeprefix("[dim]").split()[0]) - sentence.end < 2


def test_words_that_may_change_are_told_before_they_are_final(tones):
    model = elman.load(tones / "run")
    sound, _ = soundfile.read(sorted((tones / "valid").glob("*.wav"))[0], dtype="float32")
    wanted = TranscribeOptions(rate=8_000, beam=8)
    heard = list(hear(model.fitted, np.array_split(sound, 40), wanted))
    assert any(each.provisional for each in heard[:-1])
    finals = [each.final for each in heard]
    assert all(after.startswith(before) for before, after in pairwise(finals))
    assert heard[-1].sentence is not None
    assert heard[-1].final == heard[-1].sentence.text


@pytest.mark.parametrize(
    ("encoding", "subtype"),
    [("linear", "PCM_16"), ("float", "FLOAT"), ("mulaw", "ULAW"), ("alaw", "ALAW")],
)
def test_raw_audio_of_every_encoding_is_read_as_libsndfile_reads_it(encoding, subtype, tmp_path):
    wave = np.sin(np.arange(2000) / 9).astype("f") * np.linspace(0, 1, 2000, dtype="f")
    path = tmp_path / "sound.raw"
    soundfile.write(path, wave, 8_000, subtype, "LITTLE", "RAW")
    expected, _ = soundfile.read(path, dtype="float32", samplerate=8_000, channels=1, subtype=subtype, format="RAW", endian="LITTLE")  # fmt: skip
    pieces = list(raw_pieces(io.BytesIO(path.read_bytes()), encoding, at_once=7))
    assert len(pieces) > 200
    np.testing.assert_array_equal(np.concatenate(pieces), expected)


def test_subtitles_hold_every_word_at_its_time(tones, command, tmp_path):
    sound = sorted((tones / "valid").glob("*.wav"))[0]
    for suffix in (".srt", ".vtt"):
        path = tmp_path / f"tones{suffix}"
        status, _, err = command("predict", tones / "run", sound, "--subtitles", path)
        assert status == 0, err
        text = path.read_text()
        [answer] = elman.load(tones / "run")(sound)
        lines = [line for line in text.splitlines() if line[:1].isalpha() and line != "WEBVTT"]
        assert " ".join(lines) == answer.text
        assert " --> " in text
        assert ("," in text) == (suffix == ".srt")
    status, _, err = command("predict", tones / "run", sound, "--subtitles", tmp_path / "a.txt")
    assert status == 1
    assert "ends in .srt or .vtt" in err


def test_one_damaged_file_does_not_stop_the_others(tones, command, tmp_path):
    good = sorted((tones / "valid").glob("*.wav"))[:2]
    folder = tmp_path / "calls"
    folder.mkdir()
    shutil.copy(good[0], folder / "a.wav")
    (folder / "b.wav").write_bytes(good[1].read_bytes()[:60])
    shutil.copy(good[1], folder / "c.wav")
    texts = [answer.text for answer in elman.load(tones / "run")(good)]
    status, out, err = command("predict", tones / "run", folder, "--subtitles", tmp_path / "s.srt")
    assert status == 1
    assert out.splitlines() == [
        f"{folder / name}: {text}" for name, text in zip(["a.wav", "c.wav"], texts, strict=True)
    ]
    assert err.count("\n") == 1
    assert "b.wav" in err
    assert "truncated" in err
    assert sorted(path.name for path in tmp_path.glob("*.srt")) == ["s-1.srt", "s-2.srt"]
    status, out, err = command("predict", tones / "run", folder, "--json")
    assert status == 1
    first, second, third = json.loads(out)["predictions"]
    assert (first["text"], third["text"]) == tuple(texts)
    assert "truncated" in second["error"]


def test_a_long_sentence_becomes_several_subtitles():
    words = tuple([Word(f"word{k}", k * 0.5, k * 0.5 + 0.4, 1.0) for k in range(40)])
    blocks = subtitles([Sentence(words)], ".srt").strip().split("\n\n")
    assert len(blocks) > 2
    for number, block in enumerate(blocks, 1):
        head, times, *text = block.split("\n")
        assert int(head) == number
        assert len(text) <= 2
        assert all(len(line) <= 42 for line in text)
        start, end = [float(t.replace(",", ".").split(":")[2]) for t in times.split(" --> ")]
        assert 0 < end - start <= 7


def test_the_sound_of_m4a_and_video_files_is_read(tmp_path):
    av = pytest.importorskip("av")
    tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(24_000) / 16_000)).astype("f")
    for suffix, codec in ((".m4a", "aac"), (".mp4", "aac"), (".mkv", "flac")):
        path = tmp_path / f"tone{suffix}"
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=16_000, layout="mono")
            frame = av.AudioFrame.from_ndarray(
                (tone * 32767).astype(np.int16)[None], format="s16", layout="mono"
            )
            frame.sample_rate, frame.pts = 16_000, 0
            resampler = av.AudioResampler(stream.format, "mono", 16_000, stream.frame_size or 1024)
            for part in (*resampler.resample(frame), *resampler.resample(None)):
                container.mux(stream.encode(part))
            container.mux(stream.encode(None))
        sound = read_audio(path, 16_000)
        assert abs(sound.seconds - 1.5) < 0.1
        spectrum = np.abs(np.fft.rfft(sound.samples[4000:12_000]))
        assert spectrum.argmax() * 2 == 440
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match=r"tone\.mkv: the sound of this file cannot be read"):
        read_audio(path, 16_000)


def test_a_listener_hears_what_a_batch_hears_at_another_rate_too(tones):
    model = elman.load(tones / "run")
    draw = np.random.default_rng(5)
    sound = (0.1 * draw.standard_normal(44_100)).astype("f")
    found = []

    class Steps(GreedySearch):
        def advance(self, log_probs):
            found.append(log_probs)

    transcriber = StreamingTranscriber(
        model.model, model.symbols.cmvn, Steps(), rate=44_100, sample_rate=8_000, num_mels=40
    )
    for piece in np.split(sound, np.sort(draw.integers(0, len(sound), 40))):
        transcriber.accept(piece)
    transcriber.finish()
    example = utterance_of((sound, 44_100), model.options)
    batch = speech.collate([example], model.symbols, model.options)
    with torch.no_grad():
        whole = model.model(batch["frames"], batch["lengths"]).log_probs[:, 0].numpy()
    # the engine adds up in another order where a call has fewer steps
    np.testing.assert_allclose(np.concatenate(found), whole, atol=1e-5)


def test_the_command_line_streams_standard_input(tones, command, monkeypatch):
    sound, _ = soundfile.read(tones / "valid" / "00.wav", dtype="int16")
    stdin = io.TextIOWrapper(io.BytesIO(sound.tobytes()))
    monkeypatch.setattr(sys, "stdin", stdin)
    status, out, err = command("predict", tones / "run", "--stream", "--rate", 8000)
    assert status == 0, err
    offline = elman.load(tones / "run")(tones / "valid" / "00.wav")[0].text
    assert out.splitlines()[-1] == offline


def test_a_model_of_both_directions_says_that_it_cannot_stream(tmp_path):
    folder = samples(tmp_path, "speech")
    data = Data(folder / "valid.jsonl", folder / "valid.jsonl")
    train(
        speech,
        data,
        folder / "run",
        {**SMALL, "epochs": 1, "bidirectional": True},
        progress=Silence(),
    )
    model = elman.load(folder / "run")
    assert model(folder / "valid" / "00.wav")
    with pytest.raises(OptionError, match="needs the whole recording"):
        list(model.stream(io.BytesIO(b"\0" * 16_000)))


def test_the_same_seed_gives_the_same_model_and_batches_of_any_kind_the_same_text(tones, tmp_path):
    folder = samples(tmp_path, "speech")
    data = Data(folder / "valid.jsonl", folder / "valid.jsonl")
    settings = {**SMALL, "epochs": 2, "noise": 1.0, "masks": 2, "speed": 0.1, "dropout": 0.1}
    first, again, other = [
        train(speech, data, tmp_path / name, {**settings, "seed": seed}, progress=Silence())[0]
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    weights = [model.model.state_dict()["output.weight"] for model in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    model = elman.load(tones / "run")
    files = sorted((tones / "valid").glob("*.wav"))
    together = [answer.text for answer in model(files)]
    assert together == [model(file)[0].text for file in files]


def test_a_language_model_makes_the_search_prefer_its_words(tmp_path):
    pieces = (" ", "a", "b", "c")
    log_probs = np.log(np.array([[0.05, 0.01, 0.9, 0.02, 0.02], [0.05, 0.01, 0.01, 0.43, 0.5]]))
    assert PrefixBeam(8) is not None
    plain, weighed = [], []
    language = train_language(["ab", "ab", "b"], "words", 1, 100)
    for fusion, found in ((None, plain), (TextFusion(language, pieces, 1.0, 0.0), weighed)):
        beam = PrefixBeam(8, fusion=fusion)
        beam.advance(log_probs)
        found += [pieces[k - 1] for k in beam.best()]
    assert (plain, weighed) == (["a", "c"], ["a", "b"])


def test_symbols_keep_the_language_model_and_older_files_still_load():
    language = train_language(["ab ab", "b ab"], "words", 2, 100)
    symbols = SpeechSymbols(Pieces.characters(["ab"]), Cmvn((1.0,), (2.0,), True), language)
    saved = symbols.to_json()
    assert load_symbols(saved).to_json() == saved
    arpa = write_arpa(language.ngrams.to_ngrams(), digits=9)
    compressed = base64.b64encode(zlib.compress(arpa.encode())).decode()
    old = {**json.loads(saved), "format": 2, "language": compressed}
    oldest = {**old, "format": 1, "language": arpa}
    del oldest["level"]
    for each in (old, oldest):
        read = load_symbols(json.dumps(each))
        assert read.language is not None
        for context in ("ab", "b", "z"):
            for token in ("ab", "b", "z", "</s>"):
                found, wanted = [
                    trie.score(trie.after(trie.start, context), token)
                    for trie in (read.language.ngrams, load_symbols(saved).language.ngrams)
                ]
                assert found == pytest.approx(wanted, abs=1e-5)
        assert read.cmvn.level == ("level" in each)
    text = json.loads(saved)["language"]
    changed = text[:40] + ("B" if text[40] == "A" else "A") + text[41:]
    for bad in (text[:-8], changed, "!" + text[1:], language.to_arpa()):
        with pytest.raises(RunError, match=r"symbols\.json"):
            load_symbols(json.dumps({**json.loads(saved), "language": bad}))


@pytest.mark.parametrize("unit", ["words", "characters"])
def test_a_fusion_adds_what_the_model_says_of_the_whole_text(unit):
    pieces = (" ", "a", "b")
    language = train_language(["ab a", "b ab ab"], unit, 3, 100)
    fusion = TextFusion(language, pieces, 0.7, 0.3)
    tokens = ["ab", "a"] if unit == "words" else ["a", "b", "▁", "a"]
    state, total = fusion.start, 0.0
    for symbol in (2, 3, 1, 2):
        state, more = fusion.extend(state, symbol)
        total += more
    total += fusion.finish(state)
    ngrams, context, by_hand = language.ngrams, language.ngrams.start, 0.0
    for token in tokens:
        by_hand += 0.7 * ngrams.score(context, token) + 0.3
        context = ngrams.after(context, token)
    assert total == pytest.approx(by_hand + 0.7 * ngrams.score(context, "</s>"))


def test_an_arpa_file_of_the_users_weighs_the_words(tones, command, tmp_path):
    path, sound = tmp_path / "digits.arpa", tones / "valid" / "00.wav"
    path.write_text(write_arpa(train_ngrams([["wolf"]] * 5, 1)))
    assert Language.read(path).unit == "words"
    asked = ("predict", tones / "run", sound, "--lm", path, "--lm-bonus", 0, "--lm-weight")
    outs = [command(*asked, weight) for weight in (0, 30)]
    assert [status for status, _, _ in outs] == [0, 0]
    # letters of words that the model does not know cost so much that fewer are written
    assert len(outs[1][1]) < len(outs[0][1])
    status, _, err = command(
        "predict", tones / "run", tones / "valid" / "00.wav", "--lm", "no.arpa"
    )
    assert status == 1
    assert "no.arpa: there is no such file" in err


def test_check_names_file_and_line_of_each_thing_that_ruins_training(command, tmp_path):
    folder = samples(tmp_path, "speech")
    draw = np.random.default_rng(0)

    def sound(name, seconds, rate=8_000, level=0.1):
        noise = level * draw.standard_normal(round(seconds * rate))
        soundfile.write(folder / name, noise.astype("f"), rate)

    sound("short.wav", 0.3)
    sound("silent.wav", 1.0, level=0.0)
    sound("wide.wav", 1.0, rate=16_000)
    sound("long.wav", 20.0)
    (folder / "torn.wav").write_bytes(b"RIFF....")
    shutil.copy(folder / "train/00.wav", folder / "copy.wav")
    rows = [
        ("train/00.wav", "low"), ("train/01.wav", "up"), ("short.wav", "far too much for so short"),
        ("silent.wav", "low"), ("wide.wav", "low"), ("long.wav", "up"), ("torn.wav", "up"),
        ("copy.wav", "high"), ("gone.wav", "up"), ("train/02.wav", "!?"),
    ]  # fmt: skip
    manifest = folder / "m.jsonl"
    manifest.write_text("".join(json.dumps({"audio": a, "text": t}) + "\n" for a, t in rows))
    status, out, _ = command("check", "speech", manifest, "--json")
    assert status == 1
    report = json.loads(out)
    for line, words in (
        (3, "needs"), (4, "is silent"), (7, "cannot be read"), (9, "no such audio file"),
        (10, "has no words"),
    ):  # fmt: skip
        assert any(f"m.jsonl, line {line}:" in p and words in p for p in report["problems"]), words
    assert len(report["problems"]) == 5
    for line, words in ((5, "16000 Hz"), (6, "unusually few"), (8, "duplicate")):
        assert any(f"m.jsonl, line {line}" in w and words in w for w in report["warnings"]), words
    with pytest.raises(DataError, match="line 7"):
        speech.read(manifest, SpeechOptions())
    assert command("check", "speech", folder / "train.jsonl")[0] == 0


def test_recordings_that_are_too_long_are_left_out_and_said(capsys):
    def utterance(frames):
        return Utterance(
            "x.wav", np.zeros((frames, 4), np.float16), frames / 100, "", "a", f"m, line {frames}"
        )

    kept = speech.cut([utterance(5), utterance(50)], 10)
    assert [len(each.frames) for each in kept] == [5]
    assert "Skipping 1 recordings (m, line 50)" in capsys.readouterr().err
    with pytest.raises(DataError, match="every recording is longer"):
        speech.cut([utterance(50)], 10)


def test_inputs_of_all_kinds_are_read_and_wrong_ones_named(tones, tmp_path):
    model = elman.load(tones / "run")
    file = tones / "valid" / "00.wav"
    sound, rate = soundfile.read(file, dtype="float32")
    [expected] = model(file)
    for given in (str(file), [file], [(sound, rate)], [(np.stack([sound, sound], 1), rate)]):
        assert model(given)[0].text == expected.text
    assert len(model.predict_file(tones / "valid")) == 10
    assert len(model.predict_file(tones / "valid.jsonl")) == 10
    with pytest.raises(OptionError, match="pass the path of an audio file"):
        model([3])
    with pytest.raises(DataError, match="there are no audio files in this folder"):
        model.predict_file(tmp_path)
    with pytest.raises(RunError, match=r"symbols.json cannot be read"):
        speech.load_symbols("{}")


def test_symbols_come_back_as_they_were_saved(tones):
    symbols = elman.load(tones / "run").symbols
    again = speech.load_symbols(symbols.to_json())
    assert again.pieces == symbols.pieces
    assert again.cmvn == symbols.cmvn
    assert again.to_json() == symbols.to_json()
    assert symbols.language.unit == "words"


def test_subwords_and_a_language_of_characters_train_too(tmp_path):
    folder = samples(tmp_path, "speech")
    (folder / "more.txt").write_text("Up and down!\nLow.\n")
    settings = {
        **SMALL, "epochs": 1, "units": "subwords", "subwords": 20, "language": "characters",
        "language_order": 4, "language_text": str(folder / "more.txt"),
    }  # fmt: skip
    data = Data(folder / "train.jsonl", folder / "valid.jsonl")
    trained, _ = train(speech, data, folder / "run", settings, progress=Silence())
    language = elman.load(folder / "run").symbols.language
    assert language.ngrams.known("a"), "of the user's text alone"
    assert trained.evaluate(folder / "valid.jsonl", beam=4).keys() >= {"wer", "cer"}
    assert TranscribeOptions().beam is None


def test_a_language_model_keeps_to_its_size_and_the_frequent_stay():
    texts = [" ".join(f"w{(k * j) % 97}" for j in range(1, 9)) for k in range(300)] + [
        "yes sir"
    ] * 50
    large, small = [train_language(texts, "words", 3, most) for most in (10**6, 400)]
    count = [sum(each.ngrams.sizes) for each in (large, small)]
    assert count[1] <= 400 < count[0]
    assert ("yes", "sir") in small.ngrams.to_ngrams().tables[1]


def test_check_finds_recordings_and_sentences_that_are_in_two_splits(command, tmp_path):
    folder = samples(tmp_path, "speech")
    shutil.copy(folder / "train/03.wav", folder / "again.wav")
    lines = (folder / "valid.jsonl").read_text()
    leaking = folder / "leaking.jsonl"
    leaking.write_text(lines + '{"audio": "again.wav", "text": "up"}\n')
    against = ("--against", folder / "train.jsonl")
    assert command("check", "speech", folder / "valid.jsonl", *against)[0] == 0
    status, out, _ = command("check", "speech", leaking, *against)
    assert status == 1
    assert "leaking.jsonl, line 11: this example is also in the other data" in out
    assert "train.jsonl, line 4" in out
    folder = samples(tmp_path / "names", "ner")
    status, out, _ = command(
        "check", "ner", folder / "valid.conll", "--against", folder / "valid.conll"
    )
    assert status == 1
    assert "valid.conll, line 1: this example is also in the other data" in out
