"""Kernels between guard pages: whoever reads or writes a byte beyond a buffer is killed.

A program for a process of its own.  ``python guarded.py examples COUNT`` runs random cells and
sizes with every buffer, table and weight in pages of its own, whose neighbours nobody may touch;
each buffer first ends, then begins exactly where a forbidden page does; ``sized`` instead of
``examples`` runs cells with sizes of their own, ``sides`` steppers of cells with side inputs and
with matrix states.  ``python guarded.py
overrun BUFFER end|start`` runs one cell with that buffer moved a byte into the forbidden page.
What is computed is printed first, so that the last lines of a killed process are the example to
look at.
"""

import ctypes
import faulthandler
import itertools
import mmap
import sys
from dataclasses import replace
from math import prod
from types import SimpleNamespace

import numpy as np
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor

import elman
from backends.precision import draw, results
from cells.variants import EDGES, VARIANTS
from elman.backends import find_engine
from elman.backends.engine import Call
from elman.backends.native import engine as native_engine
from elman.backends.native import kernels, stepping, tuning
from elman.backends.plan import make_plan
from elman.cells import CATALOGUE, WITH_SIZES
from elman.graph import Cell, read_equations
from graph.plain import Numbers
from graph.random_cells import random_cells
from graph.random_memory_cells import random_memory_cell

_PAGE = mmap.PAGESIZE
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

at_end = True


