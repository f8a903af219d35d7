"""An answer is the same, bit for bit, in any batch and alone."""

import io
import random
import wave
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

import elman
from elman.nn import batch_invariance
from elman.nn.batch_invariance import batch_invariant
from elman.tasks import Data, train
from elman.tasks.registry import TASKS
from elman.tasks.series.samples import VALID

INDEPENDENT = [name for name, task in TASKS.items() if task.independent]
WORDS = ["a", "film", "is", "warm", ",", "funny", "not", "dull", "Harry", "Potter", "London"]
FRENCH = ["je", "suis", "content", "de", "voir", "la", "mer", "et", "nous", "devons", "partir"]


def texts(words, joint=" "):
    chance = random.Random(3)
    return [joint.join(chance.choices(words, k=k)) for k in (1, 2, 3, 5, 8, 13, 21, 34, 7, 7)]


def parts(source, name, cut, folder):
    """Files with the first part of a sound or table, of different lengths."""
    paths = []
    for k, count in enumerate(cut):
        paths.append(folder / f"{k}{name}")
        paths[-1].write_bytes(source(count))
    return paths


def sound(count):
    with wave.open(io.BytesIO(TASKS["speech"].samples()["train/05.wav"])) as given:
        made = io.BytesIO()
        with wave.open(made, "wb") as file:
            file.setparams(given.getparams())
            file.writeframes(given.readframes(count))
        return made.getvalue()


def videos(folder):
    found = [(n, c) for n, c in TASKS["video"].samples().items() if n.startswith("train/")][::7]
    for name, content in found:
        (folder / name.replace("/", "-")).write_bytes(content)
    return sorted(folder.iterdir())


def museum(count):
    return "".join([f"{line}\n" for line in VALID.split("\n")[:count]]).encode()


INPUTS = {
    "ner": lambda folder: texts(WORDS),
    "sentiment": lambda folder: texts(WORDS),
    "translation": lambda folder: texts(FRENCH),
    "dna": lambda folder: texts("ACGT" * 9 + "N", "") + texts(["GATTACA", "AGGTAAGT", "ATG"], ""),
    "speech": lambda folder: parts(sound, ".wav", (9000, 18000, 11111, 4000), folder),
    "video": videos,
    "series": lambda folder: parts(museum, ".csv", (30, 50, 41, 62), folder),
}
SETTINGS = {
    "translation": [{"n_best": 3}],
}
OPTIONS = {
    "series": [
        {"hidden_size": 6, "horizon": 5, "longest": 20, "stride": 4},
        {"hidden_size": 7, "horizon": 5, "longest": 20, "stride": 4, "cell": "lstm"},
    ],
    "sentiment": [{"pooling": each, "hidden_size": 9} for each in ("attention", "mean", "last")],
    "translation": [
        {
            "hidden_size": 9,
            "embedding_size": 7,
            "attention": "additive",
            "input_feeding": True,
            "longest": 12,
        },
    ],
    "ner": [{"crf": False, "hidden_size": 9}],
    "dna": [{"grammar": False, "kmer": 0, "hidden_size": 9}],
}
#: a model that ships, or one that is trained with these options
MODELS = [(name, None) for name in INDEPENDENT if name != "series"] + [
    (name, each) for name in INDEPENDENT for each in OPTIONS.get(name, [])
]


def model_of(name, options, folder):
    if options is None:
        return elman.load(name)
    task = TASKS[name]
    for path, content in task.samples().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content if isinstance(content, bytes) else content.encode())
    settings = {**options, "epochs": 1, "threads": 1}
    data = Data(folder / task.train_file, folder / task.valid_file)
    return train(task, data, folder / "run", settings)[0]


