"""Speech with a transducer by the command line: training, streaming, export, and from CTC."""

import io
import json

import numpy as np
import pytest
import soundfile
import torch

import elman
from elman.errors import OptionError
from elman.models import Transcriber, Transducer
from elman.tasks import TASKS, Data, train
from elman.tasks.speech.language_model import Language
from elman.training.progress import Silence
from tasks.conftest import samples

speech = TASKS["speech"]

SMALL = {
    "cell": "gru", "hidden_size": 48, "num_layers": 1, "frames_per_step": 4, "dropout": 0.0,
    "speed": 0.0, "size": 0.0, "noise": 0.0, "masks": 0, "learning_rate": 0.01, "warmup_steps": 20,
    "average_weights": 0.9, "epochs": 36, "batch_size": 4, "threads": 1, "language": "words",
    "decoder": "transducer", "prediction_size": 24, "joint_size": 32,
}  # fmt: skip


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    """The samples and a transducer that has learned them: folder/run."""
    folder = samples(tmp_path_factory.mktemp("transducer"), "speech")
    data = Data(folder / "train.jsonl", folder / "valid.jsonl", "tones", "Apache-2.0")
    train(speech, data, folder / "run", SMALL, progress=Silence())
    return folder


def sounds(folder):
    files = sorted((folder / "valid").glob("*.wav"))
    return np.concatenate([soundfile.read(file, dtype="int16")[0] for file in files])


def test_tones_are_learned_and_words_come_when_they_sound(tones):
    model = elman.load(tones / "run")
    assert isinstance(model.model, Transducer)
    for beam in (1, 8):
        assert model.evaluate(tones / "valid.jsonl", beam=beam)["wer"] < 0.15
    right = 0
    for row in (tones / "valid.jsonl").read_text().splitlines():
        row = json.loads(row)
        [answer] = model(tones / row["audio"])
        if answer.text != row["text"]:
            continue
        sound, rate = soundfile.read(tones / row["audio"])
        loud = np.convolve(np.abs(sound) > 0.02, np.ones(160), "same") > 0
        begins = np.flatnonzero(loud[1:] & ~loud[:-1]) / rate
        words = [word for sentence in answer.sentences for word in sentence.words]
        assert len(begins) == len(words)
        for word, begin in zip(words, begins, strict=True):
            # a transducer writes a word once it is sure, and does not know what is to come
            assert begin - 0.05 < word.start < word.end < begin + 0.6
            assert 0 < word.confidence <= 1
        right += 1
    assert right > 5


@pytest.mark.parametrize("beam", [1, 8])
def test_a_stream_cut_anywhere_ends_with_the_offline_text(tones, beam):
    model, sound = elman.load(tones / "run"), sounds(tones)
    [whole] = model([(sound / np.float32(32768), 8_000)], beam=beam)
    draw = np.random.default_rng(beam)

    class Dribble(io.BytesIO):
        def read1(self, size=-1):
            return super().read1(int(draw.integers(1, 4000)))

    *partial, final = model.stream(Dribble(sound.tobytes()), rate=8_000, beam=beam)
    assert final == whole.text
    assert len(final.split()) > 10
    assert len(partial) > 10


@pytest.mark.parametrize("decoder", ["ctc", "transducer"])
def test_a_language_model_is_read_once_for_all_recordings(tones, tmp_path, monkeypatch, decoder):
    data = Data(tones / "valid.jsonl", tones / "valid.jsonl")
    settings = {**SMALL, "epochs": 1, "decoder": decoder}
    model, _ = train(speech, data, tmp_path / "run", settings, progress=Silence())
    (tmp_path / "own.arpa").write_text(model.symbols.language.to_arpa())
    read, given = Language.read, []
    monkeypatch.setattr(Language, "read", lambda path: given.append(path) or read(path))
    files = sorted((tones / "valid").glob("*.wav"))
    model(files, lm=str(tmp_path / "own.arpa"), beam=2)
    assert given == [tmp_path / "own.arpa"]


