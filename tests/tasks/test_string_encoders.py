"""Language models as encoders of sentiment and names: what they read, and how they are trained."""

import json
from types import SimpleNamespace

import pytest
import torch

import elman
from elman.cli.export import export_to_onnx
from elman.data.units import BOUNDARY, Units
from elman.errors import ExportError, OptionError
from elman.models.string_features import StringEncoder, StringFeatures
from elman.nn.embedding import WordEmbedding
from elman.tasks import TASKS, Data, train
from elman.tasks.string_encoders import EncoderSpec, string_tensors
from elman.tasks.train import _start_and_encoders
from elman.training.progress import Silence
from tasks.conftest import needs, samples

pytestmark = needs("language", "sentiment", "ner")

LANGUAGE = {"hidden_size": 6, "embedding_size": 5, "threads": 1, "epochs": 1, "batch_size": 8}
SMALL = {"hidden_size": 6, "embedding_size": 6, "threads": 1, "epochs": 2, "batch_size": 4}


@pytest.fixture(scope="module")
def language_models(tmp_path_factory):
    """A language model for each direction, with another cell and tokens of their own."""
    task, folder = TASKS["language"], samples(tmp_path_factory.mktemp("lm"), "language")
    data = Data(folder / "valid.txt", folder / "valid.txt")
    forward, _ = train(task, data, folder / "forward", LANGUAGE, progress=Silence())
    back = {**LANGUAGE, "backward": True, "units": "bytes", "cell": "gru", "num_layers": 2}
    backward, _ = train(task, data, folder / "backward", back, progress=Silence())
    return forward, backward


@pytest.mark.parametrize("kind", ["characters", "bytes", "subwords"])
@pytest.mark.parametrize("backward", [False, True])
def test_each_word_is_read_up_to_its_last_token_in_its_direction(kind, backward):
    words = ["Zoë", "saw", "one", "low", "tower"]
    text = " ".join(words)
    units = {
        "characters": lambda: Units.characters([text]),
        "bytes": lambda: Units("bytes"),
        "subwords": lambda: Units.learn_subwords([text], 300),
    }[kind]()
    spec = EncoderSpec(units, elman.cells.gru, backward, 4, 4, 1)
    tokens, places = spec.read(words)
    assert tokens[0] == BOUNDARY
    whole = tokens[1:][::-1] if backward else tokens[1:]
    assert units.decode(whole) == text
    for word, place in zip(words, places, strict=True):
        read = tokens[1 : place + 1]
        if backward:
            rest = units.decode(read[::-1])
            assert text.endswith(rest)
            assert rest.lstrip().startswith(word)
            # nothing of the word before has been read
            assert len(rest) <= len(text) - text.index(f" {word}" if word != "Zoë" else word)
        else:
            assert units.decode(read) == text[: text.index(word) + len(word)]


def test_features_are_those_of_the_language_model_read_alone(language_models):
    forward, backward = language_models
    sentences = [["Day", "7", "."], ["Fog", "lay", "on", "the", "water"]]
    specs = [each.task.encoder(each.fitted, each.cell) for each in (forward, backward)]
    features = StringFeatures([spec.build() for spec in specs])
    for encoder, model in zip(features.encoders, (forward, backward), strict=True):
        weights = model.model.state_dict()
        encoder.load_state_dict({name: weights[name] for name in encoder.state_dict()})
    found = features(*string_tensors(sentences, specs).values())
    assert found.shape == (5, 2, 12)
    for row, words in enumerate(sentences):
        parts = []
        for spec, model in zip(specs, (forward, backward), strict=True):
            tokens, places = spec.read(words)
            alone, _ = model.model.eval()(torch.tensor(tokens)[:, None])
            parts.append(alone[places, 0])
        torch.testing.assert_close(found[: len(words), row], torch.cat(parts, -1))


def test_a_backward_model_predicts_the_text_from_its_end_and_does_not_write(language_models):
    _, backward = language_models
    from elman.tasks.language.data import prepare
    from elman.tasks.language.sections import Section

    [window] = prepare([Section("ab")], backward.symbols, backward.options)
    assert window.tokens.tolist() == [2, *backward.symbols.encode("ba").tolist(), 2]
    with pytest.raises(OptionError, match="cannot write on"):
        backward(["Day"])


