"""The findings of a diagnosis as sentences."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import numpy as np

from elman.diagnose.diagnosis import Diagnosis
from elman.diagnose.gates import Gate

#: a gate gets a sentence if it is saturated at more than this fraction of all steps
OFTEN = 0.5


def all_sentences(found: Mapping[str, Diagnosis]) -> tuple[str, ...]:
    """The findings for every layer, then a comparison of the layers."""
    said = [sentence for each in found.values() for sentence in sentences(each)]
    comparing = comparing_sentence(found.values())
    return (*said, comparing) if comparing else tuple(said)


def sentences(found: Diagnosis) -> list[str]:
    """The gradient, its reach, the Jacobians; gates and units if they are unusual."""
    said = [gradient_sentence(found), horizon_sentence(found), _jacobian_sentence(found)]
    said += [_gate_sentence(found, gate) for gate in found.gates if gate.kind != "relu"]
    said += [_unit_sentence(found, state) for state in found.units]
    said.append(_exploding_sentence(found))
    return [each for each in said if each]


def comparing_sentence(found: Collection[Diagnosis]) -> str:
    """The layers with the most and the least gradient left at the largest common distance."""
    last = min([each.distance for each in found])
    left = {each.name: float(each.median()[last] / each.median()[0]) for each in found}
    most, least = max(left, key=lambda n: left[n]), min(left, key=lambda n: left[n])
    if len(found) < 2 or not left[most] > left[least] or not math.isfinite(left[most]):
        return ""
    return (
        f"After {_steps(last)}, {left[most]:.1e} of the gradient of {most} remains, but only "
        f"{left[least]:.1e} of that of {least}."
    )


def gradient_sentence(found: Diagnosis) -> str:
    """How fast the gradient decays or grows, and what remains at the end."""
    values, last = found.median(), found.distance
    left = float(values[-1] / values[0])
    name = f"The gradient of {found.name}"
    if found.rate > 1 and left > 2:
        grown = f"{left:.2g}" if math.isfinite(left) else "more than 1e308"
        return (
            f"{name} doubles every {_steps(-found.half_life)}; after {last} steps its norm is "
            f"{grown} times as large."
        )
    if found.rate == 0 or (found.half_life > 0 and left < 0.5):
        for part in (1e-6, 1e-3):
            distance = found.below(part)
            if distance is not None:
                how = f"halves every {_steps(found.half_life)}" if found.rate else "ends"
                return (
                    f"{name} {how}; after {_steps(distance)} it is below 1e{math.log10(part):.0f}."
                )
        how = f"halves every {_steps(found.half_life)}"
        return f"{name} {how}; after {_steps(last)}, {left:.2g} of it remains."
    return f"{name} keeps its norm; after {_steps(last)}, {left:.2g} of it remains."


def horizon_sentence(found: Diagnosis) -> str:
    """The distance over which more than a tenth remains, through each state."""
    reach = []
    for state in found.gradient:
        steps = found.horizon(state)
        far = f"all {steps} steps" if steps >= found.distance else _steps(steps)
        reach.append(f"over {far} through {state}")
    return f"More than a tenth of it remains {' and '.join(reach)}."


def _jacobian_sentence(found: Diagnosis) -> str:
    if found.jacobians is None:
        return ""
    radius = float(np.nanmedian(found.jacobians.spectral_radius))
    largest = np.nanmedian(found.jacobians.largest, 1)
    smallest = np.nanmedian(found.jacobians.smallest, 1)
    distance = int(found.jacobians.distances[-1])
    return (
        f"The Jacobian of a step has a spectral radius of {radius:.2f} (median over steps); over "
        f"{_steps(distance)}, the largest singular value of the product is {largest[-1]:.1e}, the "
        f"smallest {smallest[-1]:.1e}."
    )


def _gate_sentence(found: Diagnosis, gate: Gate) -> str:
    low, high = gate.low.mean(), gate.high.mean()
    if low + high <= OFTEN:
        return ""
    is_sigmoid = gate.kind == "sigmoid"
    ends = ("closed", "open") if is_sigmoid else ("at its lower end", "at its upper end")
    return (
        f"{found.name}: {gate.name} is saturated in {low + high:.0%} of all steps ({ends[0]} in "
        f"{low:.0%}, {ends[1]} in {high:.0%}), where its weights hardly learn."
    )


def _unit_sentence(found: Diagnosis, state: str) -> str:
    units = found.units[state]
    count, all_units = (len(units.dead), len(units.frozen)), len(units.mean)
    parts = [
        f"{number} of {all_units} units of {state} {'is' if number == 1 else 'are'} {what}"
        for number, what in zip(count, ("dead (always 0)", "frozen (never changing)"), strict=True)
        if number
    ]
    return f"{found.name}: {' and '.join(parts)}." if parts else ""


def _exploding_sentence(found: Diagnosis) -> str:
    if not found.exploding:
        return ""
    worst, count = found.exploding[0], len(found.exploding)
    return (
        f"{found.name}: a gradient more than doubles in {_steps(count)}; the worst is step "
        f"{worst.step} of sequence {worst.sequence}, counted from 0, by a factor of "
        f"{worst.factor:.2g}."
    )


def _steps(number: float) -> str:
    """A number of steps as text.

    >>> _steps(1), _steps(2.345), _steps(120.4)
    ('1 step', '2.3 steps', '120 steps')
    """
    shown = f"{number:.1f}".removesuffix(".0") if number < 10 else f"{number:.0f}"
    return "1 step" if shown == "1" else f"{shown} steps"
