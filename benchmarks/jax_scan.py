"""JAX's scan as a rival, in a separate process, because its threads and torch's interfere.

    python benchmarks/jax_scan.py THREADS '[["lstm", [35, 20, 200, 200], 1.0], ...]'

compares the fair loop's step under ``jax.lax.scan``, compiled with its gradient, with Elman's
layer.  Each entry is a cell, its (time, batch, input, hidden) and the seconds to measure.  Prints
the results as one line of JSON; ``engine.py`` runs it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from elman.graph.ops import LAYER_NORM_EPSILON


def bind_to(threads: int) -> None:
    """Limit XLA's threads; call before importing JAX, because XLA uses all available cores."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    if threads == 1:
        os.environ["XLA_FLAGS"] = (
            "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        )
    elif hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def functions() -> dict[str, Any]:
    """The functions used by a step, from jax.numpy."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    def layer_norm(a: Any) -> Any:
        centred = a - a.mean(-1, keepdims=True)
        return centred * jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + LAYER_NORM_EPSILON)

    return {
        "sigmoid": jax.nn.sigmoid,
        "tanh": jnp.tanh,
        "relu": jax.nn.relu,
        "exp": jnp.exp,
        "log": jnp.log,
        "softplus": jax.nn.softplus,
        "maximum": jnp.maximum,
        "minimum": jnp.minimum,
        "where": jnp.where,
        "layer_norm": layer_norm,
        "expand": lambda a, like: jnp.broadcast_to(a, (len(like), a.shape[-1])),
        "addmm": lambda a, x, w: a + x @ w,
        "mm": jnp.matmul,
        "split": lambda a, widths, axis: jnp.split(a, np.cumsum(widths)[:-1], axis),
    }


def measure(cell: str, lengths: Sequence[int], threads: int, seconds: float) -> dict[str, Any]:
    """Compare Elman's training with JAX's."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import torch

    import elman
    from elman.benchmark import Result, Shape, elman_layer, fair_loop, interleaved
    from elman.benchmark.contest import COMPARED_STEPS, TOLERANCE, difference, torch_threads
    from elman.benchmark.contestants import Contestant, parameters_of
    from elman.benchmark.timing import clock_for
    from elman.graph.sizes import Sizes

    shape = Shape(*lengths)
    torch.manual_seed(0)
    layer = elman.Recurrent(elman.cells.CATALOGUE[cell], shape.input, shape.hidden)
    loop, hidden = fair_loop(layer.cell), shape.hidden
    sizes = Sizes(shape.input, hidden)
    step = loop.step(functions(), sizes)
    cuts = np.cumsum([sizes.width(piece) for piece in loop.pieces])[:-1]

    def run(x: Any, leaves: Sequence[Any]) -> Any:
        read = []
        if loop.hoisted:
            weight, *bias = leaves[: loop.hoisted]
            read += jnp.split(x @ weight.T + (bias[0] if bias else 0.0), cuts, -1)
        read += [x] if loop.reads_input else []
        rest = [leaf.T if leaf.ndim == 2 else leaf for leaf in leaves[loop.hoisted :]]
        zeros = jnp.zeros((shape.batch, hidden), x.dtype)

        def body(states: Any, at_step: Any) -> Any:
            following = step(*at_step, *states, *rest)
            return following, following[0]

        return jax.lax.scan(body, (zeros,) * len(layer.cell.states), tuple(read))[1]

    parameters = parameters_of(layer)
    x = torch.randn(shape.time, shape.batch, shape.input)
    grad_y = torch.randn(shape.time, shape.batch, hidden)
    stacked = loop.stack(parameters, sizes)
    leaves = [jnp.asarray(leaf.detach().numpy()) for leaf in stacked]
    jax_x, jax_grad = jnp.asarray(x.numpy()), jnp.asarray(grad_y.numpy())

    @jax.jit
    def value_and_gradients(x: Any, grad_y: Any, leaves: Any) -> Any:
        y, pull = jax.vjp(run, x, leaves)
        return y, *pull(grad_y)

    few = slice(COMPARED_STEPS)
    y, dx, dleaves = value_and_gradients(jax_x[few], jax_grad[few], leaves)
    tensors = [torch.from_numpy(np.array(array)) for array in (y, dx, *dleaves)]
    scan = Contestant("JAX scan", [], lambda x: x, lambda p: loop.stack(p, sizes))
    found = {"y": tensors[0], "dx": tensors[1]} | scan.to_parameters(parameters, tensors[2:])
    with torch_threads(threads):
        ours = elman_layer(layer)
        apart = difference(ours.gradients(x[few], grad_y[few], parameters), found)
        runs = {
            ours.name: ours.training(x, grad_y),
            scan.name: lambda: jax.block_until_ready(value_and_gradients(jax_x, jax_grad, leaves)),
        }
        times = {}
        if apart <= TOLERANCE:
            times = interleaved(runs, seconds, clock=clock_for(threads))
    result = Result(
        cell, "training", scan.name, shape, threads, apart,
        times.get(ours.name), times.get(scan.name),
    )  # fmt: skip
    return result.record()


if __name__ == "__main__":
    count, wanted = int(sys.argv[1]), json.loads(sys.argv[2])
    bind_to(count)
    print(json.dumps([measure(name, sizes, count, share) for name, sizes, share in wanted]))
