"""The sections of ``engine.py`` as jobs with a fraction of the time each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import elman
from elman import Recurrent, cell, sigmoid, tanh
from elman.backends.native.llvm.target import chosen_target
from elman.benchmark import (
    Contestant,
    Result,
    Shape,
    Timing,
    contest,
    eager_loop,
    elman_layer,
    interleaved,
    torch_layer,
)
from elman.benchmark.contest import COMPARED_STEPS, TOLERANCE, Work, difference, torch_threads
from elman.benchmark.contestants import parameters_of, torch_module
from elman.benchmark.timing import clock_for
from elman.cells import CATALOGUE
from onnx_session import Session, onnx_node
from report import Row, read_result, row_of
from targets import TARGETS

HERE = Path(__file__).parent

SHAPES = (
    Shape(100, 32, 128, 128),
    Shape(100, 32, 256, 256),
    Shape(100, 64, 512, 512),
    Shape(1000, 1, 64, 128),
    Shape(200, 16, 100, 200),
    Shape(35, 20, 200, 200),
)
QUICK_SHAPES = (Shape(35, 20, 200, 200), Shape(200, 1, 64, 128))
#: hidden sizes for single steps, and shapes for ragged batches
STEP_SIZES = (64, 128, 256, 512)
RAGGED_SHAPES = (Shape(100, 32, 128, 128), Shape(200, 16, 100, 200), Shape(35, 20, 200, 200))
#: cells that torch.nn also has, and cells that are compared with JAX
TORCH_CELLS = ("lstm", "gru_reset_after", "gru", "rnn")
JAX_CELLS = ("lstm", "gru_reset_after", "coupled_lstm")
#: bfloat16 has 8 significant bits: one rounding is up to 1/256, and a sequence accumulates many
BFLOAT16_TOLERANCE = 0.1


class Skipped(Exception):
    """A comparison that is not possible here; the message says why."""


@dataclass(frozen=True)
class Asked:
    """The shapes and numbers of threads to measure."""

    shapes: Sequence[Shape] = SHAPES
    step_sizes: Sequence[int] = STEP_SIZES
    ragged_shapes: Sequence[Shape] = RAGGED_SHAPES
    threads: Sequence[int] = (1, 2)


@dataclass(frozen=True)
class Job:
    """``run(seconds)`` measures for about this time; ``weight`` determines its fraction."""

    title: str
    weight: float
    run: Callable[[float], list[Row]]


#: a layer of each cell that ran, for its backend report
layers: dict[str, Recurrent] = {}


def training(asked: Asked) -> Iterator[Job]:
    """Training of every cell of the catalogue, compared with the fair loop and torch.nn."""
    for shape, threads in _settings(asked):
        for name in CATALOGUE:
            run = partial(_contest, name, shape, threads, "training")
            yield Job(f"{name} {shape}", _weight(shape, "training"), run)


def inference(asked: Asked) -> Iterator[Job]:
    """Inference of the cells that torch.nn also has."""
    for shape, threads in _settings(asked):
        for name in TORCH_CELLS:
            run = partial(_contest, name, shape, threads, "inference")
            yield Job(f"{name} {shape}", _weight(shape, "inference"), run)


def _contest(name: str, shape: Shape, threads: int, work: Work, seconds: float) -> list[Row]:
    layer = _layer(name, shape)
    beside = [_torch_gru(shape) if name == "gru" else torch_layer(layer)]
    beside += [eager_loop(layer)] if work == "training" else []
    present = [rival for rival in beside if rival is not None]
    found = contest(layer, present, shape, work, threads, seconds)
    return [row_of(work, result, _target(result)) for result in found]


def _torch_gru(shape: Shape) -> Contestant:
    """torch.nn.GRU as the rival of the GRU that resets before the product."""
    module = torch_module(torch.nn.GRU(shape.input, shape.hidden))
    return replace(module, name=f"{module.name} (other equations)", comparable=False)


def _target(result: Result) -> str:
    """The target of a result, or ""."""
    alone = result.shape.batch == 1
    if result.rival == "eager loop":
        return "any cell, batch 1" if alone else "any cell"
    if result.rival == "torch.nn.LSTM":
        return f"lstm {result.work}"
    if result.rival.startswith("torch.nn.GRU"):
        name = f"gru {result.work}, batch 1" if alone else f"gru {result.work}"
        return name if name in TARGETS else ""
    return ""


def jax(asked: Asked) -> Iterator[Job]:
    """Training compared with JAX's scan, in a separate process for each number of threads."""
    for threads in asked.threads:
        weights = [_weight(shape, "training") for shape in asked.shapes]
        run = partial(_beside_jax, asked.shapes, threads)
        yield Job(f"{threads} threads", len(JAX_CELLS) * sum(weights), run)


