"""Video activity recognition: the whole path of the command line, streaming, and what is refused."""

import io
import json
import sys
from dataclasses import replace

import matplotlib.image
import numpy as np
import pytest

import elman
from elman.errors import OptionError
from elman.shipped import models
from elman.tasks import TASKS, Data, train
from elman.tasks.video.decoding import FrameShape, read_video
from elman.tasks.video.options import VideoOptions
from elman.tasks.video.recognition import labels_of_stream
from elman.tasks.video.samples import video_bytes
from elman.training.progress import Silence
from recipes.runner import runner
from tasks.conftest import samples
from tasks.test_bad_input import fails
from tasks.video.video_files import flat, make_video, sound

video = TASKS["video"]

SMALL = {"hidden_size": 12, "features": 16, "width": 4, "size": 16, "threads": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return samples(tmp_path_factory.mktemp("video"), "video")


@pytest.fixture(scope="module")
def run(data):
    settings = {**SMALL, "epochs": 12, "learning_rate": 0.01, "dropout": 0.0, "cut": 0.1}
    found = Data(data / "train", data / "valid", "samples", "Apache-2.0")
    train(video, found, data / "run", settings, progress=Silence())
    return data / "run"


class Pipe(io.BytesIO):
    def seekable(self):
        return False


def test_a_stream_follows_as_the_whole_video_does_and_an_unsure_label_is_left_out(run, data):
    model = elman.load(run)
    following = replace(model, options=replace(model.options, follow=True))
    file = data / "valid" / "rolling" / "8.mp4"
    [answer], [plain] = following(file), model(file)
    assert answer.probabilities != plain.probabilities
    *_, last = labels_of_stream(following.fitted, io.BytesIO(file.read_bytes()))
    assert dict(zip(model.symbols.labels, last.tolist(), strict=True)) == pytest.approx(
        answer.probabilities, abs=1e-5
    )
    assert answer.label is not None
    [unsure] = model(file, abstain=1.0)
    assert unsure.label is None
    assert "not sure" in video.show(unsure)
    assert video.record(unsure)["label"] is None


def test_new_check_train_evaluate_predict_and_resume_go_through(command, tmp_path):
    d, run = tmp_path / "d", tmp_path / "run"
    status, out, _ = command("new", "video", d)
    assert status == 0
    assert f"{d}: train, valid, run.toml" in out
    status, out, _ = command("check", "video", d / "train")
    assert status == 0
    assert "ready to train" in out
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    arguments = ("train", "video", "--run-file", d / "run.toml", "--out", run, *flags)
    status, out, err = command(*arguments, "--epochs", 1, "--cell", "lstm")
    assert (status, out) == (0, ""), err
    assert "epoch 1 of 1" in err
    status, _, err = command(*arguments, "--epochs", 2, "--cell", "lstm", "--resume")
    assert status == 0, err
    assert "epoch 2 of 2" in err
    status, out, _ = command("evaluate", run, d / "valid", "--json")
    assert status == 0
    assert json.loads(out).keys() >= {"accuracy", "f1"}
    one = d / "valid" / "rolling" / "8.mp4"
    status, out, _ = command(
        "predict", run, one, d / "valid", "--json", "--png", tmp_path / "s.png"
    )
    assert status == 0
    found = json.loads(out)["predictions"]
    assert [each["file"] for each in found][:2] == [str(one), str(d / "valid/bouncing/10.webm")]
    assert len(found) == 10
    assert found[0]["label"] in {"bouncing", "rolling", "spinning"}
    assert found[0]["seconds"] == pytest.approx(1.2)
    assert sum(found[0]["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    picture = matplotlib.image.imread(tmp_path / "s.png")
    assert picture.shape[0] > 10 * 300, "a row for each video"
    assert picture[..., :3].std() > 0.1


def test_samples_are_learned(run):
    """Not a claim about quality: a training that learns nothing at all would not pass."""
    assert elman.load(run).evaluate(run.parent / "train")["accuracy"] > 0.7


def test_a_video_that_arrives_ends_as_the_whole_one(run, command, monkeypatch):
    model = elman.load(run)
    for file in ("rolling/10.webm", "spinning/10.webm"):
        path = run.parent / "valid" / file
        [whole] = model(path)
        *_, last = labels_of_stream(model.fitted, Pipe(path.read_bytes()))
        expected = [whole.probabilities[label] for label in model.symbols.labels]
        assert last.tolist() == pytest.approx(expected, abs=1e-5)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Pipe(path.read_bytes())))
    status, out, _ = command("predict", run, "--stream")
    assert status == 0
    lines = out.splitlines()
    assert len(lines) == 12
    assert lines[0].startswith("  0.00 s   ")
    assert lines[-1].split() == ["1.10", "s", whole.label, f"{whole.probability:.0%}"]


def noise(count, size=24):
    random = np.random.default_rng(0)
    return [random.integers(0, 255, (size, size), dtype=np.uint8) for _ in range(count)]


def test_labels_come_while_the_video_arrives(run):
    data = make_video(noise(100), [k / 10 for k in range(100)])

    class Slow(Pipe):
        def read1(self, size=-1):
            return self.read(min(size, 256))

    source = Slow(data)
    read = [source.tell() / len(data) for _ in labels_of_stream(elman.load(run).fitted, source)]
    assert len(read) == 100
    # what has been read when a label comes: little more than the video up to there
    assert all(part < (k + 1) / 100 + 0.1 for k, part in enumerate(read))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"bidirectional": True}, "is bidirectional"),
        ({"pooling": "attention"}, "uses attention pooling"),
    ],
)
def test_a_model_that_needs_the_whole_video_says_so(settings, sentence, data, tmp_path, command):
    found = Data(data / "valid")
    train(video, found, tmp_path / "r", {**SMALL, **settings, "epochs": 1}, progress=Silence())
    assert sentence in fails(command, "predict", tmp_path / "r", "--stream")


