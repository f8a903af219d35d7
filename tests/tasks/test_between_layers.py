"""What stands between recurrent layers, as an option of every task: trained, saved, asked, exported.

``tests/nn/test_between.py`` tests what the layers compute.
"""

import io
import json
import sys
from dataclasses import fields, replace
from functools import partial

import pytest
import torch
from torch import nn

import elman
from elman.cli.export import export_to_onnx
from elman.errors import OptionError
from elman.models import Classifier
from elman.nn.between import Between
from elman.nn.embedding import WordEmbedding
from elman.tasks import TASKS, Data, train
from elman.tasks.recurrent_options import (
    BidirectionalOptions,
    RecurrentOptions,
    recurrent_keywords,
    recurrent_layer,
    refuse_unused,
)
from elman.tasks.registry import OWN
from elman.training.progress import Silence
from tasks.conftest import needs, samples
from tasks.test_contract import LOOP, contract

#: every option that a model in one direction can have
ONE_WAY = {"residual": True, "norm": True, "learned_state": True}
#: what gives each task's model more than one layer
DEEP = {"translation": {"encoder_layers": 2, "decoder_layers": 3}}
#: the tasks whose models stream read in one direction here, the others in both
STREAMS = {name for name in OWN if TASKS[name].streams}
GRU, LSTM = elman.cells.gru, elman.cells.lstm


def settings_of(name):
    names = {each.name for each in fields(TASKS[name].Options)}
    found = {**contract(name).SETTINGS, **ONE_WAY, **DEEP.get(name, {"num_layers": 2})}
    if "merge" in names and name not in STREAMS:
        found |= {"merge": "mean"}
        found |= {"bidirectional": True} if "bidirectional" in names else {}
    return found


@pytest.fixture(scope="module", params=sorted(OWN))
def run(request, tmp_path_factory):
    """(task, its contract, the folder of its samples, a run of some steps)."""
    task = TASKS[request.param]
    folder = samples(tmp_path_factory.mktemp(task.name), task.name)
    data = Data(folder / task.valid_file, folder / task.valid_file, "samples", "Apache-2.0")
    settings = {**LOOP, **settings_of(task.name), "learning_rate": 0.05}
    train(task, data, folder / "run", settings, progress=Silence())
    return task, contract(task.name), folder, folder / "run"


def inputs_of(tiny, folder):
    return [folder / each if (folder / each).exists() else each for each in tiny.INPUTS]


def test_a_run_has_them_in_its_layers_and_answers_when_loaded(run):
    task, tiny, folder, path = run
    trained = elman.load(path)
    wanted = {name: value for name, value in settings_of(task.name).items() if name in ONE_WAY}
    assert {name: getattr(trained.options, name) for name in ONE_WAY} == wanted
    layers = [
        each for each in trained.model.modules()
        if isinstance(each, elman.Recurrent) and each.stack.between != Between()
    ]  # fmt: skip
    assert layers
    for layer in layers:
        merge = settings_of(task.name).get("merge") if layer.bidirectional else None
        assert layer.stack.between.merge == (merge or "concatenate")
    learned = [s for each in layers if each.stack.between.learned_state for s in each.initial_state]
    assert learned
    assert all([bool(state.any()) for state in learned]), "they have been trained"
    norms = [norm for each in layers if each.stack.between.norm for norm in each.norms]
    assert norms
    assert all([bool((norm.weight != 1).any()) for norm in norms])
    answers = [task.record(answer) for answer in trained(inputs_of(tiny, folder))]
    again = [task.record(answer) for answer in elman.load(path)(inputs_of(tiny, folder))]
    assert answers == again


def test_a_stream_is_answered_from_the_learned_state(run, command, monkeypatch):
    task, tiny, _, path = run
    if not task.streams:
        pytest.skip(f"{task.name} does not stream")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(tiny.STREAM)))
    status, out, err = command("predict", path, "--stream")
    assert status == 0, err
    assert out


