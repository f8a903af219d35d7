"""Kernels touch their own buffers only, and leave the process as they found it.

What would kill the process, or needs a signal, runs in one of its own; ``guarded.py`` is the
program between guard pages.
"""

import os
import platform
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from ctypes import addressof, c_uint32
from pathlib import Path

import pytest
import torch

import elman
from backends.precision import assert_same, draw, results
from elman.backends.native import kernels, tuning
from elman.backends.native.engine import NativeEngine
from elman.backends.native.llvm.jit import Kernel, compile_module
from elman.backends.native.llvm.target import find_target
from elman.cells import CATALOGUE
from thorough import few

on_x86 = pytest.mark.skipif(
    platform.machine() not in {"x86_64", "AMD64"}, reason="the mode is in a register of x86"
)
on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mprotect, fork")
TARGETS = ["host", "avx2"] if platform.machine() in {"x86_64", "AMD64"} else ["host"]
GUARDED = Path(__file__).with_name("guarded.py")


def start(arguments, **environment):
    """A process of Python that finds what the tests find."""
    path = os.pathsep.join([*sys.path, os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process):
    output, _ = process.communicate(timeout=250)  # it is the machine that may be slow
    return process.returncode, output


# buffers


@on_linux
def test_a_byte_too_far_is_caught_by_the_guard():
    cases = [("y", "end"), ("x", "start"), ("saved", "end")]
    processes = [start([GUARDED, "overrun", *case]) for case in cases]
    for case, process in zip(cases, processes, strict=True):
        code, output = finish(process)
        lines = output.splitlines()
        assert code == -signal.SIGSEGV, (case, output)
        fault = lines.index("Fatal Python error: Segmentation fault")
        assert lines[fault - 1].strip() in {"", "a kernel runs"}, (case, output)
        assert lines.count("a kernel runs") == lines.count("it is back") + 1, (case, output)


@on_linux
@pytest.mark.parametrize(
    ("target", "what", "count"),
    few(
        [
            (target, what, count)
            for target in TARGETS
            for what, counts in (("examples", (6, 16)), ("sized", (4, 9)), ("sides", (5, 12)))
            for count in counts
        ],
        keep=lambda case: case[0] == "host" and case[2] <= 6,
    ),
)
def test_no_kernel_touches_a_byte_outside_its_buffers(target, what, count):
    code, output = finish(start([GUARDED, what, count], ELMAN_TARGET=target))
    assert code == 0, "\n".join(output.splitlines()[-40:])
    assert output.endswith("done\n")
    ends, starts = [output.count(f"guarded at the {where}") for where in ("end", "start")]
    assert ends == starts >= count


# the floating point mode

FLUSH, TOWARD_ZERO, DEFAULT = 0x9FC0, 0x7F80, 0x1F80
CONTROL = 0xFFC0  # the bits below say what has happened so far


@pytest.fixture(scope="module")
def register():
    arguments = "ptr %at, i64 %a, i64 %b, i64 %c, i64 %d"
    text = "\n".join(
        [
            f"declare void @llvm.x86.sse.{function}(ptr)\n"
            f"define void @{function}({arguments}) {{\n"
            f"  call void @llvm.x86.sse.{function}(ptr %at)\n  ret void\n}}"
            for function in ("stmxcsr", "ldmxcsr")
        ]
    )
    target = find_target("host")
    kernel = Kernel(compile_module(text, target), target)
    return {name: kernel.function(name) for name in ("stmxcsr", "ldmxcsr")}, kernel


@on_x86
@pytest.mark.parametrize("mode", [DEFAULT, FLUSH, TOWARD_ZERO])
def test_the_callers_floating_point_mode_is_as_it_was(mode, register):
    functions, _ = register
    cell, word = CATALOGUE["lstm"], c_uint32(mode)
    numbers = draw(cell, 7, 19)
    before = c_uint32()
    functions["stmxcsr"](addressof(before), 0, 0, 0, 0)
    try:
        functions["ldmxcsr"](addressof(word), 0, 0, 0, 0)
        results(cell, numbers)
        functions["stmxcsr"](addressof(word), 0, 0, 0, 0)
    finally:
        functions["ldmxcsr"](addressof(before), 0, 0, 0, 0)
    assert word.value & CONTROL == mode


@elman.cell
def halves(x, h, *, W):
    return 0.5 * h + W.a @ x


def test_subnormal_numbers_are_zero_inside_and_numbers_outside(monkeypatch):
    monkeypatch.setattr(tuning, "MIN_PARALLEL_WORK", 0)
    threads = torch.get_num_threads()
    tiny = torch.finfo(torch.float32).tiny
    layer = elman.Recurrent(halves, 1, 1)
    torch.set_num_threads(2)
    try:
        with torch.no_grad():
            x, first = torch.zeros(3, 4, 1), torch.full((1, 4, 1), 2 * tiny)
            y, _ = layer(x, (first,))
        assert y[:, :, 0].tolist() == [[tiny] * 4, [0.0] * 4, [0.0] * 4]
        # large enough for torch to share it among the threads that the kernel ran on
        assert (torch.full((1 << 20,), tiny) * 0.5 == tiny / 2).all()
        assert tiny / 2 > 0
    finally:
        torch.set_num_threads(threads)


# signals, processes and threads

# three rows, so that there is nothing to do ahead of the steps
FORWARD = """
layer = elman.Recurrent(elman.cells.lstm, 4, 512)
with torch.no_grad():
    layer(torch.zeros(2, 3, 4))
    interrupt_soon()
    layer(torch.zeros(50_000, 3, 4))
"""
# nothing but zeros, which take no memory until they are read
BACKWARD = """
from elman.backends.engine import Call, Outputs
from elman.backends.native.engine import NativeEngine
from elman.backends.plan import make_plan
cell = elman.cells.lstm
layer = elman.Recurrent(cell, 4, 512)
parameters = [p.detach() for p in layer.parameters()]
def backward(time):
    x, y, states = torch.zeros(time, 1, 4), torch.zeros(time, 1, 512), [torch.zeros(1, 512)] * 2
    plan = make_plan(cell)
    call = Call(plan, x, states, parameters, None, False)
    saved = [torch.zeros(like.shape) for like in NativeEngine().saved_like(call)]
    NativeEngine().backward(call, Outputs(y, ()), saved, Outputs(y, states))
backward(2)
interrupt_soon()
backward(100_000)
"""
# The signal comes after half a second of the processor's time, amid a kernel, however busy the
# machine is.  Kernels that begin after it are counted, as the pipe shows that it has come.
INTERRUPTED = """
import os, select, signal
import torch, elman
from elman.backends.native import kernels
call, steps, late = kernels.run_partitions, [], []
came, comes = os.pipe()
os.set_blocking(comes, False)
signal.set_wakeup_fd(comes)
signal.signal(signal.SIGVTALRM, signal.default_int_handler)
def counted(function, address, table, shares, first, last):
    late.extend(select.select([came], [], [], 0)[0])
    steps.append(max(0, last - first))
    call(function, address, table, shares, first, last)
kernels.run_partitions = counted
def interrupt_soon():
    steps.clear()
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.5)
try:
{program}
except KeyboardInterrupt:
    print(len(late), "more calls,", "before" if sum(steps) < {steps} else "at", "the end")
else:
    print("never")
"""


@on_linux
@pytest.mark.parametrize(
    ("program", "steps"), [(FORWARD, 50_000), (BACKWARD, 100_000)], ids=["forward", "backward"]
)
def test_a_long_sequence_can_be_interrupted(program, steps):
    indented = "".join([f"    {line}\n" for line in program.splitlines()])
    program = INTERRUPTED.format(program=indented, steps=steps)
    code, output = finish(start(["-c", program], OMP_NUM_THREADS="1"))
    assert (code, output) in [(0, f"{calls} more calls, before the end\n") for calls in (0, 1)]


def test_an_interruption_passes_through_torchs_backward(monkeypatch):
    layer = elman.Recurrent(elman.cells.lstm, 3, 4)
    y, _ = layer(torch.randn(5, 2, 3))

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(NativeEngine, "backward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        y.sum().backward()


FORKED = """
import os, sys
import torch, elman
from elman.backends.native import tuning
tuning.MIN_PARALLEL_WORK = 0
layer, x = elman.Recurrent(elman.cells.lstm, 5, 40), torch.randn(6, 8, 5)
def run(threads):
    torch.set_num_threads(threads)
    y, _ = layer(x)
    return torch.autograd.grad(y.sum(), [*layer.parameters()]) + (y,)
before = run({parent})
child = os.fork()
if child == 0:
    same = all([torch.equal(a, b) for a, b in zip(run({child}), before)])
    os._exit(0 if same else 1)
_, status = os.waitpid(child, 0)
run({parent})
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.thorough
@on_linux
@pytest.mark.parametrize(("parent", "child"), [(2, 1), (1, 2)])
def test_a_forked_process_computes_the_same(parent, child):
    """With several threads in both, GNU's OpenMP waits for threads that the fork did not copy.

    So does torch's own matrix product; torch's data loader uses one thread in its workers.
    """
    program = FORKED.format(parent=parent, child=child)
    process = start(["-W", "ignore::DeprecationWarning", "-c", program], OMP_NUM_THREADS="1")
    assert finish(process) == (0, "")


@elman.cell(gates="f g")
def seen_by_all_at_once(x, h, *, W, b):
    f = elman.sigmoid(W.f @ [h, x] + b.f)
    return f * h + (1 - f) * elman.tanh(W.g @ [f * h, x])


def test_threads_may_share_a_layer_from_its_first_call(monkeypatch, tmp_path):
    monkeypatch.setenv("ELMAN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(tuning, "MIN_PARALLEL_WORK", 0)
    batches = [draw(seen_by_all_at_once, 7, 19, seed=seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: results(seen_by_all_at_once, n), batches * 4))
    kernels.layer_of.cache_clear()
    expected = [results(seen_by_all_at_once, numbers) for numbers in batches]
    for k, one in enumerate(found):
        assert_same(one, expected[k % len(batches)])
