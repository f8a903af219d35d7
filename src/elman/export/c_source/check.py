"""The written C, compiled and run beside Elman.

A small program around the exported step reads states and inputs as binary numbers and writes the
outputs; it lives in a temporary folder and only while it runs.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from elman.errors import ExportError
from elman.export.c_source.program import Program
from elman.export.stepwise import Stepwise
from elman.graph.ops import CONDITIONS

#: a sequence is short, since some cells double every rounding error from step to step
STEPS_OF_A_SEQUENCE = 8
#: how much further from float64 than Elman's own float32 a program may be
AS_FAR = 8.0


#: how often a cell with conditions is tried: rounding may take the other branch, though rarely
TRIES = 3


@dataclass(frozen=True)
class Compared:
    """The largest difference, ``None`` where nothing could be run; its bound; in words."""

    difference: float | None
    bound: float
    note: str


def compiler() -> str | None:
    """The C compiler that is found first: cc, gcc or clang."""
    for name in ("cc", "gcc", "clang"):
        found = shutil.which(name)
        if found is not None:
            return found
    return None


def compare(program: Program, model: Stepwise, steps: int, bound: float) -> Compared:
    """Run a program over random steps and compare its values with the model's in float64.

    Half of the sequences begin as the program does, half at random states.  What counts is the
    difference relative to a value above 1.  Where the equations blow up rounding errors, Elman's
    own float32 is far from float64 as well, and the bound is a few times that distance.
    """
    found = compiler()
    if found is None:
        return Compared(None, bound, "no C compiler (cc, gcc or clang) was found")
    rows = max(2, -(-steps // STEPS_OF_A_SEQUENCE))
    note = f"{rows * STEPS_OF_A_SEQUENCE:,} random steps, compiled by {Path(found).name}"
    branches = any([node.operation in CONDITIONS for node in model.layers.cell.nodes])
    compared = Compared(None, bound, "from random states its equations give no finite number")
    with tempfile.TemporaryDirectory() as folder:
        binary = build(program, Path(folder), found)
        for seed in range(TRIES if branches else 1):
            x, state = random_inputs(model, rows, STEPS_OF_A_SEQUENCE, seed)
            exact = model.on_reference_engine(x, tuple([s.double() for s in state]))
            own = model.on_reference_engine(x, state)
            usable = torch.isfinite(exact) & torch.isfinite(own)
            if bool(usable.any()):
                ours = run(binary, program, x, state)
                allowed = max(bound, AS_FAR * _largest(own, exact, usable))
                compared = Compared(_largest(ours, exact, usable), allowed, note)
            if compared.difference is not None and compared.difference <= compared.bound:
                break
    return compared


def random_inputs(
    model: Stepwise, rows: int, steps: int, seed: int = 0
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Inputs (time, row, input) or symbols (time, row), and starting states in float32."""
    generator = torch.Generator().manual_seed(seed)
    stack = model.layers.stack
    if model.table is None:
        x = torch.randn(steps, rows, stack.input_size, generator=generator)
    else:
        x = torch.randint(len(model.table), (steps, rows), generator=generator)
    shape = (stack.num_layers, rows, stack.hidden_size)
    states = [torch.rand(shape, generator=generator) * 2 - 1 for _ in stack.cell.states]
    for state, first in zip(states, _first_states(model), strict=True):
        state[:, : rows // 2] = first
    return x, tuple(states)


def _first_states(model: Stepwise) -> tuple[Tensor, ...]:
    """The states (layer, 1, hidden) with which a sequence begins."""
    stack = model.layers.stack
    zeros = torch.zeros(stack.num_layers, 1, stack.hidden_size)
    return model.layers.others.initial or tuple([zeros for _ in stack.cell.states])


def build(program: Program, folder: Path, compiler: str, *flags: str) -> Path:
    """The program with a ``main`` around it, compiled in a folder."""
    source, binary = folder / f"{program.stem}.c", folder / "check"
    source.write_text(program.source, encoding="utf-8")
    source.with_suffix(".h").write_text(program.header, encoding="utf-8")
    # two underscores at the end: no name of a file that is exported ends so
    driver = folder / "main__.c"
    driver.write_text(_driver(program), encoding="utf-8")
    wanted = flags or ("-std=c99", "-O2")
    command = [compiler, *wanted, str(driver), str(source), "-o", str(binary), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode or not binary.exists():
        first = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr)
        raise ExportError(
            f"{source.name}: {Path(compiler).name} did not compile it: {first.strip()}; "
            "please report this together with the cell."
        )
    return binary


def run(binary: Path, program: Program, x: Tensor, state: tuple[Tensor, ...]) -> Tensor:
    """The outputs (time, row, output) of each row, from its starting state on."""
    steps, rows = x.shape[:2]
    kind = np.float32 if program.lookup is None else np.int32
    parts = [np.array([rows, steps], np.int32).tobytes()]
    first = _first_states(program.model)
    for row in range(rows):
        goes_on = any(
            [not torch.equal(s[:, row], own[:, 0]) for s, own in zip(state, first, strict=True)]
        )
        parts.append(np.array([goes_on], np.int32).tobytes())
        for k in range(program.model.layers.stack.num_layers if goes_on else 0):
            parts += [s[k, row].numpy().astype(np.float32).tobytes() for s in state]
        parts.append(x[:, row].contiguous().numpy().astype(kind).tobytes())
    done = subprocess.run([str(binary)], input=b"".join(parts), capture_output=True)
    values = np.frombuffer(done.stdout, np.float32)
    if done.returncode or values.size != rows * steps * program.output_size:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise ExportError(
            f"{program.stem}.c: the compiled program ended with {done.returncode} "
            f"({said[0] if said else 'no message'}); please report this together with the cell."
        )
    found = values.reshape(rows, steps, program.output_size).copy()
    return torch.from_numpy(found).transpose(0, 1)


def _largest(ours: Tensor, exact: Tensor, usable: Tensor) -> float:
    difference = (ours.double() - exact).abs() / exact.abs().clamp_min(1)
    return float(difference[usable].max())


def _driver(program: Program) -> str:
    prefix, upper = program.prefix, program.prefix.upper()
    symbols = program.lookup is not None
    width = 1 if symbols else program.input_size
    reads = "\n".join(
        [
            f"            read(state.layer_{each.index}.{member}, {each.sizes.hidden}, "
            "sizeof(float));"
            for each in program.layers
            for member in each.members.values()
        ]
    )
    given = "given[0]" if symbols else "given"
    return f"""\
#include "{program.stem}.h"

#include <stdio.h>
#include <stdlib.h>

static void read(void *to, size_t count, size_t size)
{{
    if (fread(to, size, count, stdin) != count)
        exit(2);
}}

int main(void)
{{
    static {prefix}_state state;
    int counts[2], goes_on;
    {"int" if symbols else "float"} given[{width}];
    float output[{upper}_OUTPUT_SIZE];
    read(counts, 2, sizeof(int));
    for (int row = 0; row < counts[0]; ++row) {{
        {prefix}_init(&state);
        read(&goes_on, 1, sizeof(int));
        if (goes_on) {{
{reads}
        }}
        for (int k = 0; k < counts[1]; ++k) {{
            read(given, {width}, sizeof given[0]);
            {prefix}_step(&state, {given}, output);
            if (fwrite(output, sizeof(float), {upper}_OUTPUT_SIZE, stdout)
                != {upper}_OUTPUT_SIZE)
                return 3;
        }}
    }}
    return 0;
}}
"""
