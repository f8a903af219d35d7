"""The machine and versions that figures were measured with."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from elman.training.threads import available_threads

#: the packages whose versions are recorded, if installed
PACKAGES = ("elman", "torch", "llvmlite", "onnxruntime", "jax")


def machine() -> dict[str, Any]:
    """The processor, its cores, the system, and the versions of packages."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: found for name in PACKAGES if (found := _version(name)) is not None},
    }


def thread_counts() -> tuple[int, ...]:
    """One thread, and all available threads."""
    return (1,) if available_threads() == 1 else (1, available_threads())


def sentence(found: dict[str, Any]) -> str:
    """The description in one line.

    >>> sentence({"processor": "Z80", "cores": 1, "system": "CP/M", "torch": "2.13.0"})
    'Z80, 1 core, CP/M; torch 2.13.0.'
    """
    cores = f"{found['cores']} core{'' if found['cores'] == 1 else 's'}"
    parts = {"processor", "cores", "system"}
    versions = ", ".join([f"{name} {v}" for name, v in found.items() if name not in parts])
    return f"{found['processor']}, {cores}, {found['system']}; {versions}."


def _processor() -> str:
    """The model's name, with family and model numbers because the name may be generic."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        pairs = [line.partition(":") for line in info.read_text().splitlines()]
        fields = {key.strip(): value.strip() for key, _, value in reversed(pairs)}
        if "model name" in fields:
            series = "/".join([fields[k] for k in ("cpu family", "model") if k in fields])
            return f"{fields['model name']} (family/model {series})"
    return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
