"""Whatever the operator and the layers are given, they compute it or say in a sentence why not.

Thousands of wrong calls run in a process of their own (``malformed.py``), which none may end.
"""

import os
import re
import subprocess
import sys
import threading
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

import elman
from elman.backends.native.guard import guard_of, slow_guard_of
from elman.errors import BackendError, OptionError, ShapeError
from thorough import few

MALFORMED = Path(__file__).with_name("malformed.py")
INPUT, HIDDEN, TIME, BATCH = 5, 11, 4, 3
each_backend = pytest.mark.parametrize("backend", ["native", "reference"])


@pytest.mark.parametrize("count", few([500, 2000], keep=lambda count: count == 500))
def test_no_wrong_call_ends_the_process(count):
    path = os.pathsep.join([*sys.path, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(MALFORMED), str(count)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    counts = [int(n) for n in re.findall(r"\d+", done.stdout.splitlines()[-1])]
    calls, refused = counts
    assert calls == count
    assert refused > calls / 2


def made(**options):
    torch.manual_seed(0)
    return elman.Recurrent(elman.cells.lstm, INPUT, HIDDEN, **options).eval()


def given(layer, **changes):
    """The operator's arguments, some of them others."""
    torch.manual_seed(1)
    arguments = {
        "x": torch.randn(TIME, BATCH, INPUT),
        "states": [torch.randn(BATCH, HIDDEN) for _ in range(2)],
        "parameters": [p.detach() for p in layer.parameters()],
        "lengths": torch.tensor([4, 0, 2]),
        "cell": layer.cell.text,
        "reverse": False,
        "save": True,
        "backend": "native",
        "masks": [],
        "sides": [],
    }
    return {**arguments, **changes}


def call(layer, **changes):
    return torch.ops.elman.recurrent(**given(layer, **changes))


WRONG = {
    "few states": ("states", lambda v: v[:1], "expected 2 states (h, c), got 1"),
    "a small state": ("states", lambda v: [v[0], v[1][:, :4]], "the initial c has the shape (3, 4)"),
    "another batch": ("states", lambda v: [s[:2] for s in v], "the initial h has the shape (2, 11)"),
    "a state of another type": ("states", lambda v: [v[0], v[1].double()], "the initial c is torch.float64"),
    "no parameters": ("parameters", lambda v: [], "expected 8 parameters (W.i"),
    "a small parameter": ("parameters", lambda v: [torch.zeros(1), *v[1:]], "W.i has the shape (1,)"),
    "turned about": ("parameters", lambda v: [v[0].mT, *v[1:]], "W.i has the shape (16, 11)"),
    "whole numbers": ("parameters", lambda v: [*v[:-1], v[-1].long()], "b.o is torch.int64 on cpu"),
    "lengths of another batch": ("lengths", lambda v: v[:2], "lengths has the shape (2,)"),
    "lengths with two axes": ("lengths", lambda v: v[None], "lengths has the shape (1, 3)"),
    "fractions of steps": ("lengths", lambda v: v.float(), "lengths are torch.float32"),
    "too long": ("lengths", lambda v: v + 2, "lengths range from 2 to 6, but x has 4 steps"),
    "below zero": ("lengths", lambda v: v - 1, "lengths range from -1 to 3"),
    "one sequence": ("x", lambda v: v[:, 0], "x has the shape (4, 5)"),
    "a mask too many": ("masks", lambda v: [torch.ones(3, 11)], "expected 0 masks, got 1"),
    "a side input too many": ("sides", lambda v: [torch.ones(4, 3, 11)], "expected 0 side inputs, got 1"),
    "sparse": ("x", lambda v: v.to_sparse(), "x is of layout torch.sparse_coo; convert it"),
    "a freed parameter": ("parameters", lambda v: [freed(v[0]), *v[1:]], "W.i has no memory"),
}  # fmt: skip


def freed(tensor):
    tensor = tensor.clone()
    tensor.untyped_storage().resize_(0)
    return tensor


@pytest.mark.parametrize(("name", "change", "sentence"), WRONG.values(), ids=WRONG)
def test_the_operator_says_what_does_not_fit(name, change, sentence):
    layer = made()
    wrong = {name: change(given(layer)[name])}
    with pytest.raises(ShapeError, match=re.escape(sentence)):
        call(layer, **wrong)


def test_the_operator_says_which_engines_there_are():
    layer = made()
    with pytest.raises(
        OptionError, match='backend is "os"; for the operator it must be "native", "torch" or'
    ):
        call(layer, backend="os")
    half = given(layer)
    half = {k: v.half() if k == "x" else v for k, v in half.items()}
    sentence = (
        r'backend is "native", but tensors are torch\.float16.* bfloat16, which is as small\.'
    )
    with pytest.raises(BackendError, match=sentence):
        torch.ops.elman.recurrent(**half)


BACKWARD = {
    "nothing kept": ("saved", lambda v: [], "tensors saved by forward"),
    "cut": ("saved", lambda v: [v[0][:1], *v[1:]], "saved tensor 0"),
    "another type": ("saved", lambda v: [v[0].double(), *v[1:]], "saved tensor 0"),
    "y of another batch": ("y", lambda v: v[:, :1], "y has the shape (4, 1, 11)"),
    "a small gradient": ("grad_y", lambda v: v[:1], "the gradient of y has the shape"),
    "few gradients": ("grad_states", lambda v: v[:1], "expected 2 gradients of states (h, c), got 1"),
    "a gradient of another type": (
        "grad_states", lambda v: [v[0].double(), v[1]], "the gradient of the last h is torch.float64"
    ),
    "a small parameter": ("parameters", lambda v: [torch.zeros(1), *v[1:]], "W.i has the shape (1,)"),
    "other lengths": ("lengths", lambda v: v[:1], "lengths has the shape (1,)"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "change", "sentence"), BACKWARD.values(), ids=BACKWARD)
@each_backend
def test_the_operator_of_backward_says_what_does_not_fit(name, change, sentence, backend):
    layer = made()
    arguments = given(layer, backend=backend)
    y, h, c, *kept = torch.ops.elman.recurrent(**arguments)
    del arguments["save"]
    arguments |= {
        "grad_y": y, "grad_states": [h, c], "y": y, "saved": kept,
        "need_input": True, "need_parameters": True,
    }  # fmt: skip
    torch.ops.elman.recurrent_backward(**arguments)
    if name == "saved" and backend == "reference" and sentence.startswith("tensor 0"):
        arguments["saved"] = list(kept)
    with pytest.raises(ShapeError, match=re.escape(sentence)):
        torch.ops.elman.recurrent_backward(**{**arguments, name: change(arguments[name])})


@each_backend
def test_strides_of_whatever_is_given_change_nothing(backend):
    layer = made()

    def turned(value):
        if isinstance(value, list):
            return [turned(item) for item in value]
        if isinstance(value, torch.Tensor) and value.dim():
            return (
                value.mT.contiguous().mT if value.dim() > 1 else torch.stack([value] * 2, 1)[:, 0]
            )
        return value

    arguments = given(layer, backend=backend)
    made_once = torch.ops.elman.recurrent(**arguments)
    again = torch.ops.elman.recurrent(**{k: turned(v) for k, v in arguments.items()})
    for ours, theirs in zip(again, made_once, strict=True):
        assert torch.equal(ours, theirs)
    y, h, c, *kept = made_once
    del arguments["save"]
    arguments |= {
        "grad_y": torch.randn_like(y), "grad_states": [h, c], "y": y, "saved": kept,
        "need_input": True, "need_parameters": True,
    }  # fmt: skip
    expected = torch.ops.elman.recurrent_backward(**arguments)
    found = torch.ops.elman.recurrent_backward(**{k: turned(v) for k, v in arguments.items()})
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs)


def test_gradients_of_a_call_that_kept_nothing_are_refused():
    layer = made()
    x = given(layer)["x"].requires_grad_()
    y, *_ = call(layer, x=x, save=False)
    with pytest.raises(BackendError, match="call it with save=True"):
        y.sum().backward()


# parameters that are others than they were

SHAPES = {
    "one number": lambda p: torch.zeros(1),
    "turned about": lambda p: p.t(),
    "cut, at the same place": lambda p: p[:1],
    "repeated, at the same place": lambda p: p[:1, :1].expand(p.shape[0], 2),
}


@pytest.mark.parametrize("change", SHAPES.values(), ids=SHAPES)
@each_backend
def test_parameters_of_another_shape_are_refused_everywhere(change, backend):
    layer, x = made(backend=backend), torch.randn(TIME, BATCH, INPUT)
    sentence = r"W\.f has the shape"

    def spoil(layer):
        parameter = layer.layers[0][0].W["f"]
        parameter.data = change(parameter.data)

    with torch.no_grad():
        layer.step(x[0])
        layer.step(x[0])
        spoil(layer)
        for use in (lambda: layer(x), lambda: layer.step(x[0])):
            with pytest.raises(ShapeError, match=sentence):
                use()
    with pytest.raises(ShapeError, match=sentence):
        layer(x)
    layer = made(backend=backend)
    y, _ = layer(x)
    spoil(layer)
    with pytest.raises((ShapeError, RuntimeError), match=f"{sentence}|shape"):
        y.sum().backward()
    layer = made(backend=backend)
    others = {"layers.0.0.W.f": change(layer.layers[0][0].W["f"].detach())}
    with pytest.raises(ShapeError, match=sentence):
        torch.func.functional_call(layer, others, (x,))


def test_weights_that_are_turned_about_where_they_lie_are_seen_by_the_next_step():
    torch.manual_seed(0)

    @elman.cell
    def square(x, h, *, W):
        return elman.tanh(W.a @ h + W.b @ x)

    layer, x = elman.Recurrent(square, HIDDEN, HIDDEN).eval(), torch.randn(1, HIDDEN)
    with torch.no_grad():
        _, state = layer.step(x)
        layer.step(x, state)
        for parameter in layer.parameters():
            parameter.data = parameter.data.t()
        found, _ = layer.step(x, state)
        assert torch.equal(found, layer(x[None], state)[0][0])
        state[0].data = 2 * state[0].data
        assert torch.equal(layer.step(x, state)[0], layer(x[None], state)[0][0])


@pytest.mark.parametrize("where", ["meta", "fake"])
def test_a_step_on_tensors_without_values_has_none_either(where):
    layer, x = made(), torch.randn(1, INPUT)
    with torch.no_grad():
        _, state = layer.step(x)
        layer.step(x, state)
        mode = FakeTensorMode()
        empty = x.to("meta") if where == "meta" else mode.from_tensor(x)
        with mode if where == "fake" else nullcontext(), pytest.raises(Exception):  # noqa: B017
            layer.step(empty, state)
        assert torch.equal(layer.step(x)[0], layer(x[None])[0][0])
        meta = made().to("meta")
        y, _ = meta.step(torch.randn(1, INPUT, device="meta"))
        assert y.is_meta
        assert y.shape == (1, HIDDEN)


def test_another_default_device_changes_nothing():
    layer, x = made(), torch.randn(TIME, BATCH, INPUT)
    lengths = torch.tensor([4, 0, 2])
    y, _ = layer(x, lengths=lengths)
    expected = torch.autograd.grad(y.sum(), [*layer.parameters()])
    with torch.no_grad():
        stepped, _ = layer.step(x[0])
    fresh = made()
    with torch.device("meta"):
        found, _ = fresh(x, lengths=lengths)
        gradients = torch.autograd.grad(found.sum(), [*fresh.parameters()])
        with torch.no_grad():
            again, _ = fresh.step(x[0])
    assert torch.equal(found, y)
    assert all([torch.equal(a, b) for a, b in zip(gradients, expected, strict=True)])
    assert torch.equal(again, stepped)


# lengths


@each_backend
def test_lengths_that_are_changed_after_the_call_change_nothing(backend):
    layer, x = made(backend=backend), torch.randn(TIME, BATCH, INPUT)
    lengths = torch.tensor([4, 0, 2])
    y, _ = layer(x, lengths=lengths)
    expected = torch.autograd.grad(y.sum(), [*layer.parameters()])
    for direct in (False, True):
        given_lengths = lengths.clone()
        if direct:
            arguments = given(layer, x=x, lengths=given_lengths, backend=backend)
            arguments["states"] = [torch.zeros(BATCH, HIDDEN)] * 2
            arguments["parameters"] = list(layer.parameters())
            y = torch.ops.elman.recurrent(**arguments)[0]
        else:
            y, _ = layer(x, lengths=given_lengths)
        given_lengths.numpy()[...] = 1 << 40
        found = torch.autograd.grad(y.sum(), [*layer.parameters()])
        assert all([torch.equal(a, b) for a, b in zip(found, expected, strict=True)])


def test_lengths_that_another_thread_changes_are_refused_or_used_as_they_were():
    layer, x = made(), torch.randn(TIME, BATCH, INPUT)
    lengths, done = torch.tensor([4, 0, 2]), threading.Event()

    def change():
        while not done.is_set():
            lengths.numpy()[0] = 1 << 40
            lengths.numpy()[0] = 4

    thread = threading.Thread(target=change)
    thread.start()
    try:
        expected = None
        with torch.no_grad():
            for _ in range(300):
                with suppress(ShapeError):  # the lengths of a moment may be too long
                    y, _ = layer(x, lengths=lengths)
                    expected = y if expected is None else expected
                    assert torch.equal(y, expected)
    finally:
        done.set()
        thread.join()


# lazy bits and other kinds of tensor

PLACES = ["x", "state", "parameter", "step", "state of a step", "gradient"]


@pytest.mark.parametrize("place", PLACES)
@each_backend
def test_the_negative_bit_is_read(place, backend):
    layer, x = made(backend=backend), torch.randn(TIME, BATCH, INPUT)
    state = tuple([torch.randn(1, BATCH, HIDDEN) for _ in range(2)])
    hidden, plain = torch._neg_view, torch.neg
    results = []
    for turn in (hidden, plain):
        layer = made(backend=backend)
        if place == "x":
            y, _ = layer(turn(x), state)
        elif place == "state":
            y, _ = layer(x, tuple(map(turn, state)))
        elif place == "parameter":
            for module in (layer.layers[0][0].W, layer.layers[0][0].b):
                for name, p in list(module.named_parameters()):
                    module[name] = nn.Parameter(turn(p.detach()))
            with torch.no_grad():
                stepped, _ = layer.step(x[0])
                assert torch.equal(stepped, layer.step(x[0])[0])
            y, _ = layer(x, state)
        elif place == "gradient":
            y, _ = layer(x, state)
            results.append(torch.autograd.grad(y, [*layer.parameters()], turn(torch.ones_like(y))))
            continue
        else:
            with torch.no_grad():
                layer.step(x[0], state)
                layer.step(x[0], state)
                if place == "step":
                    results.append(layer.step(turn(x[0]), state)[:1])
                else:
                    results.append(layer.step(x[0], tuple(map(turn, state)))[:1])
            continue
        results.append([y, *torch.autograd.grad((y * y).sum(), [*layer.parameters()])])
    for ours, theirs in zip(*results, strict=True):
        assert torch.equal(ours, theirs)


def test_a_gradient_of_zeros_that_nobody_wrote_is_read_as_zeros():
    layer, x = made(), torch.randn(TIME, BATCH, INPUT)
    y, _ = layer(x)
    gradients = torch.autograd.grad(
        y, [*layer.parameters()], torch._efficientzerotensor(y.shape)
    )  # fmt: skip
    assert not any([g.abs().sum() for g in gradients])


@each_backend
def test_parameters_and_masks_that_nobody_wrote_are_read_as_zeros(backend):
    layer = made()
    arguments = given(layer, backend=backend)
    zeros = [torch.zeros_like(p) for p in arguments["parameters"]]
    lazy = [torch._efficientzerotensor(p.shape) for p in zeros]
    expected = call(layer, backend=backend, parameters=zeros)
    for ours, theirs in zip(call(layer, backend=backend, parameters=lazy), expected, strict=True):
        assert torch.equal(ours, theirs)


def nested(x):
    return torch.nested.as_nested_tensor([x[0], x[1]], layout=torch.jagged)


KINDS = {
    "sparse": (lambda x: x.to_sparse(), "convert it with .to_dense()"),
    "quantized": (lambda x: quantized(x), "convert it with .dequantize()"),
    "nested": (nested, "pad it with .to_padded_tensor(0.0)"),
    "on another device": (lambda x: x.to("meta"), "convert one with .to(...)"),
}


def quantized(x):
    return torch.quantize_per_tensor(x, 0.1, 0, torch.qint8)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("change", "sentence"), KINDS.values(), ids=KINDS)
