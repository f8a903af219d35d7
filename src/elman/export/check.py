"""Every export checks itself: a file that computes something else than Elman is never written.

An exporter builds its files in memory, runs them on random inputs beside Elman on the reference
engine, and gives the contents with the largest difference to ``write_checked``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from elman.errors import ExportError
from elman.files import write_all
from elman.version import __version__


@dataclass(frozen=True)
class Exported:
    """The files that an export wrote, and how it was checked.

    ``difference`` is the largest absolute difference between the values of the exported files and
    Elman's, ``None`` where they could not be run; ``note`` says why not, or what was compared.

    >>> print(Exported((Path("gru.c"), Path("gru.h")), 2.5e-7, "1,000 random steps"))
    wrote gru.c and gru.h; largest difference from Elman over 1,000 random steps: 2.5e-07
    """

    files: tuple[Path, ...]
    difference: float | None
    note: str

    def __str__(self) -> str:
        names = " and ".join([str(path) for path in self.files])
        if self.difference is None:
            return f"wrote {names}; not checked: {self.note}"
        return (
            f"wrote {names}; largest difference from Elman over {self.note}: {self.difference:.2g}"
        )


def write_checked(
    contents: Mapping[Path, bytes | str], difference: float | None, bound: float, note: str
) -> Exported:
    """Write the files if their values were within ``bound`` of Elman's, or else none of them.

    ``difference`` is ``None`` only where nothing could be run, for the reason in ``note``.
    Raises ``ExportError`` where the difference is above the bound or not a number.

    >>> write_checked({Path("gru.c"): ""}, 0.3, 1e-5, "10 random steps")
    Traceback (most recent call last):
    ...
    elman.errors.ExportError: gru.c: not written, since over 10 random steps its values differ \
from Elman's by 0.3, more than 1e-05; please report this together with the cell.
    """
    if difference is not None and not difference <= bound:
        names = " and ".join([path.name for path in contents])
        by = (
            "are not numbers"
            if math.isnan(difference)
            else f"differ from Elman's by {difference:.2g}"
        )
        raise ExportError(
            f"{names}: not written, since over {note} its values {by}, more than {bound:g}; "
            "please report this together with the cell."
        )
    write_all(contents)
    return Exported(tuple(contents), difference, note)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Exports draw from torch and make float32 tensors; torch is left as it was."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.random.fork_rng(devices=()):
            yield
    finally:
        torch.set_default_dtype(before)


def refuse_unusable(module: nn.Module) -> None:
    """Raise ``ExportError`` for a parameter with numbers that are not finite."""
    for name, parameter in module.named_parameters():
        if not parameter.is_meta and not bool(torch.isfinite(parameter).all()):
            raise ExportError(
                f"{name} holds a number that is not finite, which no file can compute with; train "
                "the model anew."
            )


def about() -> dict[str, str]:
    """The entries of every file's description: what wrote it."""
    return {"elman.format": "1", "elman.version": __version__}


def largest_difference(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> float:
    """The largest difference between values of the same names, as a fraction of the largest value.

    Values up to 1 are compared as they are.  Infinite where shapes differ, and where one is NaN
    and the other is not.

    >>> a, b = np.array([100.0, 0.0]), np.array([100.0, 1.0])
    >>> largest_difference({"y": a}, {"y": b})
    0.01
    """
    worst = 0.0
    for name, values in wanted.items():
        if found[name].shape != values.shape:
            return float("inf")
        if values.size:
            own = found[name].astype(np.float64)
            scale = np.abs(values[np.isfinite(values)]).max(initial=1.0)
            # infinities agree where they are the same, as log 0 is, and so does NaN
            same = (own == values) | (np.isnan(own) & np.isnan(values))
            apart = np.abs(np.subtract(own, values, where=~same, out=np.zeros_like(own)))
            if np.isnan(apart).any():
                return float("inf")
            worst = max(worst, float(apart.max() / scale))
    return worst
