"""Cells with a matrix state; their loops are those of ``benchmarks/matrix_states.py``."""

from torch import Tensor

import matrix_states
from elman import cells
from published.published import Loop, Published, Weights


def _in_heads(loop, count=lambda hidden: 1) -> Loop:
    """The loop with y alone, from weights that it stacks in each call."""

    def run(w: Weights, x: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        for key in w.of:
            w[key]
        return (loop(matrix_states.Weights(w.of, count(w.hidden)), x),)

    return run


def _of_sixteen(hidden: int) -> int:
    """The number of heads of 16 units; of two in a layer too small for them."""
    return max(hidden // 16, 2)


def _square(hidden: int) -> dict[str, int]:
    return {"heads": _of_sixteen(hidden), "key_size": hidden // _of_sixteen(hidden)}


MATRIX = (
    Published(
        "Mamba S6, N = 4",
        cells.mamba,
        _in_heads(matrix_states.mamba),
        rivals={"scan in place": _in_heads(matrix_states.mamba_by_hand)},
        options=lambda hidden: {"heads": 1, "key_size": 4},
        from_zero=True,
        gone="four named states, full matrices for B and C: a matrix state",
    ),
    Published(
        "GLA, heads of 16",
        cells.gated_linear_attention,
        _in_heads(matrix_states.gated_linear_attention, _of_sixteen),
        options=_square,
        from_zero=True,
        gone="d² units, frozen 0/1 matrices: a matrix state, now in heads",
    ),
    Published(
        "DeltaNet, heads of 16",
        cells.delta_net,
        _in_heads(matrix_states.delta_net, _of_sixteen),
        options=_square,
        from_zero=True,
        gone="d² units, frozen 0/1 matrices: a matrix state, now in heads",
    ),
)