def _beside_jax(shapes: Sequence[Shape], threads: int, seconds: float) -> list[Row]:
    _needs("jax")
    weights = [_weight(shape, "training") for shape in shapes]
    wanted = [
        (name, shape, seconds * weight / (len(JAX_CELLS) * sum(weights)))
        for shape, weight in zip(shapes, weights, strict=True)
        for name in JAX_CELLS
    ]
    rows = []
    for record in _child("jax_scan.py", threads, json.dumps(wanted)):
        rows.append(row_of("jax", read_result(record), "jax"))
    return rows


def onnx(asked: Asked) -> Iterator[Job]:
    """Inference compared with ONNX Runtime."""
    for shape, threads in _settings(asked):
        for name in TORCH_CELLS:
            run = partial(_beside_onnx, name, shape, threads)
            yield Job(f"{name} {shape}", _weight(shape, "inference"), run)


def _beside_onnx(name: str, shape: Shape, threads: int, seconds: float) -> list[Row]:
    _needs("onnx", "onnxruntime")
    layer = _layer(name, shape)
    found = contest(layer, [onnx_node(layer, threads)], shape, "inference", threads, seconds)
    target = {"lstm": "onnx lstm", "gru": "onnx gru", "gru_reset_after": "onnx gru"}.get(name, "")
    return [row_of("onnx", result, target) for result in found]


def step(asked: Asked) -> Iterator[Job]:
    """One step of an LSTM, called from Python, with frozen weights as those of ONNX Runtime."""
    for hidden in asked.step_sizes:
        for threads in asked.threads:
            shape = Shape(1, 1, hidden, hidden)
            yield Job(
                f"step {shape}", _weight(SHAPES[-1], "inference"), partial(_step, shape, threads)
            )


def _step(shape: Shape, threads: int, seconds: float) -> list[Row]:
    layer = _layer("lstm", shape)
    module = elman.nn.to_torch(layer)
    one = torch.nn.LSTMCell(shape.input, shape.hidden)
    one.load_state_dict({k.removesuffix("_l0"): v for k, v in module.state_dict().items()})
    x = torch.randn(1, shape.input)
    state = (torch.zeros(1, 1, shape.hidden), torch.zeros(1, 1, shape.hidden))
    flat = (state[0][0], state[1][0])

    stepper = layer.stepper()

    # streaming: each step continues from the previous state
    def ours() -> Tensor:
        return stepper(x)

    def by_layer() -> Tensor:
        nonlocal at_layer
        y, at_layer = layer.step(x, at_layer)
        return y

    def whole() -> Tensor:
        nonlocal at_whole
        y, at_whole = module(x[None], at_whole)
        return y[0]

    def single() -> Tensor:
        nonlocal at_single
        at_single = one(x, at_single)
        return at_single[0]

    at_layer: tuple[Tensor, ...] = state
    at_whole, at_single = state, flat
    runs: dict[str, Callable[[], Tensor]] = {
        "Elman": ours, "layer.step": by_layer, "torch.nn.LSTM": whole, "torch.nn.LSTMCell": single,
    }  # fmt: skip
    if find_spec("onnx") and find_spec("onnxruntime"):
        session = Session(layer, threads)
        given = x[None].numpy(), {"initial_h": state[0].numpy(), "initial_c": state[1].numpy()}
        feed = {"X": given[0], **given[1]}
        call = session.session.run

        def node() -> Tensor:
            y, feed["initial_h"], feed["initial_c"] = call(None, feed)
            return y

        runs["ONNX Runtime"] = node
    target = f"step {shape.hidden}"
    targets = {"ONNX Runtime": target} if target in TARGETS else {}
    return _timed("step", "lstm, one step", shape, threads, runs, seconds, targets, repeat=20)


def trained_steps(asked: Asked) -> Iterator[Job]:
    """Training of a loop that calls an LSTM step by step, beside torch's cell."""
    for hidden in asked.step_sizes:
        for batch in (1, 16):
            for threads in asked.threads:
                shape = Shape(32, batch, hidden, hidden)
                weight = _weight(SHAPES[-1], "inference")
                yield Job(f"trained steps {shape}", weight, partial(_trained_steps, shape, threads))


