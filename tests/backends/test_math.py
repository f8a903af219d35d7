"""The vector functions of the LLVM engine, against more precise ones and against torch."""

import ctypes
import platform
from functools import lru_cache

import llvmlite.binding as llvm
import numpy as np
import pytest
import torch

from elman.backends.native.llvm.ir import Builder
from elman.backends.native.llvm.math import VectorMathematics
from elman.backends.native.llvm.target import find_target

ON_X86 = platform.machine() in {"x86_64", "AMD64"}
TARGETS = ["host", "avx2", "x86-64"] if ON_X86 else ["host"]
TYPES = {"float": np.float32, "double": np.float64}
#: has at least 11 more bits than the type that it judges
PRECISE = {"float": np.float64, "double": np.longdouble}
OFFSET = 1e-5

UNARY = {
    "exp": (np.exp, torch.exp),
    "log": (np.log, torch.log),
    "tanh": (np.tanh, torch.tanh),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), torch.sigmoid),
    "softplus": (
        lambda x: np.maximum(x, 0) + np.log1p(np.exp(-abs(x))),
        torch.nn.functional.softplus,
    ),
    "rsqrt": (lambda x: 1 / np.sqrt(x), lambda x: torch.rsqrt(x + OFFSET)),
    "relu": (lambda x: np.maximum(x, 0), torch.relu),
    "negate": (np.negative, torch.neg),
    "sqrt": (np.sqrt, torch.sqrt),
    "floor": (np.floor, torch.floor),
}
#: precise only where an angle has digits left
CIRCULAR = {"sin": (np.sin, torch.sin), "cos": (np.cos, torch.cos)}
BINARY = {
    "add": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "divide": torch.div,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "greater": lambda a, b: torch.where(a > b, a, b),
    "at_least": lambda a, b: torch.where(a >= b, a, b),
}

POSITIVE = [0.0, 1e-30, 0.5, 1.0, 2.0, 1e30, np.inf]
FEW = [*POSITIVE, *[-x for x in POSITIVE], np.nan]


def apply(mathematics, function, a, b):
    method = getattr(mathematics, function)
    if function == "rsqrt":
        return method(a, OFFSET)
    if function in UNARY or function in CIRCULAR:
        return method(a)
    if function in {"greater", "at_least"}:
        return mathematics.where(method(a, b), a, b)
    return method(a, b)


def loop(function, scalar, lanes):
    """y[i] = function(a[i], b[i]) for whole vectors, as text, and what it declares."""
    builder = Builder(scalar, lanes)
    a, b = builder.load("%a", "%i"), builder.load("%b", "%i")
    builder.store(apply(VectorMathematics(builder), function, a, b), "%y", "%i")
    body = "\n".join(builder.lines)
    text = f"""
define void @{function}(ptr %a, ptr %b, ptr %y, i64 %n) {{
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
{body}
  %next = add i64 %i, {lanes}
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %out
out:
  ret void
}}"""
    return text, builder.declared


def generate(target, scalar):
    """The module of all functions, checked, and what compiles it."""
    texts, declared = [f'target triple = "{target.triple}"'], set()
    for function in [*UNARY, *CIRCULAR, *BINARY]:
        text, needed = loop(function, scalar, target.lanes(scalar))
        texts.append(text)
        declared |= needed
    module = llvm.parse_assembly("\n".join([*texts, *sorted(declared)]))
    module.verify()
    machine = llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=3
    )
    return module, machine


@lru_cache
def engine(name, scalar):
    module, machine = generate(find_target(name), scalar)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return engine


def run(name, scalar, function, a, b=None):
    a = np.asarray(a, TYPES[scalar])
    b = a if b is None else np.asarray(b, TYPES[scalar])
    padding = -len(a) % 64
    a, b = np.pad(a, (0, padding)), np.pad(b, (0, padding))
    y = np.empty_like(a)
    address = engine(name, scalar).get_function_address(function)
    pointers = [array.ctypes.data for array in (a, b, y)]
    ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, ctypes.c_int64)(address)(*pointers, len(a))
    return y[: len(y) - padding]


@lru_cache
def samples(scalar):
    """Random numbers of each sign in each binade; more where the functions bend."""
    info, random = np.finfo(TYPES[scalar]), np.random.default_rng(0)
    binades = np.repeat(np.arange(info.minexp, info.maxexp), 100 if scalar == "double" else 400)
    wide = np.ldexp(random.uniform(1, 2, len(binades)), binades)
    narrow = [random.uniform(-reach, reach, 60_000) for reach in (1, 4, 40, 90, 750)]
    ends = [info.tiny, info.max, 1 - info.epsneg, 1 + info.eps]
    x = np.concatenate([wide, *narrow, ends])
    return np.unique(np.concatenate([x, -x])).astype(TYPES[scalar])


@lru_cache
def truth(scalar, function):
    x = samples(scalar)
    exact = x + x.dtype.type(OFFSET) if function == "rsqrt" else x
    return UNARY[function][0](exact.astype(PRECISE[scalar]))


def error(y, truth):
    """In ulps of y; a subnormal truth may be flushed, and an infinite one must be met."""
    info = np.finfo(y.dtype)
    rounded = truth.astype(y.dtype)
    subnormal = abs(truth) < info.tiny
    exact = (y == rounded) | (np.isnan(y) & np.isnan(rounded))
    allowed = exact | (subnormal & (abs(y) <= info.tiny))
    ulps = abs(y.astype(truth.dtype) - truth) / np.spacing(np.maximum(abs(rounded), info.tiny))
    return np.where(subnormal | ~np.isfinite(rounded), np.where(allowed, 0, np.inf), ulps)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("scalar", TYPES)
