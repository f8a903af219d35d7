"""The gradient as a sum over distances in time, term by term.

    dL/dW = Σ_t Σ_k ∂L⟨t⟩/∂y⟨t⟩ · (Π Jacobians of the steps t-k+1 to t) · ∂state⟨t-k⟩/∂W

The adjoints of many steps t go back together, one distance at a time: at distance k, the adjoint
that started at step t is at step t - k.  One pass gives the norm of ∂L⟨t⟩/∂state⟨t-k⟩ for every t
and k, and the contribution of each distance to every parameter's gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from elman.diagnose.whole import AnyTrajectory


@dataclass(frozen=True)
class Losses:
    """The starts of gradients: ∂L⟨t⟩/∂y⟨t⟩ ``gradients`` (losses, hidden) at step t of sequence b.

    ``steps`` and ``sequences`` are t and b of each loss, latest step first, so that the losses
    that reach a distance are always the first ones.
    """

    steps: Tensor
    sequences: Tensor
    gradients: Tensor


def losses_of(
    trajectory: AnyTrajectory,
    output_gradient: Tensor | None,
    most: int | None,
    seed: int,
) -> Losses:
    """The losses to follow back: at most ``most`` steps of each sequence, including the last.

    ``output_gradient`` is dL/dy (time, batch, hidden); steps where it is zero have no loss.  By
    default, each loss is the output projected on a random unit vector.
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
    """The gradients at one distance k.

    ``states`` are ∂L⟨t⟩/∂state⟨t-k⟩, (losses that reach k, hidden) for each state.  ``parameters``
    is the contribution of step t - k to the gradient of each parameter, summed over losses;
    ``None`` if not requested or no step is left.
    """

    distance: int
    states: list[Tensor]
    parameters: list[Tensor] | None


@torch.no_grad()
def follow_back(
    trajectory: AnyTrajectory,
    losses: Losses,
    distance: int,
    *,
    parameters: bool = True,
) -> Iterator[Arrival]:
    """The gradients at distances 0, 1, ... ``distance``, until no step is left."""
    gradients = losses.gradients
    count = len(gradients)
    others = [gradients.new_zeros(count, state.shape[-1]) for state in trajectory.states[1:]]
    adjoints = [gradients, *others]
    for k in range(distance + 1):
        count = int((losses.steps >= k).sum())
        if not count:
            yield Arrival(k, adjoints, None)
            return
        rows = (losses.steps[:count] - k) * trajectory.batch + losses.sequences[:count]
        entering, values = trajectory.step_back(rows, [a[:count] for a in adjoints])
        terms = trajectory.parameter_gradients(values) if parameters else None
        yield Arrival(k, adjoints, terms)
        adjoints = entering
