"""Compare one step of exported C with RTNeural, ONNX Runtime and ``layer.step``: batch 1, 1 thread.

    RTNEURAL=/path/to/RTNeural python benchmarks/c_step.py [SECONDS [UNITS ...]]

exports LSTM and GRU layers of 8 to 128 units, compiles them with gcc, and times all interleaved in
one process for SECONDS per layer.  RTNeural is compiled from a clone at that path with its Eigen
backend (``EIGEN`` is the folder of Eigen's headers) and the layer's weights, and its values are
compared; without the variable it is omitted.  If ``arm-none-eabi-gcc`` is installed, the script
also prints sizes for a Cortex-M4.  Writes ``benchmarks/results/c_step.json``.

RTNeural is compiled with its Eigen and its xsimd backend; ``EIGEN`` and ``XSIMD`` are the folders
of their headers: Debian's libeigen3-dev, and xsimd 10.0, which RTNeural's submodule names (13 does
not compile).  With UNITS only those sizes run, and no file is written.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

import elman
from elman.benchmark.contestants import parameters_of
from elman.benchmark.machine import machine, sentence
from elman.files import write_whole
from elman.nn import Recurrent
from onnx_session import Session

RESULTS = Path(__file__).parent / "results" / "c_step.json"
CELLS = {"lstm": elman.cells.lstm, "gru": elman.cells.gru_reset_after}
UNITS = (8, 16, 32, 64, 128)
#: steps per run of compiled code, and calls per run from Python
STEPS, CALLS = 5000, 50
RATE = 48_000

#: the last makes a call inside a library as direct as in a program
LIBRARY = ("-fPIC", "-shared", "-Wl,-Bsymbolic")
FAST = ("-O3", "-march=native", "-ffast-math", *LIBRARY)
PLAIN = ("-std=c99", "-O3", "-march=native", *LIBRARY)
OURS = {"Elman's C": PLAIN, "Elman's C, -ffast-math": FAST, "Elman's C, int8": PLAIN}
RIVALS = ("EIGEN", "XSIMD")
CORTEX = ("-std=c99", "-O2", "-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard")

#: a loop in C whose input depends on the last output
LOOP = """\
#include "model.h"
static model_state state;
void reset(void) { model_init(&state); }
void steps(int count, float *x, float *y)
{
    for (int k = 0; k < count; ++k) {
        x[0] = 0.5f * y[0] + 0.1f;
        model_step(&state, x, y);
    }
}
"""

RTNEURAL = """\
#include <RTNeural.h>
#include <algorithm>
constexpr int I = %(input)d, H = %(hidden)d, G = %(gates)d;
static RTNeural::ModelT<float, I, H, RTNeural::%(layer)sLayerT<float, I, H>> model;
static std::vector<std::vector<float>> rows(const float *a, int n)
{
    std::vector<std::vector<float>> found;
    for (int k = 0; k < n; ++k)
        found.emplace_back(a + k * G * H, a + (k + 1) * G * H);
    return found;
}
extern "C" void weights(const float *w, const float *u, const float *b)
{
    auto &layer = model.get<0>();
    layer.setWVals(rows(w, I));
    layer.setUVals(rows(u, H));
    layer.setBVals(%(biases)s);
}
extern "C" void reset() { model.reset(); }
extern "C" void steps(int count, float *x, float *y)
{
    alignas(64) float aligned[I + 16];
    std::copy(x, x + I, aligned);
    for (int k = 0; k < count; ++k) {
        aligned[0] = 0.5f * y[0] + 0.1f;
        model.forward(aligned);
        y[0] = model.getOutputs()[0];
    }
    std::copy(model.getOutputs(), model.getOutputs() + H, y);
}
"""


class Compiled:
    """A shared library with ``reset`` and ``steps``."""

    def __init__(self, library: Path, layer: Recurrent) -> None:
        self.library = ctypes.CDLL(str(library))
        self.x = np.full(max(layer.input_size, 16), 0.1, np.float32)
        self.y = np.zeros(layer.hidden_size + 16, np.float32)
        self.library.reset()

    def run(self) -> None:
        self._steps(STEPS)

    def first(self, count: int) -> np.ndarray:
        """The outputs after ``count`` steps from the initial state."""
        self.library.reset()
        self.y[:] = 0
        self._steps(count)
        return self.y.copy()

    def _steps(self, count: int) -> None:
        x, y = [a.ctypes.data_as(ctypes.c_void_p) for a in (self.x, self.y)]
        self.library.steps(count, x, y)


def compile_ours(layer: Recurrent, folder: Path, flags: tuple[str, ...], int8: bool) -> Compiled:
    folder.mkdir()
    elman.export.c(layer, folder / "model.c", quantize="int8" if int8 else None)
    (folder / "loop.c").write_text(LOOP)
    sources = ["model.c", "loop.c"]
    subprocess.run(["gcc", *flags, *sources, "-o", "ours.so", "-lm"], cwd=folder, check=True)
    return Compiled(folder / "ours.so", layer)


def compile_rtneural(layer: Recurrent, folder: Path, clone: str, backend: str) -> Compiled:
    folder.mkdir()
    lstm = layer.cell.name == "lstm"
    gates = "ifgo" if lstm else "zrn"
    rows = "rows(b, 2)" if not lstm else "std::vector<float>(b, b + G * H)"
    filled = RTNEURAL % {
        "input": layer.input_size, "hidden": layer.hidden_size, "gates": len(gates),
        "layer": "LSTM" if lstm else "GRU", "biases": rows,
    }  # fmt: skip
    (folder / "rival.cpp").write_text(filled)
    eigen = os.environ.get("EIGEN", "/usr/include/eigen3")
    xsimd = os.environ.get("XSIMD", "/usr/include")
    headers = (clone, f"{clone}/RTNeural", f"{clone}/modules/json", eigen, xsimd)
    includes = [f"-I{place}" for place in headers]
    defined = (
        f"-DRTNEURAL_USE_{backend}=1", "-DRTNEURAL_DEFAULT_ALIGNMENT=32",
        "-DEIGEN_STACK_ALLOCATION_LIMIT=0",
    )  # fmt: skip
    command = ["g++", "-std=c++17", *FAST, *defined, *includes, "rival.cpp", "-o", "rival.so"]
    subprocess.run(command, cwd=folder, check=True)
    made = Compiled(folder / "rival.so", layer)
    with torch.no_grad():
        p = {k: v.numpy() for k, v in parameters_of(layer).items()}
    hidden = layer.hidden_size
    if lstm:
        u = [p[f"W.{g}"][:, :hidden] for g in gates]
        w = [p[f"W.{g}"][:, hidden:] for g in gates]
        b = [p[f"b.{g}"] for g in gates]
    else:
        u = [p["W.z"][:, :hidden], p["W.r"][:, :hidden], p["W.m"]]
        w = [p["W.z"][:, hidden:], p["W.r"][:, hidden:], p["W.n"]]
        zeros = np.zeros(hidden, np.float32)
        b = [p["b.z"], p["b.r"], p["b.n"], zeros, zeros, p["b.m"]]
    given = [np.concatenate(w).T, np.concatenate(u).T, np.concatenate(b)]
    arrays = [np.ascontiguousarray(a, np.float32) for a in given]
    made.library.weights(*[a.ctypes.data_as(ctypes.c_void_p) for a in arrays])
    made.library.reset()
    return made


def from_python(layer: Recurrent) -> Callable[[], None]:
    """Calls of ``layer.step``, each with the state of the previous one."""
    x = torch.full((1, layer.input_size), 0.1)

    def run() -> None:
        state = None
        with torch.no_grad():
            for _ in range(CALLS):
                _, state = layer.step(x, state)

    return run


def onnx_runtime(layer: Recurrent) -> Callable[[], None]:
    session = Session(layer, 1)
    x = np.full((1, 1, layer.input_size), 0.1, np.float32)

    def run() -> None:
        states = None
        for _ in range(CALLS):
            _, *last = session.run(x, states)
            states = dict(zip(session.states, last, strict=True))

    return run


def turns(
    runs: dict[str, tuple[Callable[[], None], int]], seconds: float
) -> dict[str, list[float]]:
    """Nanoseconds per step for each run of each contestant, interleaved.

    The order is drawn anew each time: a run after one from Python begins with colder caches.
    """
    taken: dict[str, list[float]] = {name: [] for name in runs}
    draw, order = random.Random(0), list(runs.items())
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        draw.shuffle(order)
        for name, (run, steps) in order:
            before = time.perf_counter_ns()
            run()
            taken[name].append((time.perf_counter_ns() - before) / steps)
    return taken


def sizes(layer: Recurrent, folder: Path) -> dict[str, int] | None:
    """Bytes of code, tables and state on a Cortex-M4."""
    if shutil.which("arm-none-eabi-gcc") is None:
        return None
    source, target = folder / "model.c", folder / "model.o"
    subprocess.run(["arm-none-eabi-gcc", *CORTEX, "-c", source, "-o", target], check=True)
    done = subprocess.run(
        ["arm-none-eabi-size", "-A", target], check=True, capture_output=True, text=True
    )
    found = {"code": 0, "tables": 0}
    for line in done.stdout.splitlines():
        name, *numbers = line.split() or [""]
        if name.startswith(".text"):
            found["code"] += int(numbers[0])
        elif name.startswith((".rodata", ".data")):
            found["tables"] += int(numbers[0])
    padded = elman.export.c_source.layer.padded_width(layer.hidden_size)
    return {**found, "state": 4 * padded * len(layer.cell.states)}


def main(seconds: float, all_units: Sequence[int]) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(sentence(machine()))
    clone = os.environ.get("RTNEURAL")
    rows = []
    for name, cell in CELLS.items():
        for units in all_units:
            for inputs in (1, units):
                layer = Recurrent(cell, inputs, units)
                rows.append(measure(name, layer, seconds, clone))
    found = {"machine": machine(), "steps": STEPS, "rows": rows}
    if tuple(all_units) == UNITS:
        write_whole(RESULTS, json.dumps(found, indent=1) + "\n")


def measure(name: str, layer: Recurrent, seconds: float, clone: str | None) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        compiled = {
            title: compile_ours(layer, folder / f"c{k}", flags, title.endswith("int8"))
            for k, (title, flags) in enumerate(OURS.items())
        }
        for backend in RIVALS if clone else ():
            place = folder / backend
            compiled[f"RTNeural, {backend}"] = compile_rtneural(layer, place, str(clone), backend)
        expected = compiled["Elman's C"].first(100)
        for title, each in compiled.items():
            tolerance = 0.05 if title.endswith("int8") else 1e-4
            assert np.abs(each.first(100) - expected).max() < tolerance, title
        runs = {title: (each.run, STEPS) for title, each in compiled.items()}
        runs |= {"ONNX Runtime": (onnx_runtime(layer), CALLS)}
        runs |= {"layer.step": (from_python(layer), CALLS)}
        taken = turns(runs, seconds)
        on_arm = {"float": sizes(layer, folder / "c0"), "int8": sizes(layer, folder / "c2")}
    print(f"\n{name} {layer.input_size} x {layer.hidden_size}")
    times = {}
    for title, found in taken.items():
        best, middle = min(found), statistics.median(found)
        times[title] = {"minimum": round(best, 1), "median": round(middle, 1), "runs": len(found)}
        faster = 1e9 / RATE / middle
        print(f"  {title:32} {best:9.1f} ns minimum, {middle:9.1f} median, {faster:8.1f} x 48 kHz")
    for kind, size in on_arm.items():
        if size is not None:
            words = ", ".join([f"{part} {count:,}" for part, count in size.items()])
            print(f"  bytes on a Cortex-M4, {kind}: {words}")
    sizes_of = [layer.input_size, layer.hidden_size]
    return {"cell": name, "sizes": sizes_of, "times": times, "cortex": on_arm}


if __name__ == "__main__":
    given = [float(argument) for argument in sys.argv[1:]]
    main(given[0] if given else 3.0, [int(units) for units in given[1:]] or UNITS)