@pytest.mark.parametrize("function", UNARY)
def test_a_function_is_within_4_ulp_in_each_binade(function, scalar, target):
    x = samples(scalar)
    y = run(target, scalar, function, x)
    error_in_ulps = error(y, truth(scalar, function))
    worst = np.argmax(error_in_ulps)
    assert error_in_ulps[worst] <= 4, (x[worst], y[worst])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("scalar", TYPES)
@pytest.mark.parametrize("function", CIRCULAR)
def test_sine_and_cosine_are_within_2_ulp_of_one_for_many_turns(function, scalar, target):
    draw = np.random.default_rng(0)
    turns = 2 * np.pi * {"float": 1e3, "double": 1e5}[scalar]
    x = np.concatenate([draw.uniform(-reach, reach, 50_000) for reach in (1, 10, 100, turns)])
    x = x.astype(TYPES[scalar])
    y = run(target, scalar, function, x).astype(PRECISE[scalar])
    error = abs(y - CIRCULAR[function][0](x.astype(PRECISE[scalar])))
    assert error.max() <= 2 * np.finfo(TYPES[scalar]).eps, x[error.argmax()]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("scalar", TYPES)
@pytest.mark.parametrize("function", CIRCULAR)
def test_sine_and_cosine_stay_within_their_bounds(function, scalar, target):
    y = run(target, scalar, function, samples(scalar))
    assert (abs(y) <= 1).all()
    edges = np.array([0.0, -0.0, np.inf, -np.inf, np.nan] * 8, TYPES[scalar])
    assert_identical(
        run(target, scalar, function, edges), CIRCULAR[function][1](torch.tensor(edges)).numpy()
    )


@pytest.mark.parametrize("scalar", TYPES)
def test_the_truth_has_bits_to_spare(scalar):
    assert np.finfo(PRECISE[scalar]).nmant >= np.finfo(TYPES[scalar]).nmant + 11


def assert_identical(y, expected):
    assert np.array_equal(y, expected, equal_nan=True)
    there = ~np.isnan(expected)
    assert np.array_equal(np.signbit(y)[there], np.signbit(expected)[there])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("scalar", TYPES)
@pytest.mark.parametrize("function", UNARY)
def test_infinities_zeros_and_nan_are_torch_s(function, scalar, target):
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -1e30, 1e30, -1e3, 1e3] * 8, TYPES[scalar])
    if function in {"log", "softplus", "rsqrt"}:
        x = x[~np.isfinite(x) | ((x == 0) & (function == "log"))]  # the rest has an ulp's freedom
    assert_identical(run(target, scalar, function, x), UNARY[function][1](torch.tensor(x)).numpy())


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("function", UNARY)
def test_a_nan_of_any_bits_stays_nan(function, target):
    bits = np.random.default_rng(0).integers(0x7F800001, 0x80000000, 4096)
    x = np.concatenate([bits, bits | 0x80000000]).astype(np.uint32).view(np.float32)
    assert np.isnan(run(target, "float", function, x)).all()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("scalar", TYPES)
@pytest.mark.parametrize("function", BINARY)
def test_two_values_meet_as_in_torch(function, scalar, target):
    a, b = [v.reshape(-1) for v in np.meshgrid(np.array(FEW, TYPES[scalar]), FEW)]
    b = b.astype(a.dtype)
    expected = BINARY[function](torch.tensor(a), torch.tensor(b)).numpy()
    y = run(target, scalar, function, a, b)
    if function in {"maximum", "minimum"}:  # which zero of +0 and -0 is chance in torch, too
        y, expected = y + 0.0, expected + 0.0
    assert_identical(y, expected)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("scalar", TYPES)
@pytest.mark.parametrize(("function", "least", "most"), [("tanh", -1, 1), ("sigmoid", 0, 1)])
def test_a_gate_stays_in_its_range(function, least, most, scalar, target):
    y = run(target, scalar, function, samples(scalar))
    assert y.min() == least
    assert y.max() == most


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("scalar", TYPES)
def test_tanh_of_next_to_nothing_is_its_argument(scalar, target):
    x = np.array([1e-30, 1e-12, 0.0] * 4, TYPES[scalar])
    x = np.concatenate([x, -x])
    y = run(target, scalar, "tanh", x)
    assert np.max(abs(y - x) / np.spacing(np.maximum(abs(x), 1e-30))) <= 4
    zero = x == 0
    assert_identical(y[zero], x[zero])


@pytest.mark.skipif(not ON_X86, reason="torch sets this mode on x86 only")
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("scalar", TYPES)
@pytest.mark.parametrize("function", UNARY)
def test_flushing_subnormals_changes_nothing_else(function, scalar, target):
    x = samples(scalar)
    plain = run(target, scalar, function, x)
    torch.set_flush_denormal(True)
    try:
        flushed = run(target, scalar, function, x)
    finally:
        torch.set_flush_denormal(False)
    expected = np.where(abs(plain) < np.finfo(x.dtype).tiny, 0, plain)
    assert np.array_equal(flushed, expected, equal_nan=True)


@pytest.mark.parametrize("name", ["host", "avx512", "avx2", "x86-64", "aarch64"])
@pytest.mark.parametrize("scalar", TYPES)
def test_the_code_calls_nothing(scalar, name):
    module, machine = generate(find_target(name), scalar)
    calls = [
        line
        for line in machine.emit_assembly(module).splitlines()
        if line.split()[:1] in (["callq"], ["call"], ["bl"], ["blr"], ["jmp"])
    ]
    assert calls == []