@each_backend
def test_other_kinds_of_tensor_are_refused_in_a_sentence(change, sentence, backend):
    layer, x = made(backend=backend), torch.randn(BATCH, BATCH, INPUT)
    with pytest.raises(ShapeError, match=re.escape(sentence)):
        layer(change(x))
    with torch.no_grad():
        layer.step(x[0])
        with pytest.raises(ShapeError, match=re.escape(sentence)):
            layer.step(change(x) if change is nested else change(x)[0])


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_a_traced_program_computes_and_does_not_remember():
    layer, x = made(), torch.randn(TIME, BATCH, INPUT)
    with torch.no_grad():
        layer.requires_grad_(False)  # the tracer takes what is not given as a constant
        traced = torch.jit.trace(lambda x: layer(x)[0], (x,), check_trace=False)
        assert torch.equal(traced(2 * x), layer(2 * x)[0])


@pytest.mark.parametrize("make", [guard_of, slow_guard_of])
def test_a_guard_tells_tensors_apart(make):
    x, h = torch.randn(2, 3), torch.randn(2, 2)
    check = make([x, h])
    assert check(torch.randn(2, 3), torch.randn(2, 2))
    assert check(x, h)
    for other in (
        torch.randn(3, 3), x.double(), x.to("meta"), torch.randn(3, 2).mT, torch._neg_view(x),
        nn.Parameter(x), x.clone().requires_grad_(), x.to_sparse() if make is guard_of else x[:1],
    ):  # fmt: skip
        assert not check(other, h)
    with torch.inference_mode():
        assert not check(x, h)
    with torch.autocast("cpu"):
        assert not check(x, h)
    found = []
    torch.vmap(lambda row: found.append(check(row, h)) or row)(torch.randn(4, 2, 3))
    assert found == [False]