def _trained_steps(shape: Shape, threads: int, seconds: float) -> list[Row]:
    layer = _layer("lstm", shape)
    module = elman.nn.to_torch(layer)
    one = torch.nn.LSTMCell(shape.input, shape.hidden)
    one.load_state_dict({k.removesuffix("_l0"): v for k, v in module.state_dict().items()})
    x = torch.randn(shape.time, shape.batch, shape.input, requires_grad=True)

    def ours() -> Tensor:
        state = None
        for each in x.unbind(0):
            y, state = layer.step(each, state)
        return torch.autograd.grad(y.sum(), [x, *layer.parameters()])[0]

    def single() -> Tensor:
        state = None
        for each in x.unbind(0):
            state = one(each, state)
        return torch.autograd.grad(state[0].sum(), [x, *one.parameters()])[0]

    runs: dict[str, Callable[[], Tensor]] = {"Elman": ours, "torch.nn.LSTMCell": single}
    small = (shape.batch, shape.hidden) == (1, 64)
    targets = {"torch.nn.LSTMCell": "trained step"} if small else {}
    what = "lstm, 32 steps one by one"
    return _timed(
        "trained steps", what, shape, threads, runs, seconds, targets, repeat=1, gradients=True
    )


def ragged(asked: Asked) -> Iterator[Job]:
    """Ragged batches, compared with padded batches and with torch.nn's packed ones."""
    for shape in asked.ragged_shapes:
        for threads in asked.threads:
            for name in ("lstm", "gru_reset_after"):
                for work in ("training", "inference"):
                    run = partial(_ragged, name, shape, threads, work)
                    yield Job(f"{name} {shape}", _weight(shape, work), run)


def _ragged(name: str, shape: Shape, threads: int, work: Work, seconds: float) -> list[Row]:
    layer = _layer(name, shape)
    module = elman.nn.to_torch(layer)
    lengths = torch.linspace(shape.time / 5, shape.time, shape.batch).round().long()
    lengths = lengths[torch.randperm(shape.batch)]
    share = float(lengths.sum()) / (shape.time * shape.batch)

    def packed(x: Tensor) -> Tensor:
        within = lengths if len(x) == shape.time else lengths.clamp(max=len(x))
        y = module(pack_padded_sequence(x, within, enforce_sorted=False))[0]
        return pad_packed_sequence(y, total_length=len(x))[0]

    def ragged_layer(x: Tensor) -> Tensor:
        within = lengths if len(x) == shape.time else lengths.clamp(max=len(x))
        return layer(x, lengths=within)[0]

    padded = elman_layer(layer)
    ours = replace(padded, forward=ragged_layer)
    theirs = replace(torch_module(module), forward=packed)
    x = torch.randn(shape.time, shape.batch, shape.input)
    what = f"{name} {work}, ragged"
    runs = {"Elman": ours, "Elman, padded": padded, f"torch.nn.{module.mode}, packed": theirs}
    apart = difference(*[_outcome(one, x, work, layer) for one in (ours, theirs)])
    if apart > TOLERANCE:
        return [_wrong("ragged", what, shape, threads, theirs.name, "ragged", apart)]
    times = _times(runs, x, work, threads, seconds)
    first, second, third = times.values()
    beside = f"{share:.0%} of the padded time"
    return [
        Row(
            "ragged", what, str(shape), threads, beside, first.median / (share * second.median),
            first.tenth / (share * second.tenth), "ragged", first, second,
        ),
        _compared("ragged", what, shape, threads, list(runs)[2], first, third),
    ]  # fmt: skip


@cell(gates="write keep new show", init={"b.keep": 1.0})
def a_users_own(word, said, memory, *, W, b):
    """The equations of the catalogue's LSTM with other names: speed must not depend on names."""
    keep = sigmoid(W.keep @ [said, word] + b.keep)
    write = sigmoid(W.write @ [said, word] + b.write)
    new = tanh(W.new @ [said, word] + b.new)
    show = sigmoid(W.show @ [said, word] + b.show)
    memory = keep * memory + write * new
    said = show * tanh(memory)
    return said, memory


def own(asked: Asked) -> Iterator[Job]:
    """A user's own cell, compared with the same cell from the catalogue."""
    for shape, threads in _settings(asked):
        for work in ("training", "inference"):
            yield Job(f"own {shape}", _weight(shape, work), partial(_own, shape, threads, work))