def guarded(size: int, shift: int = 0) -> np.ndarray:
    """That many bytes, right before a forbidden page or right after one; or ``shift`` beyond."""
    whole = -(-size // _PAGE) * _PAGE
    block = mmap.mmap(-1, whole + 2 * _PAGE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(block))
    for page in (address, address + _PAGE + whole):
        assert _LIBC.mprotect(page, _PAGE, 0) == 0
    first = _PAGE + (whole - size + shift if at_end else -shift)
    return np.frombuffer(block, np.uint8, size, first)


def like(array: np.ndarray, shift: int = 0) -> np.ndarray:
    """A guarded copy, but for what is in the forbidden page."""
    given = np.ascontiguousarray(array)
    found = guarded(given.nbytes, shift)
    inside = slice(0, given.nbytes - shift) if at_end else slice(shift, None)
    found[inside] = given.reshape(-1).view(np.uint8)[inside]
    return found.view(given.dtype).reshape(given.shape)


def tensor_like(tensor: Tensor, shift: int = 0) -> Tensor:
    """A guarded copy."""
    if tensor.dtype is torch.bfloat16:  # which numpy does not have
        return tensor_like(tensor.view(torch.int16), shift).view(torch.bfloat16)
    return torch.from_numpy(like(tensor.detach().numpy(), shift))


def aligned(count: int, dtype: torch.dtype) -> Tensor:
    """In place of ``memory.aligned``."""
    return torch.from_numpy(guarded(count * dtype.itemsize)).view(dtype)


def guard_the_engine(shifted: str = "") -> None:
    """Whatever a kernel is given lies between guard pages from here on.

    ``shifted`` is the name of the buffer that is a byte too far.
    """
    pack, run = kernels.CompiledProgram.pack, kernels.CompiledProgram.run
    outer, call = kernels.CompiledOuter.run, kernels.run_partitions
    kernels.aligned = aligned

    def guarded_pack(self, parameters, dtype):
        return pack(self, [tensor_like(p) for p in parameters], dtype)

    def guarded_schedule(schedule):
        fields = ("counts", "offsets", "times", "order")
        made = replace(schedule, **{name: like(getattr(schedule, name)) for name in fields})
        for name in ("places", "previous", "previous_places"):  # which it would compute again
            made.__dict__[name] = like(getattr(schedule, name))
        return made

    def guarded_run(self, schedule, packed, tensors, *rest):
        names = [buffer.name for buffer in self.layout.program.buffers]
        copies = {name: tensor_like(tensors[name], name == shifted) for name in names}
        run(self, guarded_schedule(schedule), packed, copies, *rest)
        for name, copy in copies.items():
            tensors[name].copy_(copy)

    def guarded_outer(self, schedule, tensors, gradients, *rest, **options):
        copies = {name: tensor_like(tensor) for name, tensor in tensors.items()}
        made = [tensor_like(gradient) for gradient in gradients]
        outer(self, guarded_schedule(schedule), copies, made, *rest, **options)
        for gradient, copy in zip(gradients, made, strict=True):
            gradient.copy_(copy)

    def guarded_call(function, address, table, *rest):
        words = like(np.array(table))
        held = SimpleNamespace(buffer_info=lambda: (words.ctypes.data, len(words)))
        print("a kernel runs", flush=True)
        call(function, address, held, *rest)
        print("it is back", flush=True)

    kernels.CompiledProgram.pack = guarded_pack
    kernels.CompiledProgram.run = guarded_run
    kernels.CompiledOuter.run = guarded_outer
    kernels.run_partitions = guarded_call


NAMED = {**CATALOGUE, **VARIANTS, **EDGES}
BOTTLENECK = """
@cell(sizes={"r": "slow", "W.r": "slow", "W.d": "rank", "b.d": "rank", "W.s": 3})
def bottleneck(x, h, r, *, W, b):
    d = W.d @ [h, r, x] + b.d
    r = 0.9 * layer_norm(r) + tanh(W.r @ [d, x])
    return tanh(W.u @ [relu(d), r, W.s @ h]), r
"""
SIZED = [*WITH_SIZES.values(), read_equations(BOTTLENECK)]


@st.composite
def examples(draw_from, sized):
    named = SIZED if sized else list(NAMED.values())
    cells = st.sampled_from(named)
    cell = draw_from(cells if sized else cells | random_cells(most_lines=4))
    sizes = st.sampled_from([1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 40])
    time, batch = draw_from(st.integers(1, 5)), draw_from(st.integers(1, 11))
    own = {name: draw_from(sizes) for name in cell.own_sizes}
    numbers = draw(cell, draw_from(sizes), draw_from(sizes), time=time, batch=batch, own=own)
    lengths = draw_from(st.none() | st.lists(st.integers(0, time), min_size=batch, max_size=batch))
    given_lengths = None if lengths is None else torch.tensor(lengths)
    return cell, replace(numbers, lengths=given_lengths, reverse=draw_from(st.booleans()))


def check(cell: Cell, numbers: Numbers, hoisted: bool) -> None:
    """Forward, with and without keeping, backward, and the first step alone."""
    native_engine.should_hoist = lambda layer, _: hoisted and bool(layer.programs.hoisted)
    rest = (numbers.x, numbers.states, numbers.parameters, numbers.lengths, numbers.reverse)
    native = find_engine("native")
    (y, _), _ = native.forward(Call(make_plan(cell), *rest, save=False))
    assert torch.equal(y, results(cell, numbers)["y"])
    apart = kernels.programs_of(cell.text).precompute is not None
    if apart or y.dtype is torch.bfloat16:
        return  # not for stepping, or as in float32
    x, *others = numbers.x[:1], numbers.states, numbers.parameters
    (y, _), _ = native.forward(Call(make_plan(cell), x, *others, None, False, save=False))
    assert torch.equal(y[0], step(cell, numbers))


def step(cell: Cell, numbers: Numbers) -> Tensor:
    """The output of the first step by way of ``stepping.py``."""
    tuning.STEPS_PER_BLOCK = 1
    x, states = tensor_like(numbers.x[0]), [tensor_like(s[None]) for s in numbers.states]
    own, empty = [tensor_like(p) for p in numbers.parameters], torch.empty

    def guarded_empty(*sizes, dtype, device="cpu"):
        shape = sizes[0] if isinstance(sizes[0], tuple) else sizes
        return aligned(prod(shape), dtype).view(shape)

    torch.empty = guarded_empty
    try:
        rest = (numbers.x, numbers.states, numbers.parameters, None, False)
        sizes = Call(make_plan(cell), *rest).sizes
        made = stepping.Stepper(cell, [sizes], x.shape, x.dtype)
        return made.run(x, tuple(states), own)[0]
    finally:
        torch.empty = empty


def run_examples(count: int, *, sized: bool) -> None:
    """Random examples, always the same ones, in each type of number in turn.

    With ``sized``, of cells with sizes of their own.
    """
    dtypes = itertools.cycle(kernels.INSIDE)

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(examples(sized), st.booleans())
    def each(example, hoisted):
        global at_end
        cell, numbers = example
        dtype = next(dtypes)
        numbers = numbers.with_tensors([tensor.to(dtype) for tensor in numbers.tensors])
        for at_end in (True, False):
            widths = [tuple(tensor.shape) for tensor in numbers.tensors]
            print(cell.text, f"sizes {widths}, {numbers.x.dtype}")
            print(f"lengths {numbers.lengths}, reverse {numbers.reverse}, hoisted {hoisted}")
            print(f"guarded at the {'end' if at_end else 'start'}", flush=True)
            check(cell, numbers, hoisted)

    each()


def run_steppers(count: int) -> None:
    """Steppers of random cells with side inputs, and of some with a matrix state."""
    settled = settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    sizes = st.sampled_from([1, 3, 4, 5, 8, 9, 16, 17, 33])

    @settled
    @given(random_cells(most_lines=4, sides=True), sizes, sizes, st.integers(1, 3))
    def each(cell, features, hidden, batch):
        check_stepper(elman.Recurrent(cell, features, hidden), batch)

    each()
    for seed in range(count):
        _, cell = random_memory_cell(seed)
        heads, units, keys = 1 + seed % 3, 1 + seed % 9, 1 + seed % 7
        if cell.parameters:
            layer = elman.Recurrent(cell, 1 + seed % 10, heads * units, heads=heads, key_size=keys)
            check_stepper(layer, 1 + seed % 2)


def check_stepper(layer: elman.Recurrent, batch: int) -> None:
    """Steps in real time, whose inputs and own memory lie between guard pages."""
    global at_end
    widths = layer._sizes(0)
    sides = {name: torch.rand(3, batch, widths.width((s,))) for name, s in layer.cell.inputs}
    x, zeros = torch.randn(3, batch, layer.input_size), torch.zeros
    with torch.no_grad():
        wanted, _ = layer.eval()(x, **sides)

    def guarded_zeros(*sizes, dtype=torch.float32, device="cpu"):
        shape = sizes[0] if isinstance(sizes[0], tuple) else sizes
        return tensor_like(zeros(shape, dtype=dtype)) if prod(shape) else zeros(shape)

    for at_end in (True, False):
        print(layer.cell.text, f"{layer!r}, batch {batch}")
        print(f"guarded at the {'end' if at_end else 'start'}", flush=True)
        torch.zeros = guarded_zeros
        try:
            stepper = layer.stepper(batch)
        finally:
            torch.zeros = zeros
        for t in range(3):
            given_sides = {name: tensor_like(side[t]) for name, side in sides.items()}
            y = stepper(tensor_like(x[t]), **given_sides)
            scale = 1 + wanted[t].abs().max().item()
            torch.testing.assert_close(y, wanted[t], rtol=0, atol=1e-4 * scale, equal_nan=True)


def overrun() -> None:
    """A cell that has a buffer a byte too far."""
    cell = CATALOGUE["lstm"]
    results(cell, draw(cell, 8, 16))


if __name__ == "__main__":
    faulthandler.enable()
    torch.set_num_threads(2)
    tuning.MIN_PARALLEL_WORK = 0
    what, argument, *more = sys.argv[1:]
    at_end = more != ["start"]
    guard_the_engine(argument if what == "overrun" else "")
    if what == "overrun":
        overrun()
    elif what == "sides":
        run_steppers(int(argument))
    else:
        run_examples(int(argument), sized=what == "sized")
    print("done")