def test_layers_are_unfrozen_one_by_one_from_the_top():
    recurrent = elman.Recurrent(elman.cells.lstm, 4, 4, 2)
    features = StringFeatures([StringEncoder(WordEmbedding(9, 4), recurrent)], unfreeze_steps=2)
    strings, places = torch.randint(3, 9, (1, 6, 2)), torch.tensor([[[2, 3], [5, 5]]])
    encoder = features.encoders[0]
    trained = []
    for _ in range(8):
        features.zero_grad()
        found = features(strings, places)
        if found.requires_grad:
            found.sum().backward()
        trained.append([all(p.grad is not None for p in group) for group in encoder.groups()])
        assert all(p.requires_grad for p in features.parameters()), "the optimiser has them all"
    assert (
        trained
        == [[False] * 3] * 2
        + [[True, False, False]] * 2
        + [[True, True, False]] * 2
        + [[True] * 3] * 2
    )
    features.eval()(strings, places)
    assert int(features.carried["steps"]) == 8
    frozen = StringFeatures([StringEncoder(WordEmbedding(9, 4), recurrent)])
    assert not any(p.requires_grad for p in frozen.parameters())


@pytest.mark.parametrize("name", ["sentiment", "ner"])
def test_a_task_on_words_takes_language_models_as_encoders(name, language_models, tmp_path):
    task, folder = TASKS[name], samples(tmp_path, name)
    data = Data(folder / task.valid_file, folder / task.valid_file)
    trained, _ = train(task, data, folder / "run", SMALL, start=language_models, progress=Silence())
    again = elman.load(folder / "run")
    [ours, theirs] = [
        [task.record(a) for a in each(["Anna smiled ."])] for each in (trained, again)
    ]
    assert ours == theirs
    weights = again.model.state_dict()
    for k, model in enumerate(language_models):
        found = [n for n in weights if f"strings.encoders.{k}." in n]
        assert len(found) == len(model.model.embedding.state_dict()) + len(
            model.model.recurrent.state_dict()
        )
        for key in found:
            own = model.model.state_dict()[key.split(f"strings.encoders.{k}.")[1]]
            assert torch.equal(weights[key], own), "frozen weights stay as they were"
    with pytest.raises(ExportError, match="language models as encoders cannot be exported"):
        export_to_onnx(str(folder / "run"), tmp_path)


def test_a_resumed_training_unfreezes_at_the_same_steps(language_models, tmp_path):
    task, folder = TASKS["sentiment"], samples(tmp_path, "sentiment")
    data = Data(folder / task.valid_file, folder / task.valid_file)
    steps = {**SMALL, "unfreeze_steps": 3, "schedule": "constant", "phrases": 0}
    whole, parts = folder / "whole", folder / "parts"
    train(task, data, whole, steps, start=language_models, progress=Silence())
    train(task, data, parts, {**steps, "epochs": 1}, start=language_models, progress=Silence())
    train(task, data, parts, steps, resume=True, progress=Silence())
    found = [(each / "model.safetensors").read_bytes() for each in (whole, parts)]
    assert found[0] == found[1]
    before = language_models[0].model.recurrent.state_dict()
    after = elman.load(whole).model.strings.encoders[0].recurrent.state_dict()
    assert not all(torch.equal(before[key], after[key]) for key in before)


def test_what_is_no_encoder_is_refused_and_a_command_takes_two(
    language_models, tmp_path, command, trained
):
    folder = samples(tmp_path, "sentiment")
    runs = [str(each.folder.path) for each in language_models]
    flags = ("--hidden-size", 4, "--epochs", 1, "--threads", 1)
    start = ("train", "sentiment", "--train", folder / "valid.csv", "--out", folder / "run", *flags)
    status, _, err = command(*start, "--init-from", f"{runs[0]},{trained['ner']}")
    assert status == 1
    assert "is a model for ner, not for sentiment" in err
    status, _, err = command(*start, "--init-from", ",".join(runs), "--model", "bag_of_words")
    assert status == 1
    assert "can be the encoder of the model recurrent, not of bag_of_words" in err
    status, _, err = command(*start, "--init-from", ",".join(runs))
    assert status == 0, err
    assert len(json.loads((folder / "run" / "symbols.json").read_text())["encoders"]) == 2
    # a model with encoders is trained further as it is
    status, _, err = command(*start[:4], "--out", folder / "more", "--init-from", folder / "run")
    assert status == 0, err


def test_models_to_initialise_from_are_one_or_two_encoders(tmp_path):
    def model(task, name):
        folder = SimpleNamespace(path=tmp_path / name)
        return SimpleNamespace(task=SimpleNamespace(name=task), name=name, folder=folder)

    a, b, c = [model("sentiment", name) for name in "abc"]
    for given, sentence in [
        ([a, b], "a is a model for sentiment itself; name it alone"),
        ([b, a, a], "a is named twice; name each model once"),
        ([a, b, c], "3 models are named; name one, or two encoders"),
    ]:
        with pytest.raises(OptionError, match=sentence):
            _start_and_encoders(TASKS["sentiment"], given)
