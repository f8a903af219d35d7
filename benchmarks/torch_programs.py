"""Compare torch programs of a layer with the layer itself and with torch.nn.

    python benchmarks/torch_programs.py [SECONDS]

exports an LSTM and a GRU with ``elman.export.torch_program``, loads the programs as torch does, and
compiles them with AOTInductor if a C++ compiler is installed.  All contestants, ``torch.nn`` among
them, compute the same sequences, interleaved in one process for SECONDS per shape, with one thread.
Writes ``benchmarks/results/torch_programs.json``.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

import elman
from elman.benchmark.machine import machine, sentence
from elman.benchmark.timing import interleaved
from elman.files import write_whole

RESULTS = Path(__file__).parent / "results" / "torch_programs.json"
LAYERS = {"LSTM": elman.nn.LSTM, "GRU": elman.nn.GRU}
#: time, batch, input and hidden size
SHAPES = ((1, 1, 64, 64), (100, 1, 64, 64), (100, 32, 128, 128))


def main(seconds: float) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(sentence(machine()))
    rows = []
    for name in LAYERS:
        for shape in SHAPES:
            with tempfile.TemporaryDirectory() as folder:
                runs = contestants(name, shape, Path(folder))
                with torch.no_grad():
                    found = interleaved(runs, seconds, most=1_000_000)
            times = {title: 1000 * timing.median for title, timing in found.items()}
            rows.append({"layer": name, "shape": shape, "milliseconds": times})
            print(name, shape, {title: round(t, 3) for title, t in times.items()})
    write_whole(RESULTS, json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")


def contestants(
    name: str, shape: tuple[int, int, int, int], folder: Path
) -> dict[str, Callable[[], torch.Tensor]]:
    """Calls that return the same outputs."""
    steps, batch, inputs, hidden = shape
    layer = LAYERS[name](inputs, hidden)
    rival = getattr(torch.nn, name)(inputs, hidden)
    rival.load_state_dict(layer.state_dict())
    elman.export.torch_program(layer, folder / "layer.pt2")
    exported = torch.export.load(folder / "layer.pt2")
    x, lengths = torch.randn(steps, batch, inputs), torch.full((batch,), steps)
    states = [torch.zeros(1, batch, hidden) for _ in range(2 if name == "LSTM" else 1)]
    programs = {"torch program": exported.module()}
    if shutil.which("g++") is not None:
        packed = folder / "compiled.pt2"
        torch._inductor.aoti_compile_and_package(exported, package_path=str(packed))
        programs["AOTInductor"] = torch._inductor.aoti_load_package(str(packed))
    runs: dict[str, Callable[[], torch.Tensor]] = {
        "Elman": lambda: layer(x)[0],
        "torch.nn": lambda: rival(x)[0],
    }
    for title, program in programs.items():
        runs[title] = lambda program=program: program(x, lengths, *states)[0]
    with torch.no_grad():
        expected = runs["torch.nn"]()
        for title, run in runs.items():
            assert torch.allclose(run(), expected, atol=1e-5), title
    return runs


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0)
