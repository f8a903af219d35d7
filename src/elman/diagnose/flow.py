"""The gradient against the distance in time: the sum over time, term by term.

    dL/dW = Σ_t Σ_k ∂L⟨t⟩/∂y⟨t⟩ · (Π Jacobians of the steps t-k+1 to t) · ∂state⟨t-k⟩/∂W

Adjoints of many steps t go back together, a distance at a time: at distance k, the one that began
at step t is at step t - k.  So one pass gives the norm of ∂L⟨t⟩/∂state⟨t-k⟩ for every t and k, and
what each distance adds to every parameter's gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from elman.diagnose.trajectory import Trajectory


@dataclass(frozen=True)
class Losses:
    """Where gradients start: ∂L⟨t⟩/∂y⟨t⟩ ``gradients`` (losses, hidden) at step t of sequence b.

    ``steps`` and ``sequences`` are t and b of each loss; the latest steps are first, so that
    those that still have steps before them are the first ones at each distance.
    """

    steps: Tensor
    sequences: Tensor
    gradients: Tensor


def losses_of(
    trajectory: Trajectory, output_gradient: Tensor | None, most: int | None, seed: int
) -> Losses:
    """The losses to follow back: at most ``most`` steps of each sequence, its last one among them.

    ``output_gradient`` is dL/dy (time, batch, hidden), and steps at which it is zero have no
    loss.  Without it each loss is the output in a random direction of length 1.
    """
    time, batch, hidden = trajectory.time, trajectory.batch, trajectory.hidden_size
    if output_gradient is None:
        generator = torch.Generator().manual_seed(seed)
        shape = (time, batch, hidden)
        output_gradient = torch.randn(shape, generator=generator, dtype=torch.float64)
        output_gradient = output_gradient / output_gradient.norm(dim=-1, keepdim=True)
    output_gradient = output_gradient.detach().double()
    there = trajectory.running().reshape(time, batch) & (output_gradient != 0).any(-1)
    found: list[tuple[int, int]] = []
    for b in range(batch):
        steps = there[:, b].nonzero().squeeze(1).tolist()
        if most is not None and len(steps) > most:
            steps = [steps[(k + 1) * len(steps) // most - 1] for k in range(most)]
        found += [(t, b) for t in steps]
    found.sort(reverse=True)
    steps_and_sequences = torch.tensor(found, dtype=torch.int64).reshape(-1, 2)
    at, row = steps_and_sequences[:, 0], steps_and_sequences[:, 1]
    return Losses(at, row, output_gradient[at, row])


@dataclass(frozen=True)
class Arrival:
    """What the losses give at one distance.

    ``states`` are ∂L⟨t⟩/∂state⟨t-k⟩, (losses that reach so far, hidden) for each state, and
    ``parameters`` what step t - k adds to the gradient of each, summed over the losses; ``None``
    where that was not asked for, or no step is left.
    """

    distance: int
    states: list[Tensor]
    parameters: list[Tensor] | None


@torch.no_grad()
def follow_back(
    trajectory: Trajectory, losses: Losses, distance: int, *, parameters: bool = True
) -> Iterator[Arrival]:
    """The gradients at the distances 0, 1, ... ``distance``, as far as there are steps."""
    gradients = losses.gradients
    adjoints = [gradients, *[torch.zeros_like(gradients) for _ in trajectory.states[1:]]]
    for k in range(distance + 1):
        count = int((losses.steps >= k).sum())
        if not count:
            yield Arrival(k, adjoints, None)
            return
        rows = (losses.steps[:count] - k) * trajectory.batch + losses.sequences[:count]
        entering, values = trajectory.step_back(rows, [a[:count] for a in adjoints])
        terms = trajectory.engine.parameter_gradients(values) if parameters else None
        yield Arrival(k, adjoints, terms)
        adjoints = entering
