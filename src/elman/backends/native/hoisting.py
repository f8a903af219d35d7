"""When to compute products with the input for all steps at once, before the time loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elman.backends.native import tuning
from elman.backends.native.schedule import Schedule
from elman.backends.native.tuned import hoisted_batches

if TYPE_CHECKING:
    from elman.backends.native.kernels import CompiledLayer


def should_hoist(layer: CompiledLayer, schedule: Schedule) -> bool:
    """Whether the products with the input are faster for all steps at once.

    This depends on the batch, the number of steps and the bytes of the weights (``tuned.py``).
    """
    if not layer.programs.hoisted or schedule.total < tuning.MIN_HOISTED_STEPS * schedule.batch:
        return False
    most = next(batch for size, batch in hoisted_batches(layer.target) if layer.bytes > size)
    return schedule.batch <= most