def test_a_stream_that_is_no_video_is_refused(run, command, monkeypatch):
    for content, sentence in {
        b"": "standard input: this is not a video that can be streamed",
        video_bytes(noise(60, 64), "mp4"): "an mp4 has its index at the end",
        sound(): "the file has no video stream",
    }.items():
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Pipe(content)))
        assert sentence in fails(command, "predict", run, "--stream")


def test_what_is_no_video_is_refused_with_its_name(run, command, tmp_path):
    (tmp_path / "cut.mp4").write_bytes(video_bytes([flat(20 * k) for k in range(9)], "mp4")[:-900])
    said = fails(command, "predict", run, tmp_path / "cut.mp4")
    assert said.startswith(f"{tmp_path / 'cut.mp4'}: this is not a readable video")
    assert "there is no such file" in fails(command, "predict", run, tmp_path / "none.mp4")
    assert "an input is missing" in fails(command, "predict", run)
    (tmp_path / "jump").mkdir()
    (tmp_path / "jump" / "a.mkv").write_bytes(make_video([flat(1)], [0]))
    said = fails(command, "evaluate", run, tmp_path)
    assert said.startswith(str(tmp_path / "jump"))
    assert 'the model has no label "jump"' in said
    said = fails(command, "train", "video", "--train", tmp_path, "--out", tmp_path / "r")
    assert "too few" in said or "every training video has the label" in said


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"size": 20}, "size is 20; it must be a multiple of 8"),
        ({"rate": 0.0}, "rate is 0.0"),
        ({"cut": 1.0}, "cut is 1.0"),
        ({"zoom": -0.1}, "zoom is -0.1"),
        ({"features": 0}, "features is 0"),
    ],
)
def test_options_that_cannot_be_are_refused(settings, sentence):
    with pytest.raises(OptionError, match=sentence):
        VideoOptions(**settings)


def test_too_many_videos_for_one_picture_are_refused(run, tmp_path):
    paths = [run.parent / "valid" / "rolling" / "8.mp4"] * 13
    with pytest.raises(OptionError, match="13 videos are too many for one picture"):
        elman.load(run)(paths, png=str(tmp_path / "s.png"))
    assert not (tmp_path / "s.png").exists()


def test_a_seed_reproduces_and_another_does_not(data, tmp_path):
    weights = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        settings = {**SMALL, "epochs": 1, "seed": seed}
        train(video, Data(data / "valid"), tmp_path / name, settings, progress=Silence())
        weights.append((tmp_path / name / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]


def test_long_videos_are_cut_in_training_and_rare_labels_count_more(data):
    rows = video.read(data / "valid", VideoOptions(size=16))
    [clip, *_] = video.cut([row.value for row in rows], 5)
    assert video.length(clip) == 5
    examples = [row.value for row in rows][:4]  # bouncing, bouncing, bouncing, rolling
    learned = video.build_vocab(examples, VideoOptions(), 0)
    model = video.build(VideoOptions(balance=1.0), elman.cells.gru, learned)
    assert model.class_weights.tolist() == pytest.approx([4 / 6, 2.0])


def test_colours_can_be_seen(data, tmp_path):
    settings = {**SMALL, "epochs": 1, "colour": True}
    trained, _ = train(video, Data(data / "valid"), tmp_path / "r", settings, progress=Silence())
    assert trained.model.embedding.convolutions[0].weight.shape[1] == 6
    [answer] = trained(data / "valid" / "rolling" / "8.mp4", png=str(tmp_path / "s.png"))
    assert answer.strip.frames.shape[1] == 3


def test_the_runner_of_the_demo_is_what_the_formulas_draw():
    [path] = video.demo.values()
    shape = FrameShape(size=64)
    shipped, drawn = read_video(path, shape).frames, read_video(runner(), shape).frames
    assert shipped.shape == drawn.shape == (20, 1, 64, 64)
    # another version of the codec may lose something else
    assert (shipped.int() - drawn.int()).abs().float().mean() < 2


@pytest.mark.skipif("video" not in models(), reason="the model of videos is not there")
def test_the_demo_comes_out_right_and_is_drawn(command, tmp_path):
    status, out, _ = command("demo", "video", "--out", tmp_path)
    assert status == 0
    assert "running" in out.partition("out")[2]
    assert (tmp_path / "runner.png").stat().st_size > 10_000
