"""The supported processors: vector width, number of registers, and LLVM's names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache

import llvmlite.binding as llvm

from elman.errors import OptionError

#: bytes of a scalar
WIDTH = {"float": 4, "double": 8}


@dataclass(frozen=True)
class Target:
    """A processor with ``registers`` vector registers of ``vector_bytes``; LLVM's names for it."""

    name: str
    vector_bytes: int
    registers: int
    triple: str
    cpu: str
    features: str

    def lanes(self, scalar: str) -> int:
        """The number of scalars (``float`` or ``double``) in a register."""
        return self.vector_bytes // WIDTH[scalar]

    @property
    def multiplies_bfloat16(self) -> bool:
        """Whether it has an instruction for the dot product of bfloat16 pairs."""
        return self.vector_bytes == 64 and "+avx512bf16" in self.features.split(",")

    @property
    def fuses(self) -> bool:
        """Whether it multiplies and adds in one instruction, which overwrites the sum alone."""
        return not (self.is_x86 and self.vector_bytes == 16)

    @property
    def is_x86(self) -> bool:
        """Whether the flush-to-zero mode is in the MXCSR register."""
        return self.triple.startswith(("x86_64", "i686"))


@lru_cache(maxsize=8)
def find_target(name: str) -> Target:
    """The target called ``host``, ``avx512``, ``avx2``, ``x86-64`` or ``aarch64``.

    Raises ``OptionError`` for another name.
    """
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    here = llvm.get_process_triple()
    if name == "avx512":
        return Target(name, 64, 32, here, "skylake-avx512", "-prefer-256-bit")
    if name == "avx2":
        return Target(name, 32, 16, here, "haswell", "")
    if name == "x86-64":
        return Target(name, 16, 16, here, "x86-64", "")
    if name == "aarch64":
        return Target(name, 16, 32, "aarch64-unknown-linux-gnu", "generic", "")
    if name != "host":
        raise OptionError(
            f'ELMAN_TARGET is "{name}"; it must be host, avx512, avx2, x86-64 or aarch64.'
        )
    features = llvm.get_host_cpu_features()
    named = {"triple": here, "cpu": llvm.get_host_cpu_name(), "features": features.flatten() or ""}  # type: dict[str, str]
    if here.startswith(("aarch64", "arm64")):
        return Target("host", 16, 32, **named)
    if features.get("avx512f") and features.get("avx512vl") and features.get("avx512dq"):
        named["features"] += ",-prefer-256-bit"
        return Target("host", 64, 32, **named)
    if features.get("avx2") and features.get("fma"):
        return Target("host", 32, 16, **named)
    return Target("host", 16, 16, **named)


def chosen_target() -> Target:
    """The processor in the environment variable ``ELMAN_TARGET``, or else this machine's."""
    return find_target(os.environ.get("ELMAN_TARGET", "host"))
