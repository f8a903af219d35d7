"""Measure steps with int8 weights: their time beside float32 and ONNX Runtime, and what they lose.

    python benchmarks/int8_steps.py [SECONDS]

The time of a step of an LSTM, called from Python with frozen weights, on one thread, beside a step
with float32 weights and ONNX Runtime's LSTM and DynamicQuantizeLSTM, interleaved in one process.
The loss is that of two shipped models, whose recurrent layers run by such steps over test data.
Writes ``benchmarks/results/int8_steps.json``.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

import elman
from elman.benchmark import machine
from elman.benchmark.timing import clock_for, interleaved
from elman.files import write_whole
from elman.nn import Recurrent
from recipes.real_data import chorales_in_voices, tiny_shakespeare

RESULTS = Path(__file__).parent / "results" / "int8_steps.json"
SIZES = ((1, 64), (1, 128), (1, 256), (1, 512), (1, 1024), (4, 512), (16, 512))
#: shipped models, with their test data and a metric
MODELS = (
    ("language", tiny_shakespeare, "bits_per_character"),
    ("music", chorales_in_voices, "nll"),
)


class ByInt8Steps(nn.Module):
    """A layer that runs by steps with int8 weights; all else is the layer's."""

    def __init__(self, layer: Recurrent) -> None:
        super().__init__()
        self.layer = layer

    def __getattr__(self, name: str) -> Any:
        return super().__getattr__(name) if name in ("layer",) else getattr(self.layer, name)

    def forward(
        self, x: Tensor, state: Any = None, *, lengths: Any = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The outputs, also past the lengths of rows, and the last states."""
        stepper = self.layer.stepper(x.shape[1], quantize="int8")
        if state is not None:
            stepper.state = state
        return torch.stack([stepper(each.contiguous()).clone() for each in x]), stepper.state


def quantized_session(layer: Recurrent, folder: Path) -> Callable[[dict[str, Any]], object]:
    """A step of ONNX Runtime's DynamicQuantizeLSTM."""
    import onnxruntime

    elman.export.onnx(layer, folder / "step.onnx", step=True, quantize="int8")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        folder / "step.onnx", options, providers=["CPUExecutionProvider"]
    )
    return lambda feed: session.run(None, feed)


def steps(batch: int, hidden: int, seconds: float) -> dict[str, Any]:
    """The medians of all, in microseconds."""
    torch.manual_seed(0)
    layer = elman.Recurrent(elman.cells.lstm, hidden, hidden).eval()
    x = torch.randn(batch, hidden)
    float32, int8 = layer.stepper(batch), layer.stepper(batch, quantize="int8")
    runs: dict[str, Callable[[], object]] = {
        "int8": lambda: int8(x), "float32": lambda: float32(x)
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        if find_spec("onnxruntime"):
            from onnx_session import Session

            session = Session(layer, 1)
            start = torch.zeros(1, batch, hidden).numpy()
            feed = {"X": x[None].numpy(), "initial_h": start, "initial_c": start}
            runs["ONNX Runtime"] = lambda: session.session.run(None, feed)
            small = quantized_session(layer, Path(folder))
            own = {"x": x.numpy(), "state.h": start, "state.c": start}
            runs["ONNX Runtime, int8"] = lambda: small(own)
        times = interleaved(runs, seconds, clock=clock_for(1), repeat=20, most=1000)
    return {
        "batch": batch,
        "hidden": hidden,
        "us": {name: round(1e6 * timing.median, 2) for name, timing in times.items()},
    }


def losses(name: str, files: Callable[[Path], dict[str, Path]], metric: str) -> dict[str, Any]:
    """The metric of a shipped model on its test data, in float32 and by int8 steps."""
    path = files(Path("runs") / "data")["test"]
    found = {}
    for kind in ("float32", "int8"):
        model = elman.load(name)
        if kind == "int8":
            model.model.recurrent = ByInt8Steps(model.model.recurrent)
        found[kind] = model.evaluate(path)[metric]
    return {"model": name, "metric": metric, **found}


def main() -> None:
    """Measure and print everything."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    torch.set_num_threads(1)
    times = [steps(batch, hidden, seconds) for batch, hidden in SIZES]
    (Path("runs") / "data").mkdir(parents=True, exist_ok=True)
    lost = [losses(*each) for each in MODELS]
    record = {
        "command": "python benchmarks/int8_steps.py", "machine": machine(), "steps": times,
        "losses": lost,
    }  # fmt: skip
    write_whole(RESULTS, json.dumps(record, indent=1) + "\n")
    console, table = Console(highlight=False), Table(title="microseconds a step of an LSTM")
    names = list(times[0]["us"])
    for column in ("batch", "hidden", *names):
        table.add_column(column, justify="right")
    for row in times:
        table.add_row(
            str(row["batch"]), str(row["hidden"]), *[f"{row['us'][name]:g}" for name in names]
        )
    console.print(table)
    for row in lost:
        console.print(
            f"{row['model']}, {row['metric']}: {row['float32']:.4f} in float32, "
            f"{row['int8']:.4f} with int8 steps"
        )


if __name__ == "__main__":
    main()