def test_the_exported_networks_transcribe_and_stream_as_the_model_does(tones, command, tmp_path):
    status, out, err = command("export", tones / "run", "--to", "onnx", "--out", tmp_path, "--json")
    assert status == 0, err
    names = [name.rsplit("/", 1)[1] for name in json.loads(out)["files"]]
    assert names == ["run.onnx", "run.step.onnx", "run.predict.onnx", "run.joint.onnx"]
    own, exported = elman.load(tones / "run"), elman.load(tmp_path / "run.onnx")
    files = sorted((tones / "valid").glob("*.wav"))[:4]
    for beam in (1, 8):
        texts = [[answer.text for answer in model(files, beam=beam)] for model in (own, exported)]
        assert texts[0] == texts[1]
    raw = soundfile.read(files[0], dtype="int16")[0].tobytes()
    finals = [list(model.stream(io.BytesIO(raw), rate=8_000))[-1] for model in (own, exported)]
    assert finals[0] == finals[1] == texts[0][0]
    status, _, err = command("export", tones / "run", "--to", "c", "--out", tmp_path)
    assert status == 1
    assert "Transducer: it is three networks" in err


def test_a_transducer_takes_the_encoder_of_a_ctc_model_and_nothing_else(tones, command, tmp_path):
    data = Data(tones / "valid.jsonl", tones / "valid.jsonl")
    settings = {**SMALL, "epochs": 1, "decoder": "ctc"}
    first, _ = train(speech, data, tmp_path / "ctc", settings, progress=Silence())
    assert isinstance(first.model, Transcriber)
    # a rate of 0 leaves the weights as they begin
    status, _, err = command(
        "train", "speech", "--train", tones / "valid.jsonl", "--valid", tones / "valid.jsonl",
        "--init-from", tmp_path / "ctc", "--out", tmp_path / "after", "--decoder", "transducer",
        "--epochs", 1, "--threads", 1, "--learning-rate", 1e-12, "--warmup-steps", 0,
    )  # fmt: skip
    assert status == 0, err
    after = elman.load(tmp_path / "after")
    assert isinstance(after.model, Transducer)
    assert after.options.hidden_size == 48
    own, before = after.model.state_dict(), first.model.state_dict()
    taken = [name for name in own if name.startswith("encoder.")]
    assert taken
    for name in taken:
        torch.testing.assert_close(own[name], before[name], rtol=0, atol=1e-6)
    with pytest.raises(OptionError, match=r"do not fit .* \(for example encoder"):
        train(
            speech, data, tmp_path / "larger",
            {"decoder": "transducer", "hidden_size": 50}, start=first, progress=Silence(),
        )  # fmt: skip


@pytest.mark.thorough
def test_resumed_and_trained_at_once_a_transducer_ends_with_the_same_weights(tones, tmp_path):
    data = Data(tones / "valid.jsonl", tones / "valid.jsonl")
    settings = {**SMALL, "dropout": 0.2, "masks": 1, "epochs": 2}
    train(speech, data, tmp_path / "whole", settings, progress=Silence())
    train(speech, data, tmp_path / "parts", {**settings, "epochs": 1}, progress=Silence())
    train(speech, data, tmp_path / "parts", settings, resume=True, progress=Silence())
    weights = [(tmp_path / run / "model.safetensors").read_bytes() for run in ("whole", "parts")]
    assert weights[0] == weights[1]


def test_check_asks_for_a_step_a_symbol_for_ctc_only(tones, command, tmp_path):
    soundfile.write(tones / "short.wav", soundfile.read(tones / "train/00.wav")[0][:3000], 8_000)
    manifest = tones / "short.jsonl"
    manifest.write_text('{"audio": "short.wav", "text": "high high high"}\n')
    status, out, _ = command("check", "speech", manifest)
    assert status == 1
    assert "the transcript needs" in out
    beside = ("--decoder", "transducer", "--against", tones / "valid.jsonl")
    assert command("check", "speech", manifest, *beside)[0] == 0


def test_a_run_that_does_not_name_its_decoder_is_ctc(tones, tmp_path):
    data = Data(tones / "valid.jsonl", tones / "valid.jsonl")
    settings = {**SMALL, "epochs": 1, "decoder": "ctc"}
    train(speech, data, tmp_path / "old", settings, progress=Silence())
    new = ("decoder =", "prediction_size =", "joint_size =", "ctc_weight =")
    path = tmp_path / "old" / "run.toml"
    lines = [line for line in path.read_text().splitlines(True) if not line.startswith(new)]
    assert len(lines) == len(path.read_text().splitlines()) - 4
    path.write_text("".join(lines))
    model = elman.load(tmp_path / "old")
    assert isinstance(model.model, Transcriber)
    assert model(tones / "valid" / "00.wav")
