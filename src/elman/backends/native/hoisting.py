"""When to compute products with the input for all steps at once, before the time loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elman.backends.native import tuning
from elman.backends.native.schedule import Schedule

if TYPE_CHECKING:
    from elman.backends.native.kernels import CompiledLayer


def should_hoist(layer: CompiledLayer, schedule: Schedule) -> bool:
    """Whether the products with the input are faster for all steps at once.

    This depends on the batch, the number of steps and the bytes of the weights (``tuning.py``).
    """
    if not layer.programs.hoisted or schedule.total < tuning.MIN_HOISTED_STEPS * schedule.batch:
        return False
    most = next(batch for size, batch in tuning.HOISTED_BATCH if layer.bytes > size)
    return schedule.batch <= most
