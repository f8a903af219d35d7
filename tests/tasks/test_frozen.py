"""While a trained model answers, its weights are looked at once and not at each step."""

import io
from importlib import resources

import pytest
import soundfile
import torch

import elman
from elman.backends.native.llvm import fingerprint
from elman.nn import Recurrent
from elman.nn.frozen import frozen_weights


@pytest.fixture
def looks(monkeypatch):
    found = []
    function, *others = fingerprint._function()

    def counted(address):
        found.append(address)
        return function(address)

    monkeypatch.setattr(fingerprint, "_function", lambda: (counted, *others))
    return found


def layers_of(model):
    return [each for each in model.model.modules() if isinstance(each, Recurrent)]


def directions(model):
    return sum([each.num_layers * (2 if each.bidirectional else 1) for each in layers_of(model)])


def double(model):
    """Change weights as neither torch nor a count of versions can see."""
    with torch.no_grad():
        for layer in layers_of(model):
            for parameter in layer.parameters():
                parameter.data.mul_(2)


#: the demo's sentence, as a stream of 16 bits
FOX = resources.files("elman") / "shipped" / "demo" / "fox.flac"
SOUND = soundfile.read(io.BytesIO(FOX.read_bytes()), dtype="int16")[0].astype("<i2").tobytes()
ANSWERS = {
    "music": lambda model: [a.piece for a in model(None, seconds=8.0, seed=1)],
    "translation": lambda model: [
        model.task.record(a) for a in model(["Bonjour, comment allez-vous ?"] * 2)
    ],
    "speech": lambda model: list(model.stream(io.BytesIO(SOUND))),
}


@pytest.mark.parametrize("task", ANSWERS)
def test_an_answer_looks_at_each_weight_once(task, looks):
    model = elman.load(task)
    answer = ANSWERS[task]
    first = answer(model)
    # a layer may be called by steps and as a whole
    assert 0 < len(looks) <= 2 * directions(model)
    assert not any([layer._frozen for layer in layers_of(model)])
    looks.clear()
    double(model)
    changed = answer(model)
    assert len(looks) <= 2 * directions(model)
    assert changed != first, "the weights of the second answer are those of the first"
    with torch.no_grad():
        for layer in layers_of(model):
            for parameter in layer.parameters():
                parameter.data.div_(2)
    assert answer(model) == first
    assert all([layer.freeze()._frozen for layer in layers_of(model)])
    answer(model)
    assert all([layer._frozen for layer in layers_of(model)]), "the user's promise still holds"


def test_answers_at_a_time_end_with_the_last():
    layer = elman.Recurrent(elman.cells.gru, 3, 4)
    first, second = frozen_weights(layer), frozen_weights(layer)
    x = torch.randn(1, 3)
    with torch.no_grad():
        with first:
            before, _ = layer.step(x)
            for parameter in layer.parameters():
                parameter.data.mul_(2)
            with second:
                assert not torch.equal(layer.step(x)[0], before), "it looks when it begins"
            assert layer._frozen
        assert not layer._frozen
        for parameter in layer.parameters():
            parameter.data.mul_(0)
        assert torch.equal(layer.step(x)[0], torch.zeros(1, 4))


def test_training_ends_the_promise():
    layer = elman.Recurrent(elman.cells.gru, 3, 4)
    with frozen_weights(layer):
        layer.train()
        assert not layer._frozen
    assert not layer._frozen
