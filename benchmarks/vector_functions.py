"""Measure each vector function of the native engine, and the equations of an LSTM unit.

    python benchmarks/vector_functions.py host float

One thread loops over 4 KB repeatedly; the minimum of 60 runs counts.  It includes the loop's load
and store, which take at most the time of ``relu``.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable

import llvmlite.binding as llvm
import numpy as np

from elman.backends.native.llvm.ir import Builder, Value
from elman.backends.native.llvm.math import VectorMathematics
from elman.backends.native.llvm.target import Target, find_target

SIZE = {"float": 1024, "double": 512}  # elements of 4 KB
VECTORS, RUNS = 1 << 12, 60
Function = Callable[[VectorMathematics, Value], Value]


def lstm(m: VectorMathematics, a: Value) -> Value:
    """σ(o) tanh(σ(f) c + σ(i) tanh(g)), with five different inputs derived from one."""
    i, f, g, o, c = [m.add(a, m.builder.constant(k / 8)) for k in range(5)]
    c = m.add(m.multiply(m.sigmoid(f), c), m.multiply(m.sigmoid(i), m.tanh(g)))
    return m.multiply(m.sigmoid(o), m.tanh(c))


FUNCTIONS: dict[str, Function] = {
    "relu": VectorMathematics.relu,
    "exp": VectorMathematics.exp,
    "log": VectorMathematics.log,
    "tanh": VectorMathematics.tanh,
    "sigmoid": VectorMathematics.sigmoid,
    "softplus": VectorMathematics.softplus,
    "rsqrt": lambda m, a: m.rsqrt(a, 1e-5),
    "lstm": lstm,
}


def nanoseconds(function: Function, scalar: str, target: Target) -> float:
    """Nanoseconds per vector."""
    lanes, size = target.lanes(scalar), SIZE[scalar]
    b = Builder(scalar, lanes)
    b.store(function(VectorMathematics(b), b.load("%x", "%place")), "%y", "%place")
    lines = "\n".join(b.lines)
    text = f"""target triple = "{target.triple}"
define void @run(ptr noalias %x, ptr noalias %y) {{
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  %place = and i64 %i, {size - 1}
{lines}
  %next = add i64 %i, {lanes}
  %more = icmp slt i64 %next, {VECTORS * lanes}
  br i1 %more, label %loop, label %out
out:
  ret void
}}
"""
    module = llvm.parse_assembly(text + "\n".join(sorted(b.declared)))
    machine = llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=3
    )
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(
        engine.get_function_address("run")
    )
    number = {"float": np.float32, "double": np.float64}[scalar]
    x = np.random.default_rng(0).uniform(0, 4, size).astype(number)
    y, times = np.empty_like(x), []
    for _ in range(RUNS):
        start = time.perf_counter()
        run(x.ctypes.data, y.ctypes.data)
        times.append(time.perf_counter() - start)
    return min(times) / VECTORS * 1e9


if __name__ == "__main__":
    name, scalar = (sys.argv[1:] + ["host", "float"][len(sys.argv) - 1 :])[:2]
    target = find_target(name)
    print(f"ns per vector of {target.lanes(scalar)} x {scalar} on {target.cpu}")
    for title, function in FUNCTIONS.items():
        print(f"{title:9}{nanoseconds(function, scalar, target):6.2f}")