@pytest.mark.thinned(3)
def test_its_onnx_files_answer_as_the_run_does(run, tmp_path):
    task, tiny, folder, path = run
    inputs = inputs_of(tiny, folder)
    file = export_to_onnx(str(path), tmp_path)
    theirs, ours = [
        json.loads(json.dumps([task.record(each) for each in elman.load(run)(inputs)], default=str))
        for run in (path, file)
    ]
    assert close(ours, theirs)


def close(ours, theirs):
    """Whether answers agree, with numbers to 3 digits: ONNX Runtime adds in another order."""
    if isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all([close(ours[k], theirs[k]) for k in theirs])
    if isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(close, ours, theirs))
    return ours == theirs or ours == pytest.approx(theirs, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("name", ["merge", *ONE_WAY])
def test_an_option_that_no_layer_uses_is_refused(name):
    value = "sum" if name == "merge" else True
    model = nn.Sequential(elman.Recurrent(GRU, 3, 4, 2))
    with pytest.raises(OptionError, match=f"{name} is"):
        refuse_unused(BidirectionalOptions(**{name: value}), model)
    for other in (model, nn.Linear(3, 4)):  # a baseline has no recurrent layers
        refuse_unused(BidirectionalOptions(), other)
    ways = {"bidirectional": name == "merge"}
    layer = recurrent_layer(BidirectionalOptions(**{name: value}), GRU, 3, 4, 2, **ways)
    refuse_unused(BidirectionalOptions(**{name: value}), nn.Sequential(layer))


@pytest.mark.parametrize("name", ["residual", "norm"])
def test_one_layer_has_nothing_between(name):
    options = RecurrentOptions(**{name: True})
    with pytest.raises(OptionError, match=f"{name} is true, but no recurrent layer"):
        refuse_unused(options, recurrent_layer(options, GRU, 3, 4))
    if name == "residual":
        refuse_unused(options, recurrent_layer(options, GRU, 4, 4))


@needs("sentiment")
def test_training_refuses_them_in_a_sentence(tmp_path, command):
    folder = samples(tmp_path, "sentiment")
    for flags, sentence in (
        (["--norm", "true"], "norm is true, but no recurrent layer of this model"),
        (["--merge", "sum", "--bidirectional", "false"], "merge is sum, but no recurrent layer"),
        (["--merge", "sum", "--pooling", "last"], 'Classifier: pooling is "last"'),
        (["--merge", "add"], "merge"),
    ):
        status, _, err = command(
            "train", "sentiment", "--train", folder / "train.csv", "--out", tmp_path / "run", *flags
        )
        assert status != 0
        assert sentence in err
        assert not (tmp_path / "run" / "model.safetensors").exists()


def test_only_tasks_that_read_both_ways_merge():
    for name in OWN:
        names = {each.name for each in fields(TASKS[name].Options)}
        reads_both_ways = "bidirectional" in names or "encoder_layers" in names
        assert ("merge" in names) == reads_both_ways, name


def test_pooling_of_the_last_output_needs_both_directions():
    layer = elman.Recurrent(GRU, 4, 5, bidirectional=True, merge="sum")
    with pytest.raises(OptionError, match='pooling is "last"'):
        Classifier(WordEmbedding(9, 4), layer, 2, pooling="last")
    words, lengths = torch.ones(5, 3, dtype=torch.int64), torch.tensor([5, 2, 0])
    for pooling in ("middle", "mean", "max", "attention"):
        assert Classifier(WordEmbedding(9, 4), layer, 2, pooling=pooling)(words, lengths).shape == (
            3,
            2,
        )


@needs("language")
def test_texts_begin_with_the_learned_state_and_go_on_from_the_carried_one():
    layer = elman.Recurrent(LSTM, 4, 6, 2, learned_state=True)
    with torch.no_grad():
        for state in layer.initial_state:
            state.normal_()
    model = elman.models.LanguageModel(WordEmbedding(9, 4), layer, 9)
    text, count = torch.randint(3, 9, (11, 3)), torch.tensor([5, 5, 5])
    model.loss(text[:5], text[1:6], count, torch.tensor([0, 10, 20]))
    carried = {name: tensor.clone() for name, tensor in model.carried.items()}
    # the second row goes on, the others begin
    model.loss(text[5:10], text[6:11], count, torch.tensor([7, 11, 30])).backward()
    begun = layer(model.embedding(text[5:10]))[1]
    gone_on = layer(model.embedding(text[5:10]), (carried["state.h"], carried["state.c"]))[1]
    for name, new, old in zip("hc", begun, gone_on, strict=True):
        wanted = torch.stack([new[:, 0], old[:, 1], new[:, 2]], 1)
        torch.testing.assert_close(model.carried[f"state.{name}"], wanted)
    assert all([bool(state.grad.any()) for state in layer.initial_state])
    for ours, theirs in zip(model.initial_state(2), layer.first_state(2), strict=True):
        assert torch.equal(ours, theirs)


@needs("language")
def test_a_model_that_goes_on_learning_may_leave_its_initial_state():
    from elman.tasks.language.dynamic import DynamicModel

    layer = elman.Recurrent(LSTM, 4, 6, 2, **ONE_WAY)
    model = elman.models.LanguageModel(WordEmbedding(9, 4), layer, 9)
    learner, text = DynamicModel(model, 0.5), torch.randint(3, 9, (11,))
    first = learner.model(text[:5, None], None, model.initial_state(1))[0]
    wanted = model.prediction.log_prob(first, text[1:6, None])[:, 0]
    torch.testing.assert_close(learner.read(text[:6]), wanted)
    again = learner.read(text[5:])
    assert again.shape == (5,)
    assert not torch.equal(learner.model.recurrent.norms[0].weight, layer.norms[0].weight)


@needs("language", "ner")
def test_a_language_model_with_them_becomes_an_encoder(tmp_path):
    task, folder = TASKS["language"], samples(tmp_path / "lm", "language")
    data = Data(folder / "valid.txt", folder / "valid.txt")
    small = {"hidden_size": 6, "embedding_size": 5, "num_layers": 2, "threads": 1, "epochs": 1}
    start, _ = train(task, data, tmp_path / "start", {**small, **ONE_WAY}, progress=Silence())
    ner, folder = TASKS["ner"], samples(tmp_path / "ner", "ner")
    data = Data(folder / ner.valid_file, folder / ner.valid_file)
    settings = {**LOOP, **contract("ner").SETTINGS}
    train(ner, data, tmp_path / "run", settings, start=[start], progress=Silence())
    [encoder] = elman.load(tmp_path / "run").model.features.strings.encoders
    weights = start.model.recurrent.state_dict()
    assert encoder.recurrent.stack.between == start.model.recurrent.stack.between
    for name, tensor in encoder.recurrent.state_dict().items():
        assert torch.equal(tensor, weights[name])
    grouped = [p for group in encoder.groups() for p in group]
    assert {id(p) for p in grouped} == {id(p) for p in encoder.parameters()}
    assert len(grouped) == len([*encoder.parameters()])


@pytest.mark.parametrize("kind", ["gru", "lstm"])
@pytest.mark.parametrize("merge", ["concatenate", "sum"])
def test_a_translator_learns_the_initial_states_of_its_encoder_only(kind, merge):
    options = replace(TASKS["translation"].Options(), **ONE_WAY, merge=merge, encoder_layers=2)
    keywords = {"embedding_size": 4, "hidden_size": 6, "encoder_layers": 2, "decoder_layers": 3}
    for input_feeding in (False, True):
        model = elman.models.Translator(
            getattr(elman.cells, kind), 20, 30, input_feeding=input_feeding, merge=merge,
            layer=partial(elman.Recurrent, **recurrent_keywords(options)), **keywords,
        ).train()  # fmt: skip
        source, target = torch.randint(3, 20, (5, 2)), torch.randint(3, 30, (4, 2))
        lengths, counts = torch.tensor([5, 3]), torch.tensor([4, 2])
        model.loss(source, lengths, target, counts, target).backward()
        assert [name for name, p in model.named_parameters() if p.grad is None] == []
