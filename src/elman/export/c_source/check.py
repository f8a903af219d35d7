"""The written C, compiled and run beside Elman.

A small program around the exported step reads states and inputs as binary numbers and writes the
outputs; it lives in a temporary folder and only while it runs.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from elman.errors import ExportError
from elman.export.c_source.numbers import as_array
from elman.export.c_source.program import Program
from elman.export.stepwise import Stepwise
from elman.graph.ops import CONDITIONS
from elman.nn.stack import State

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
            x, state, sides = random_inputs(model, rows, STEPS_OF_A_SEQUENCE, seed)
            exact = model.on_reference_engine(x, tuple([s.double() for s in state]), sides)
            own = model.on_reference_engine(x, state, sides)
            usable = torch.isfinite(exact) & torch.isfinite(own)
            if bool(usable.any()):
                ours = run(binary, program, x, state, sides)
                allowed = max(bound, AS_FAR * _largest(own, exact, usable))
                compared = Compared(_largest(ours, exact, usable), allowed, note)
            if compared.difference is not None and compared.difference <= compared.bound:
                break
    return compared


def random_inputs(
    model: Stepwise, rows: int, steps: int, seed: int = 0
) -> tuple[Tensor, State, dict[str, Tensor]]:
    """Inputs (time, row, input) or symbols (time, row), starting states, and side inputs."""
    generator = torch.Generator().manual_seed(seed)
    stack = model.layers.stack
    if model.table is None:
        x = torch.randn(steps, rows, stack.input_size, generator=generator)
    else:
        x = torch.randint(len(model.table), (steps, rows), generator=generator)
    if stack.cell.has_memory:
        states = tuple([s.clone() for s in model.layers.draw_state(rows, generator)])
    else:
        shapes = [stack.state_shape(name, rows) for name in stack.cell.states]
        states = tuple([torch.rand(shape, generator=generator) * 2 - 1 for shape in shapes])
    for state, first in zip(states, _first_states(model), strict=True):
        state[:, : rows // 2] = first
    return x, states, model.layers.draw_inputs(steps, rows, generator=generator)


def _first_states(model: Stepwise) -> State:
    """The states (layer, 1, ...) with which a sequence begins."""
    stack = model.layers.stack
    zeros = [torch.zeros(stack.state_shape(name, 1)) for name in stack.cell.states]
    return model.layers.others.initial or tuple(zeros)


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


def run(
    binary: Path,
    program: Program,
    x: Tensor,
    state: State,
    sides: Mapping[str, Tensor] = MappingProxyType({}),
) -> Tensor:
    """The outputs (time, row, output) of each row, from its starting state on.

    ``sides`` are the inputs beside x, (time, row, size).
    """
    steps, rows = x.shape[:2]
    kind = np.float32 if program.lookup is None else np.int32
    parts = [np.array([rows, steps], np.int32).tobytes()]
    first = _first_states(program.model)
    sizes = [leaf.size for leaf in program.model.layers.cell.state_leaves]
    for row in range(rows):
        goes_on = any(
            [not torch.equal(s[:, row], own[:, 0]) for s, own in zip(state, first, strict=True)]
        )
        parts.append(np.array([goes_on], np.int32).tobytes())
        for k in range(program.model.layers.stack.num_layers if goes_on else 0):
            for own, size in zip(state, sizes, strict=True):
                parts.append(as_array(own[k, row], size).numpy().astype(np.float32).tobytes())
        for step in range(steps):
            parts.append(x[step, row].numpy().astype(kind).tobytes())
            parts += [sides[n][step, row].float().numpy().tobytes() for n in program.sides]
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
            f"            read(state.layer_{each.index}.{member}, {each.width_of(state)}, "
            "sizeof(float));"
            for each in program.layers
            for state, member in each.members.items()
        ]
    )
    # names with two underscores at the end, as that of the file
    sides = {f"side_{k}__": program.side_size(name) for k, name in enumerate(program.sides)}
    arrays = "".join([f"    float {name}[{size}];\n" for name, size in sides.items()])
    more = "".join(
        [f"            read({name}, {size}, sizeof {name}[0]);\n" for name, size in sides.items()]
    )
    given = ", ".join(["given[0]" if symbols else "given", *sides])
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
{arrays}    float output[{upper}_OUTPUT_SIZE];
    read(counts, 2, sizeof(int));
    for (int row = 0; row < counts[0]; ++row) {{
        {prefix}_init(&state);
        read(&goes_on, 1, sizeof(int));
        if (goes_on) {{
{reads}
        }}
        for (int k = 0; k < counts[1]; ++k) {{
            read(given, {width}, sizeof given[0]);
{more}            {prefix}_step(&state, {given}, output);
            if (fwrite(output, sizeof(float), {upper}_OUTPUT_SIZE, stdout)
                != {upper}_OUTPUT_SIZE)
                return 3;
        }}
    }}
    return 0;
}}
"""