def _own(shape: Shape, threads: int, work: Work, seconds: float) -> list[Row]:
    layer = _layer("lstm", shape)
    mine = Recurrent(a_users_own, shape.input, shape.hidden)
    with torch.no_grad():
        for into, value in zip(parameters_of(mine).values(), layer.parameters(), strict=True):
            into.copy_(value)
    x = torch.randn(shape.time, shape.batch, shape.input)
    runs = {"Elman": elman_layer(mine), "the catalogue's": elman_layer(layer)}
    what = f"a user's lstm, {work}"
    found = _outcome(runs["Elman"], x, work, mine)
    expected = _outcome(runs["the catalogue's"], x, work, layer)
    # the parameters have other names but the same order
    apart = difference(expected, dict(zip(expected, found.values(), strict=True)))
    if apart > TOLERANCE:
        return [_wrong("own", what, shape, threads, "the catalogue's", "own cell", apart)]
    ours, theirs = _times(runs, x, work, threads, seconds).values()
    return [_compared("own", what, shape, threads, "the catalogue's", ours, theirs, "own cell")]


def compiling(asked: Asked) -> Iterator[Job]:
    """First calls of kernels with an empty and with a filled cache, each in a new process."""
    shapes = (Shape(1, 1, 64, 64), asked.shapes[-1])
    wanted = [(c, s, w) for c in ("lstm", "gru") for s in shapes for w in ("inference", "training")]
    yield Job("two processes", _weight(SHAPES[0], "training"), partial(_compiling, wanted))


def _compiling(wanted: Sequence[tuple[str, Shape, Work]], seconds: float) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        there = {"ELMAN_CACHE_DIR": folder}
        compiled = _child("first_call.py", json.dumps(wanted), environment=there)
        if not any(Path(folder).rglob("*")):
            raise Skipped(f"nothing was compiled: {compiled[0]['report']}")
        loaded = _child("first_call.py", json.dumps(wanted), environment=there)
    rows = []
    for kind, records in (("compile", compiled), ("load", loaded)):
        for (name, shape, work), record in zip(wanted, records, strict=True):
            more = record["first"] - record["later"]
            # the targets are for one kernel; training has several
            target, note = (kind, "") if work == "inference" else ("", "several kernels")
            what = f"{name} {work}, {kind}"
            rows.append(
                Row(
                    "compile", what, str(shape), 1, "a later call", more,
                    target=target, note=note, unit="ms",
                )
            )  # fmt: skip
    return rows


def bfloat16(asked: Asked) -> Iterator[Job]:
    """An LSTM in bfloat16, converted or by autocast, compared to float32 and torch's bfloat16."""
    for shape, threads in _settings(asked):
        if shape.batch > 1:
            for work in ("inference", "training"):
                for way in (_converted, _autocast):
                    run = partial(_bfloat16, way, shape, threads, work)
                    yield Job(f"bf16 {shape}", _weight(shape, work), run)


def _bfloat16(
    way: Callable[[Contestant, torch.nn.Module], Contestant],
    shape: Shape,
    threads: int,
    work: Work,
    seconds: float,
) -> list[Row]:
    if not chosen_target().multiplies_bfloat16:
        raise Skipped(
            "this processor has no arithmetic in bfloat16: torch's takes minutes per call, and the "
            "engine computes in float32"
        )
    layer = _layer("lstm", shape)
    module = elman.nn.to_torch(layer)
    full = elman_layer(layer)
    x = torch.randn(shape.time, shape.batch, shape.input)
    title = {_converted: "to(bfloat16)", _autocast: "autocast"}[way]
    what = f"lstm {work}, {title}"
    try:
        ours, theirs = way(full, layer), way(torch_module(module), module)
        expected = _outcome(full, x, work, layer)
        apart = max([difference(expected, _outcome(m, x, work, layer)) for m in (ours, theirs)])
        if apart > BFLOAT16_TOLERANCE:
            return [_wrong("bf16", what, shape, threads, "float32", "bf16 own", apart)]
        runs = {"Elman": ours, "Elman, float32": full, "torch.nn.LSTM, bfloat16": theirs}
        first, second, third = _times(runs, x, work, threads, seconds).values()
    except (elman.errors.ElmanError, RuntimeError) as error:
        raise Skipped(f"{what}: {str(error).splitlines()[0]}") from error
    return [
        _compared("bf16", what, shape, threads, rival, first, time, target)
        for rival, time, target in zip(
            list(runs)[1:], (second, third), ("bf16 own", "bf16 torch"), strict=True
        )
    ]


def _converted(full: Contestant, module: torch.nn.Module) -> Contestant:
    small = deepcopy(module).to(torch.bfloat16)
    return replace(
        full,
        name="bfloat16",
        leaves=list(small.parameters()),
        forward=lambda x: small(x.to(torch.bfloat16))[0],
    )


