"""Whole models in ONNX Runtime beside Elman, small ones with random weights of every kind."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

import elman
from elman import cells
from elman.errors import ExportError, OptionError
from elman.export.forms import Calls, Form, forms_of
from elman.models import (
    BagOfWords,
    Classifier,
    Generator,
    Tagger,
    Transcriber,
    Transducer,
    Translator,
    WindowTagger,
    WordFeatures,
)
from elman.models.direct_scores import DirectScores
from elman.nn.characters import CharacterConvolution, CharacterRecurrence
from elman.nn.embedding import WordEmbedding
from elman.nn.predictions import IndependentPitches, NextToken, OrderedPitches
from thorough import few

Recurrent = elman.Recurrent


def embedding():
    return WordEmbedding(20, 4)


def encoder(cell=cells.gru, **options):
    return Recurrent(cell, 4, 5, **{"bidirectional": True, **options})


def features(**options):
    return WordFeatures(embedding(), num_shapes=6, shape_size=2, **options)


MODELS = {
    "classifier-max": lambda: Classifier(embedding(), encoder(), 3),
    "classifier-last": lambda: Classifier(embedding(), encoder(cells.lstm), 3, pooling="last"),
    "classifier-middle": lambda: Classifier(embedding(), encoder(), 3, pooling="middle"),
    "classifier-mean": lambda: Classifier(
        embedding(), encoder(cells.peephole_lstm, num_layers=2), 3, pooling="mean"
    ),
    "classifier-attention": lambda: Classifier(embedding(), encoder(), 3, pooling="attention"),
    "bag": lambda: BagOfWords(embedding(), 6, 3),
    "tagger-crf": lambda: Tagger(
        features(characters=CharacterRecurrence(cells.lstm, 9, 3, 2)),
        Recurrent(cells.lstm, 10, 4, bidirectional=True),
        4,
    ),
    "tagger-softmax": lambda: Tagger(
        features(characters=CharacterConvolution(9, 3, 2)), Recurrent(cells.rnn, 8, 4), 4, crf=False
    ),
    "tagger-direct": lambda: Tagger(
        features(), Recurrent(cells.gru, 6, 4), 4, direct=DirectScores(9, 3, 4)
    ),
    "window": lambda: WindowTagger(features(), 4, window=1),
    "window-direct": lambda: WindowTagger(features(), 4, direct=DirectScores(9, 3, 4)),
    "transcriber": lambda: Transcriber(Recurrent(cells.lstm, 6, 5, 2), 7, frames_per_step=3),
    "transcriber-both": lambda: Transcriber(
        Recurrent(cells.layer_norm_gru, 4, 5, bidirectional=True), 7, frames_per_step=2
    ),
    "transducer": lambda: Transducer(
        Recurrent(cells.lstm, 6, 5, 2), Recurrent(cells.gru, 4, 3), 7, joint_size=8
    ),
    "transducer-both": lambda: Transducer(
        Recurrent(cells.gru, 6, 5, bidirectional=True), Recurrent(cells.lstm, 4, 3), 7
    ),
    "generator-tokens": lambda: Generator(
        embedding(), Recurrent(cells.lstm, 4, 5, 2), NextToken(5, 20)
    ),
    "generator-pitches": lambda: Generator(
        nn.Identity(), Recurrent(cells.gru, 4, 5), IndependentPitches(5, 4)
    ),
    "generator-ordered": lambda: Generator(
        nn.Identity(), Recurrent(cells.rnn, 4, 5), OrderedPitches(5, 4, 6)
    ),
    "translator": lambda: Translator(cells.gru, 20, 15, embedding_size=4, hidden_size=5),
    "translator-feeding": lambda: Translator(
        cells.lstm, 20, 15, embedding_size=4, hidden_size=5, attention="additive",
        input_feeding=True,
    ),
}  # fmt: skip
FORMS = {
    "transcriber": ["sequence", "step"],
    "transducer": ["sequence", "step", "predict", "joint"],
    "transducer-both": ["sequence", "predict", "joint"],
    "generator-tokens": ["sequence", "step"],
    "generator-pitches": ["sequence", "step"],
    "generator-ordered": ["sequence", "step"],
    "translator": ["encode", "decode"],
    "translator-feeding": ["encode", "decode"],
}
#: one model of each class and with each part; others differ in what is around the same parts
FIRST = {
    "classifier-last", "classifier-middle", "classifier-attention", "bag", "tagger-direct",
    "window", "transducer", "generator-ordered", "translator-feeding",
}  # fmt: skip


def model_of(name):
    torch.manual_seed(0)
    model = MODELS[name]()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.7 * torch.randn_like(parameter))
    return model.eval()


def session_of(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "form"),
    few(
        [(name, form) for name in MODELS for form in FORMS.get(name, ["sequence"])],
        keep=lambda case: case[0] in FIRST,
    ),
)
def test_a_form_of_a_model_computes_what_the_model_does(name, form, tmp_path):
    model = model_of(name)
    done = elman.export.onnx(model, tmp_path / "a.onnx", form=form)
    assert done.difference < 1e-5
    (chosen,) = [each for each in forms_of(model) if each.name == form]
    session = session_of(tmp_path / "a.onnx")
    assert [value.name for value in session.get_inputs()] == [*chosen.inputs]
    assert [value.name for value in session.get_outputs()] == [*chosen.outputs]


def test_a_classifier_s_file_gives_its_logits_for_any_batch_and_time(tmp_path):
    model = model_of("classifier-attention")
    elman.export.onnx(model, tmp_path / "a.onnx")
    session = session_of(tmp_path / "a.onnx")
    for time, lengths in ((1, [1]), (9, [9, 3, 0, 5, 1])):
        words = torch.randint(0, 20, (time, len(lengths)))
        feeds = {"words": words.numpy(), "lengths": np.array(lengths)}
        expected = model(words, torch.tensor(lengths)).detach().numpy()
        (logits,) = session.run(None, feeds)
        np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)


def test_a_translation_goes_step_by_step_through_two_files(tmp_path):
    model = model_of("translator-feeding")
    elman.export.onnx(model, tmp_path / "encode.onnx", form="encode")
    elman.export.onnx(model, tmp_path / "decode.onnx", step=True)
    source, lengths = torch.randint(1, 20, (6, 2)), torch.tensor([6, 4])
    encode, decode = session_of(tmp_path / "encode.onnx"), session_of(tmp_path / "decode.onnx")
    names = [value.name for value in encode.get_outputs()]
    feeds = {"source": source.numpy(), "lengths": lengths.numpy()}
    kept = dict(zip(names, encode.run(None, feeds), strict=True)) | {"lengths": lengths.numpy()}
    writing = model.start(source, lengths)
    with torch.no_grad():
        for token in torch.randint(1, 15, (4, 2)):
            expected, writing = model.step(token, writing)
            found = decode.run(None, {"token": token.numpy(), **kept})
            np.testing.assert_allclose(found[0], expected.numpy(), rtol=1e-4, atol=1e-5)
            after = zip([value.name for value in decode.get_outputs()], found, strict=True)
            kept |= {
                name.removeprefix("next_"): value
                for name, value in after
                if name.startswith("next_")
            }


def test_a_tagger_s_file_holds_the_transitions_of_its_random_field(tmp_path):
    model = model_of("tagger-crf")
    elman.export.onnx(model, tmp_path / "a.onnx")
    session = session_of(tmp_path / "a.onnx")
    form = forms_of(model)[0]
    tensors = form.draw({"time": 4, "batch": 2, "length": 3, "word": 5}, torch.Generator())
    feeds = {name: t.numpy() for name, t in zip(form.inputs, tensors, strict=True)}
    _, transitions, start, end = session.run(None, feeds)
    np.testing.assert_array_equal(transitions, model.crf.transitions.detach().numpy())
    np.testing.assert_array_equal(start, model.crf.start.detach().numpy())
    np.testing.assert_array_equal(end, model.crf.end.detach().numpy())


def test_a_model_that_needs_the_future_has_no_step(tmp_path):
    for name in ("classifier-max", "transcriber-both"):
        with pytest.raises(OptionError, match="this model has no step, since its output depends"):
            elman.export.onnx(model_of(name), tmp_path / "a.onnx", step=True)
    with pytest.raises(OptionError, match="it has no form 'decode'; it has sequence"):
        elman.export.onnx(model_of("classifier-max"), tmp_path / "a.onnx", form="decode")
    assert not list(tmp_path.iterdir())


def test_a_model_nobody_described_is_a_sentence(tmp_path):
    with pytest.raises(ExportError, match="Linear is not a recurrent layer of Elman"):
        elman.export.onnx(nn.Linear(2, 2), tmp_path / "a.onnx")


class Unknown(nn.Module):
    """A model of a user's own, with whatever he computes."""

    def __init__(self, compute):
        super().__init__()
        self.compute = compute


