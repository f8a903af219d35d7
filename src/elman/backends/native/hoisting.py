"""When products with the input are computed for all steps at once, ahead of the time loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elman.backends.native.schedule import Schedule

if TYPE_CHECKING:
    from elman.backends.native.kernels import CompiledLayer


def should_hoist(layer: CompiledLayer, schedule: Schedule) -> bool:
    """Whether the products with the input are quicker for all steps at once.

    With few rows a step reads all weights for little work; all steps at once read them once for
    many rows.  The slower the memory that holds the weights, the more rows that pays for.
    """
    if not layer.programs.hoisted or schedule.total < 4 * schedule.batch:
        return False
    return schedule.batch <= (4 if layer.bytes > 1 << 20 else 2 if layer.bytes > 1 << 19 else 1)