def _autocast(full: Contestant, module: torch.nn.Module) -> Contestant:
    def forward(x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return module(x)[0]

    return replace(full, name="autocast", forward=forward)


#: the sections by name, in the order of execution
SECTIONS: dict[str, Callable[[Asked], Iterator[Job]]] = {
    "training": training,
    "inference": inference,
    "jax": jax,
    "onnx": onnx,
    "step": step,
    "trained steps": trained_steps,
    "ragged": ragged,
    "own": own,
    "compile": compiling,
    "bf16": bfloat16,
}


def _settings(asked: Asked) -> Iterator[tuple[Shape, int]]:
    for shape in asked.shapes:
        for threads in asked.threads:
            yield shape, threads


def _layer(name: str, shape: Shape) -> Recurrent:
    layer = Recurrent(CATALOGUE[name], shape.input, shape.hidden)
    layers.setdefault(name, layer)
    return layer


def _weight(shape: Shape, work: str) -> float:
    """Larger work gets more time, but less than proportionally: small shapes need many runs."""
    multiplications = shape.time * shape.batch * shape.hidden * (shape.input + shape.hidden)
    return (multiplications * (3 if work == "training" else 1)) ** 0.4


def _needs(*packages: str) -> None:
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise Skipped(f"{' and '.join(missing)} not installed.")


def _child(script: str, *arguments: object, environment: dict[str, str] | None = None) -> Any:
    """The JSON output of another script in this folder."""
    done = subprocess.run(
        [sys.executable, str(HERE / script), *[str(argument) for argument in arguments]],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
        raise Skipped(f"{script} failed: {lines[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def _outcome(one: Contestant, x: Tensor, work: Work, layer: Recurrent) -> dict[str, Tensor]:
    """The tensors that must agree: y, and in training the gradients of x and of parameters.

    Only over the first ``COMPARED_STEPS`` steps.
    """
    x = x[:COMPARED_STEPS]
    if work == "inference":
        return one.values(x)
    grad_y = torch.ones(*x.shape[:2], layer.hidden_size)
    return one.gradients(x, grad_y, parameters_of(layer))


def _times(
    runs: dict[str, Contestant], x: Tensor, work: Work, threads: int, seconds: float
) -> dict[str, Timing]:
    """Interleaved times of the contestants, after one run of each."""
    with torch_threads(threads):
        grad_y = torch.randn_like(next(iter(runs.values())).values(x)["y"])
        ready = {
            name: one.inference(x) if work == "inference" else one.training(x, grad_y)
            for name, one in runs.items()
        }
        for run in ready.values():
            run()
        return interleaved(ready, seconds, clock=clock_for(threads))


def _timed(
    section: str,
    what: str,
    shape: Shape,
    threads: int,
    runs: dict[str, Callable[[], Tensor]],
    seconds: float,
    targets: dict[str, str],
    repeat: int,
    *,
    gradients: bool = False,
) -> list[Row]:
    """Rows that compare Elman, the first run, with the others, which must agree."""
    with torch_threads(threads), nullcontext() if gradients else torch.inference_mode():
        ours, *others = runs
        expected = {"y": runs[ours]()}
        shape_of_y = expected["y"].shape
        found = {name: torch.as_tensor(runs[name]()).reshape(shape_of_y) for name in others}
        if expected["y"].dim() == 3:  # time batch hidden; see COMPARED_STEPS
            expected["y"] = expected["y"][:COMPARED_STEPS]
            found = {name: y[:COMPARED_STEPS] for name, y in found.items()}
        apart = {name: difference(expected, {"y": y}) for name, y in found.items()}
        times = interleaved(runs, seconds, clock=clock_for(threads), repeat=repeat, most=1000)
    return [
        _compared(
            section, what, shape, threads, name, times[ours], times[name], targets.get(name, "")
        )
        if apart[name] <= TOLERANCE
        else _wrong(section, what, shape, threads, name, targets.get(name, ""), apart[name])
        for name in others
    ]


def _compared(
    section: str,
    what: str,
    shape: Shape,
    threads: int,
    rival: str,
    ours: Timing,
    theirs: Timing,
    target: str = "",
) -> Row:
    return Row(
        section, what, str(shape), threads, rival, theirs.median / ours.median,
        theirs.tenth / ours.tenth, target, ours, theirs,
    )  # fmt: skip


def _wrong(
    section: str, what: str, shape: Shape, threads: int, rival: str, target: str, apart: float
) -> Row:
    note = f"values differ by {apart:.0e}: not timed"
    return Row(section, what, str(shape), threads, rival, None, target=target, note=note)