def bits(value):
    """A value of an answer, in which floats and arrays are compared bit for bit."""
    if isinstance(value, torch.Tensor):
        value = value.numpy()
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if is_dataclass(value):
        return {each.name: bits(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, dict):
        return {key: bits(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [bits(each) for each in value]
    return value.hex() if isinstance(value, float) else value


def test_every_task_that_answers_in_batches_is_tried_here():
    assert set(INDEPENDENT) == set(INPUTS)


@pytest.mark.parametrize(("name", "options"), MODELS)
def test_an_answer_is_the_same_in_any_batch_bit_for_bit(name, options, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "run").mkdir()
    model = model_of(name, options, tmp_path / "run")
    inputs = INPUTS[name](tmp_path / "in")
    assert len({Path(each).stat().st_size if isinstance(each, Path) else len(each)
                for each in inputs}) > 2  # fmt: skip
    for settings in SETTINGS.get(name, [{}]):
        alone = [bits(model([each], **settings)[0]) for each in inputs]
        for some in (slice(None), slice(None, None, -1), slice(1, 3), slice(2, None)):
            together = model(inputs[some], **settings)
            assert [bits(each) for each in together] == alone[some]


@pytest.mark.parametrize(("size", "outputs"), [(128, 3), (57, 31), (512, 400)])
def test_a_linear_layer_in_blocks_has_the_same_rows_in_any_batch(size, outputs):
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(size, outputs), torch.randn(700, 2, size)
    with torch.no_grad(), batch_invariant():
        whole = layer(x)
        for start, end in ((0, 1), (3, 5), (7, 40), (100, 600), (699, 700)):
            assert torch.equal(layer(x[start:end]), whole[start:end])
            assert torch.equal(layer(x[start:end, :1]), whole[start:end, :1])
    with torch.no_grad():
        torch.testing.assert_close(whole, layer(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("limit", "largest"), [(9999, 1024), (1000, 256), (100, 64), (30, 16)])
def test_large_blocks_are_used_only_where_they_give_the_bits_of_small_ones(
    monkeypatch, limit, largest
):
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(100, 30), torch.randn(1500, 100)
    linear = torch.nn.functional.linear
    sizes = []

    def another_order(input, weight, bias=None):  # a library that adds otherwise for many rows
        sizes.append(len(input))
        if len(input) < limit:
            return linear(input, weight, bias)
        return linear(input[:, 50:], weight[:, 50:], bias) + linear(input[:, :50], weight[:, :50])

    monkeypatch.setattr(torch.nn.functional, "linear", another_order)
    batch_invariance._like_small_blocks.cache_clear()
    try:
        with torch.no_grad():
            small = [linear(rows, layer.weight, layer.bias) for rows in x[:1488].split(16)]
            batch_invariance._linear(x, layer.weight, layer.bias)  # with trials
            sizes.clear()
            found = batch_invariance._linear(x, layer.weight, layer.bias)
    finally:
        batch_invariance._like_small_blocks.cache_clear()
    assert torch.equal(found[:1488], torch.cat(small))
    assert max(sizes) == largest


def _convolution(**named):
    torch.manual_seed(2)
    layer = torch.nn.Conv1d(6, 5, 7, **named)
    return lambda x: layer(x.permute(1, 2, 0)).permute(2, 0, 1)


#: functions of (time, batch, 6), and whether the result has a time
FUNCTIONS = {
    "sum": (lambda x: x.sum(0), False),
    "kept sum": (lambda x: torch.sum(x, 0, keepdim=True)[0], False),
    "logsumexp": (lambda x: torch.where(x == 0, -torch.inf, x).logsumexp(0), False),
    "attention": (lambda x: torch.where(x == 0, -1e9, x).softmax(0), True),
    "convolution": (_convolution(padding=3), True),
    "dilated": (_convolution(padding=6, dilation=2), True),
    "bmm": (lambda x: torch.bmm(x.permute(1, 2, 0), x.permute(1, 0, 2)), False),
    "matmul": (lambda x: x @ torch.arange(24.0).reshape(6, 4), True),
    "pictures": (lambda x: torch.nn.functional.conv2d(
        x.reshape(-1, 1, 2, 3), torch.linspace(0, 1, 8).reshape(2, 1, 2, 2)
    ).reshape(*x.shape[:2], -1), True),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_row_does_not_depend_on_its_batch_and_its_padding(name):
    function, timed = FUNCTIONS[name]
    torch.manual_seed(1)
    lengths = [3, 300, 17, 44, 259, 1, 5]
    rows = [torch.randn(length, 6) for length in lengths]
    padded = torch.nn.utils.rnn.pad_sequence(rows)
    with torch.no_grad():
        with batch_invariant():
            together = function(padded)
            alone = [function(row[:, None]) for row in rows]
        plain = function(padded)
    torch.testing.assert_close(together, plain, atol=1e-4, rtol=1e-4)
    for k, (length, own) in enumerate(zip(lengths, alone, strict=True)):
        if timed:
            assert torch.equal(together[:length, k], own[:, 0])
        else:
            assert torch.equal(together[k], own[0])


def test_training_is_not_changed():
    layer, x = torch.nn.Linear(30, 5), torch.randn(100, 30, requires_grad=True)
    expected = layer(x)
    with batch_invariant():
        found = layer(x)
        found.sum().backward()
    assert torch.equal(found, expected)
    assert x.grad is not None
