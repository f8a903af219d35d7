"""Kernels for ARM, run by an emulator on the memory of this process.

``qemu-aarch64`` runs a small program (``emulated.c``) that is linked with a kernel.  It asks this
process for each page that the kernel touches, and sends all of them back in the end.
"""

import ctypes
import shutil
import struct
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from elman.backends.native import kernels, matrix_states
from elman.backends.native.llvm import jit
from elman.backends.native.llvm.target import find_target

COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
needs_emulator = pytest.mark.skipif(
    not (shutil.which(COMPILER) and shutil.which(EMULATOR)),
    reason=f"{COMPILER} and {EMULATOR} are not installed",
)
FUNCTIONS = ("run", "pack", "outer", "step", "forward", "forward_saving", "backward")
PAGE, MARGIN, MAX_WORDS = 4096, 1 << 26, 64


def driver(folder):
    """The compiled ``emulated.c``."""
    path = folder / "emulated.o"
    source = Path(__file__).with_name("emulated.c")
    subprocess.run([COMPILER, "-O1", "-Wall", "-Werror", "-c", source, "-o", path], check=True)
    return path


class Emulated:
    """Like ``jit.Kernel``, for another processor."""

    def __init__(self, text, driver, name):
        code, self.program = driver.with_name(f"{name}.o"), driver.with_name(name)
        code.write_bytes(jit.compile_module(text, find_target("aarch64")))
        subprocess.run([COMPILER, "-static", driver, code, "-o", self.program], check=True)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen([EMULATOR, self.program], **pipes)
        self.calls, self.kept = Counter(), []

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def function(self, name):
        return lambda table, *numbers: self.call(name, table, numbers)

    def address(self, name):
        """The address of a function of one argument, the table."""
        kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
        self.kept.append(kind(lambda table: self.call(name, table, (0, 0, 0, 0))))
        return ctypes.cast(self.kept[-1], ctypes.c_void_p).value

    def call(self, name, table, numbers):
        self.calls[name] += 1
        (end,) = [high for low, high in mapped() if low <= table < high]
        count = min(MAX_WORDS, (end - table) // 8)
        words = struct.unpack(f"<{count}q", ctypes.string_at(table, 8 * count))
        found = regions(words)
        head = [FUNCTIONS.index(name), count, *numbers, len(found)]
        request = [*head, *[number for region in found for number in region], *words]
        self.process.stdin.write(struct.pack(f"<{len(request)}q", *request))
        self.process.stdin.flush()
        sent = {}
        while self.read(1) == [1]:
            (address,) = self.read(1)
            sent[address] = ctypes.string_at(address, PAGE)
            self.process.stdin.write(sent[address])
            self.process.stdin.flush()
        for _ in range(*self.read(1)):
            (address,) = self.read(1)
            before = np.frombuffer(sent[address], np.uint8)
            after = np.frombuffer(self.process.stdout.read(PAGE), np.uint8)
            here = np.ctypeslib.as_array((ctypes.c_uint8 * PAGE).from_address(address))
            changed = before != after
            here[changed] = after[changed]

    def read(self, count):
        data = self.process.stdout.read(8 * count)
        assert len(data) == 8 * count, f"the kernel stopped with {self.process.wait()}"
        return list(struct.unpack(f"<{count}q", data))


def mapped():
    """The addresses of this process's memory: from, to before."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return [tuple([int(part, 16) for part in line.split()[0].split("-")]) for line in lines]


def regions(words):
    """The address and size of the parts of this process's memory that these words point into."""
    known = mapped()
    inside = sorted([w for w in words if any([low <= w < high for low, high in known])])
    found = []
    for word in inside:
        low, high = word - word % PAGE - MARGIN, word + MARGIN
        if found and low <= found[-1][1]:
            found[-1][1] = high
        else:
            found.append([low, high])
    return [(low, -(-(high - low) // PAGE) * PAGE) for low, high in found]


@pytest.fixture
def arm(tmp_path, monkeypatch):
    """All kernels of layers are compiled for ARM, and run by the emulator; the list of them."""
    compiled, made = driver(tmp_path), {}

    def load(key, target, write, explain=dict):
        if key not in made:
            made[key] = Emulated(write(), compiled, f"kernel{len(made)}")
        return made[key]

    monkeypatch.setenv("ELMAN_TARGET", "aarch64")
    monkeypatch.setattr(kernels, "load", load)
    monkeypatch.setattr(matrix_states, "load", load)
    monkeypatch.setattr(kernels, "find_team", lambda: None)
    for cache in (kernels.layer_of, matrix_states.compiled):
        cache.cache_clear()
    yield made
    for cache in (kernels.layer_of, matrix_states.compiled):
        cache.cache_clear()
    for kernel in made.values():
        kernel.close()
