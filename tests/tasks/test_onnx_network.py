"""``elman.load`` and ``elman predict`` of an ONNX file give the answers of the run."""

import io
import shutil
from functools import cache
from pathlib import Path

import onnx
import pytest
import torch

import elman
import elman.shipped
from elman.cli.export import export_to_onnx
from elman.errors import ExportError, RunError
from elman.files import write_whole
from elman.tasks import TASKS

DEMO = Path(elman.shipped.__file__).parent / "demo"
#: inputs and options for each shipped model
ASKED = {
    "sentiment": ["There is nothing to like in this movie.", "A warm and funny film.", "x"],
    "ner": ["Yesterday, Harry Potter met Hermione Granger.", "London", "to be or not to be"],
    "speech": [DEMO / "fox.flac"],
    "music": ["--seconds", "4", "--seed", "3"],
    "language": ["ROMEO:", "--length", "20", "--seed", "3"],
    "dna": ["AGCCCCTGTGAGGAACTAG", "ACGTN", "A"],
    "translation": ["Good morning.", "The dog ran to the house.", "x", "--beam", "3"],
    "video": [DEMO / "runner.mp4"],
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The shipped models as ONNX files, each exported when it is first asked for."""
    folder = tmp_path_factory.mktemp("onnx")
    return cache(lambda name: export_to_onnx(name, folder))


@pytest.mark.slow
@pytest.mark.parametrize("name", ASKED)
def test_files_answer_as_their_run_does(name, exported, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    by_torch = command("predict", name, *ASKED[name])
    by_onnx = command("predict", exported(name), *ASKED[name])
    assert by_onnx == by_torch
    assert by_onnx[0] == 0


def close(ours, theirs):
    """Whether scores agree, those in tables too."""
    if isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all([close(ours[k], theirs[k]) for k in theirs])
    return ours == theirs or abs(ours - theirs) <= 1e-4 * max(1, abs(theirs))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sentiment", "ner", "music", "dna", "translation", "video"])
def test_files_have_the_scores_of_their_run(name, exported, tmp_path):
    task = TASKS[name]
    for file, content in task.samples().items():
        write_whole(tmp_path / file, content)
    data = tmp_path / task.valid_file
    if name == "ner":  # the samples' kinds of names are not those of the shipped model
        data.write_text("London\tB-LOC\nis\tO\ngreat\tO\n\nHarry\tB-PER\nPotter\tI-PER\n")
    if name == "dna":  # the shipped model knows one strand
        genes = data.with_suffix(".gff3")
        lines = genes.read_text().splitlines(keepends=True)
        genes.write_text("".join([line for line in lines if "\t-\t" not in line]))
    if name == "video":
        folders = [*elman.load(name).symbols.labels]
        for label, own in zip(folders, sorted([*data.iterdir()]), strict=False):
            own.rename(data / label)
    theirs = elman.load(name).evaluate(data)
    ours = elman.load(exported(name)).evaluate(data)
    assert close(ours, theirs), (ours, theirs)


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "inputs"),
    [
        (["--prediction", "independent"], 2),
        (["--model", "events"], 2),
        (["--descending", "true", "--cell", "gru"], 3),
    ],
)
def test_every_kind_of_music_is_made_by_files(options, inputs, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command("new", "music", "d")[0] == 0
    train = "d/train.json"
    if "events" in options:
        (tmp_path / "tunes").mkdir()
        for k in range(3):
            (tmp_path / "tunes" / f"{k}.mid").write_bytes((tmp_path / "d/primer.mid").read_bytes())
        train = "tunes"
    status, _, err = command(
        "train", "music", "--train", train, "--valid", train, "--out", "run", "--epochs", "1",
        "--hidden-size", "12", *options,
    )  # fmt: skip
    assert status == 0, err
    status, _, err = command("export", "run", "--to", "onnx")
    assert status == 0, err
    assert len([*tmp_path.glob("run*.onnx")]) == inputs
    asked = ("--seconds", "3", "--primer", "d/primer.mid", "--json")
    by_torch, by_onnx = command("predict", "run", *asked), command("predict", "run.onnx", *asked)
    assert by_torch == by_onnx
    assert by_torch[0] == 0
    theirs, ours = [elman.load(run).evaluate(Path(train)) for run in ("run", "run.onnx")]
    assert close(ours, theirs), (ours, theirs)


@pytest.mark.slow
def test_films_and_sounds_that_arrive_are_heard_by_the_step_s_file(exported):
    with (DEMO / "runner.mp4").open("rb") as film:
        theirs = [*elman.load("video").stream(film)]
    with (DEMO / "runner.mp4").open("rb") as film:
        ours = [*elman.load(exported("video")).stream(film)]
    assert ours == theirs
    assert len(ours) > 10
    noise = torch.randn(16000, generator=torch.Generator().manual_seed(0)) * 3000
    sound = noise.short().numpy().tobytes()
    theirs = [*elman.load("speech").stream(io.BytesIO(sound))]
    assert [*elman.load(exported("speech")).stream(io.BytesIO(sound))] == theirs


@pytest.mark.slow
def test_sequences_longer_than_a_piece_are_read_by_the_file(exported, monkeypatch):
    from elman.tasks.dna import prediction

    bases = "".join(["ACGT"[k] for k in torch.randint(4, (3000,)).tolist()])
    monkeypatch.setattr(prediction, "PIECE", 1000)
    theirs, ours = [elman.load(run)([bases])[0] for run in ("dna", exported("dna"))]
    assert ours.genes == theirs.genes


@pytest.mark.slow
def test_weights_that_no_file_gave_are_never_used(exported):
    model = elman.load(exported("video"))
    with pytest.raises(RunError, match=r"video\.onnx: this operation needs the weights"):
        model.model.encoder(torch.zeros(2, 1, model.model.encoder.input_size))


@pytest.mark.slow
def test_what_is_not_beside_a_file_is_a_sentence(exported, tmp_path):
    source = exported("music")
    for name in ("music.onnx", "music.step.onnx"):
        shutil.copy(source.with_name(name), tmp_path)
    model = elman.load(tmp_path / "music.step.onnx")
    with pytest.raises(RunError, match=r"also needs music\.choose\.onnx beside it; `elman export"):
        model(seconds=2)
    shutil.copy(exported("video").with_name("video.step.onnx"), tmp_path / "music.choose.onnx")
    with pytest.raises(RunError, match=r"choose\.onnx: it is of another model than .*music"):
        elman.load(tmp_path / "music.onnx")(seconds=2)


@pytest.mark.slow
def test_the_network_of_the_file_is_onnx_runtime_s(command, tmp_path, monkeypatch):
    """Weights of the torch model, which are random, have no part in the answer."""
    monkeypatch.chdir(tmp_path)
    assert command("export", "sentiment", "--to", "onnx")[0] == 0
    model = elman.load("sentiment.onnx")
    words, lengths = torch.tensor([[5], [7], [9]]), torch.tensor([3])
    before = model.model(words=words, lengths=lengths)
    with torch.no_grad():
        for parameter in model.model.parameters():
            parameter.zero_()
    assert torch.equal(model.model(words=words, lengths=lengths), before)
    expected = elman.load("sentiment").model(words, lengths)
    torch.testing.assert_close(before, expected, rtol=1e-5, atol=1e-5)


def test_a_file_that_is_no_trained_model_is_a_sentence(tmp_path):
    elman.export.onnx(elman.Recurrent(elman.cells.gru, 3, 4), tmp_path / "layer.onnx")
    with pytest.raises(
        RunError, match=r"layer\.onnx: the metadata elman\.task are missing; give a file"
    ):
        elman.load(tmp_path / "layer.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(ExportError, match=r"broken\.onnx: ONNX Runtime \S+ cannot load it"):
        elman.load(tmp_path / "broken.onnx")
    with pytest.raises(RunError, match=r"none\.onnx: there is no such file"):
        elman.load(tmp_path / "none.onnx")


@pytest.mark.parametrize(
    ("entry", "value", "sentence"),
    [
        ("elman.task", "poetry", "the task is 'poetry', and this installation has speech, "),
        ("elman.options", "{", "its options cannot be read .*; copy it again"),
    ],
)
def test_metadata_that_do_not_fit_are_a_sentence(entry, value, sentence, tmp_path):
    said = {
        "elman.task": "sentiment",
        "elman.symbols": "{}",
        "elman.options": "{}",
        "elman.cell_graph": "{}",
        entry: value,
    }
    layer = elman.Recurrent(elman.cells.gru, 3, 4)
    elman.export.onnx(layer, tmp_path / "a.onnx", metadata=said)
    model = onnx.load(tmp_path / "a.onnx")
    onnx.helper.set_model_props(model, said | {"elman.form": "sequence"})
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(RunError, match=sentence):
        elman.load(tmp_path / "a.onnx")


@pytest.mark.thorough
@pytest.mark.slow
def test_the_demo_shows_the_same_by_exported_files(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def shown(*arguments):
        status, out, err = command("demo", "music", "translation", "video", *arguments)
        assert status == 0, err
        return [line for line in out.splitlines() if "loading the model" not in line]

    by_elman = shown()
    tune = (tmp_path / "elman-demo" / "tune.mid").read_bytes()
    assert shown("--engine", "onnx", "--files", "files") == by_elman
    assert (tmp_path / "elman-demo" / "tune.mid").read_bytes() == tune
    assert len([*(tmp_path / "files").glob("*.onnx")]) == 7
    status, _, err = command("demo", "--files", "files")
    assert (status, "--files needs --engine onnx" in err) == (1, True)


@pytest.mark.slow
@pytest.mark.parametrize("constants", ['{"confidence": [1]}', '{"slope": 1}', "[1, 2]", "{"])
def test_damaged_constants_get_a_sentence(constants, exported, tmp_path):
    first = Path(exported("translation"))
    shutil.copytree(first.parent, tmp_path / "files")
    path = tmp_path / "files" / first.name
    model = onnx.load(path)
    (entry,) = [each for each in model.metadata_props if each.key == "elman.constants"]
    entry.value = constants
    onnx.save(model, path)
    with pytest.raises(RunError, match=r"elman\.constants"):
        elman.load(path)