@forms_of.register
def _(model: Unknown) -> list[Form]:
    def draw(sizes, generator):
        return (torch.randn(sizes["time"], 4, generator=generator),)

    return [Form("sequence", Calls(model.compute), {"x": ["time", 4]}, {"y": ["time", 4]}, draw)]


# what torch can compute around a layer, each beside ONNX Runtime by the export's own check
COMPUTED = {
    "branches of where": lambda x: torch.where(x > 0.1, x, x.abs() * 2) / (x * x + 1),
    "sums": lambda x: (x - x.mean(-1, keepdim=True)) * x.sum() + x.amax(0) - x.cumsum(0),
    "shapes": lambda x: x.flip(0).roll(1, 1).reshape(-1, 2, 2).transpose(1, 2).flatten(1),
    "parts": lambda x: torch.cat([x[:, 2:], x[..., :2]], -1)[torch.arange(x.shape[0])],
    "stacks": lambda x: torch.stack(x.unbind(1), -1).clamp(-1, 1) + x.clamp_min(0).sqrt(),
    "products": lambda x: (x @ torch.eye(4)).softmax(-1) @ torch.ones(4, 4),
    "masks": lambda x: x.masked_fill((x < 0) & (x > -1), 3.0) * ~(x == 0),
    "sizes": lambda x: x.new_full((x.shape[0], 4), 2.0) + torch.arange(x.shape[0])[:, None] // 2,
}


@pytest.mark.parametrize("name", COMPUTED)
def test_what_stands_around_a_layer_is_translated(name, tmp_path):
    assert elman.export.onnx(Unknown(COMPUTED[name]), tmp_path / "a.onnx").difference < 1e-5


def test_an_operator_without_a_form_and_python_that_cannot_be_traced_are_sentences(tmp_path):
    with pytest.raises(ExportError, match=r"the operator aten\.\S+ of torch has no ONNX form here"):
        elman.export.onnx(Unknown(lambda x: torch.linalg.qr(x.T)[0].T), tmp_path / "a.onnx")
    with pytest.raises(ExportError, match=r"torch\.export cannot trace it \("):
        elman.export.onnx(Unknown(lambda x: x if x.sum() > 0 else -x), tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())
