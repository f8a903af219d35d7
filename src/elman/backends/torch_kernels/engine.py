"""The engine of torch's kernels: an LSTM, GRU or RNN on a GPU.

A cell that is one of torch's, whatever its author called it (``passes/recognise.py``), runs as
``torch.nn`` would run it: by cuDNN on a GPU of NVIDIA.  The CPU has better (``native``); there the
engine runs on request, so that tests can compare it.  Backward runs the forward pass once more and
lets torch differentiate it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from elman.backends.engine import Call, Grads, Outputs, Saved, StepLayer
from elman.graph import Cell
from elman.graph.sizes import Sizes
from elman.passes.recognise import Gate, Operator, recognise

TYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Kernel:
    """One of torch's cells, with its gates in torch's order."""

    name: str
    gates: tuple[Gate, ...]


@lru_cache(maxsize=256)
def kernel_of(cell: Cell) -> Kernel | None:
    """torch's kernel that computes what the cell computes, if there is one.

    >>> from elman.cells import gru_reset_after, mgu
    >>> kernel_of(gru_reset_after).name, kernel_of(mgu)
    ('gru', None)
    """
    found = None if cell.inputs or cell.has_memory else recognise(cell)
    return None if found is None or any([gate.peephole for gate in found.gates]) else _as(found)


def _as(operator: Operator) -> Kernel | None:
    name, gates = operator.name.lower(), operator.gates
    match operator:
        case Operator("LSTM", (i, o, f, g), ("Sigmoid", "Tanh", "Tanh")) if not operator.attributes:
            return Kernel(name, (i, f, g, o))
        case Operator("GRU", (z, r, n), ("Sigmoid", "Tanh"), {"linear_before_reset": 1}):
            return Kernel(name, (r, z, n))
        case Operator("RNN", _, (("Tanh" | "Relu") as activation,)):
            return Kernel(f"{name}_{activation.lower()}", gates)
    return None


class TorchEngine:
    """torch's kernels for the cells of torch.nn on a GPU."""

    name = "torch"

    def unsupported_reason(
        self, dtype: torch.dtype, device: torch.device, cell: Cell | None = None
    ) -> str | None:
        """Why torch has no kernel for them."""
        if torch.compiler.is_compiling():
            return "torch.compile runs the operations of the reference engine"
        if device.type not in ("cuda", "cpu"):
            return f"tensors are on {device}, where torch's kernels are not known to be right"
        if dtype not in TYPES or (device.type == "cpu" and dtype in TYPES[2:]):
            return f"tensors are {dtype} on {device}, for which torch has no kernels"
        if cell is None or kernel_of(cell) is None:
            name = "this" if cell is None else cell.name
            return f"torch has no kernel for {name}: it has those of LSTM, GRU and RNN"
        return None

    def forward(self, call: Call) -> tuple[Outputs, Saved]:
        """Run all steps; saves nothing."""
        with torch.no_grad():
            return _run(call, call.x, call.states, call.parameters), ()

    def backward(
        self,
        call: Call,
        outputs: Outputs,
        saved: Saved,
        grads: Outputs,
        *,
        need_input: bool = True,
        need_parameters: bool = True,
    ) -> Grads:
        """Runs forward again and differentiates it; always computes all gradients."""
        tensors = [call.x, *call.states, *call.parameters]
        with torch.enable_grad():
            own = [tensor.detach().requires_grad_() for tensor in tensors]
            x, *rest = own
            states, parameters = rest[: len(call.states)], rest[len(call.states) :]
            again = _run(call, x, states, parameters)
            pairs = zip([again.y, *again.states], [grads.y, *grads.states], strict=True)
            known = [(output, grad) for output, grad in pairs if output.requires_grad]
            dx, *others = torch.autograd.grad(
                [output for output, _ in known], own, [grad for _, grad in known],
                allow_unused=True, materialize_grads=True,
            )  # fmt: skip
        return Grads(dx, others[: len(states)], others[len(states) :])

    def saved_like(self, call: Call) -> list[Tensor]:
        """Nothing."""
        return []

    def stepper(self, cell: Cell, sizes: Sequence[Sizes], x: Tensor) -> None:
        """``None``: there is no fast path for single steps."""
        return

    def training_steps(self, cell: Cell, sizes: Sequence[Sizes], x: Tensor) -> None:
        """``None``: there is no fast path for single steps."""
        return

    def frozen_steps(
        self, layers: Sequence[StepLayer], batch: int, dtype: torch.dtype, *, int8: bool = False
    ) -> None:
        """``None``: there is no fast path for single steps."""
        return

    def report(self, dtype: torch.dtype, device: torch.device) -> str:
        """The dtype and device."""
        return f"{str(dtype).removeprefix('torch.')}, with torch's own kernels; on {device}."


def _run(call: Call, x: Tensor, states: Sequence[Tensor], parameters: Sequence[Tensor]) -> Outputs:
    """The outputs as torch computes them, differentiable."""
    time, batch, _ = x.shape
    if time == 0 or batch == 0:
        return Outputs(x.new_zeros(time, batch, call.sizes.hidden), [s.clone() for s in states])
    kernel = kernel_of(call.plan.cell)
    assert kernel is not None, call.plan.cell.name
    weights = _weights(kernel, call, [p.to(x.dtype) for p in parameters])
    first = [state.unsqueeze(0) for state in states]
    begun = tuple(first) if len(first) > 1 else first[0]
    run = getattr(torch, kernel.name)
    # with biases, one layer, no dropout, one direction
    options = (True, 1, 0.0, torch.is_grad_enabled(), False)
    if call.lengths is None:
        given = x.flip(0) if call.reverse else x
        y, *last = run(given, begun, weights, *options, False)
        y = y.flip(0) if call.reverse else y
        return Outputs(y, [state.squeeze(0) for state in last])
    lengths = call.lengths.cpu()
    order = _backwards(lengths, time).to(x.device) if call.reverse else None
    given = x if order is None else _rearranged(x, order)
    # torch packs no empty rows; what it computes for them is left out below
    packed = pack_padded_sequence(given, lengths.clamp(min=1), enforce_sorted=False)
    rows, back = packed.sorted_indices, packed.unsorted_indices
    assert rows is not None
    assert back is not None
    sorted_states = [state.index_select(1, rows) for state in first]
    begun = tuple(sorted_states) if len(first) > 1 else sorted_states[0]
    flat, *last = run(packed.data, packed.batch_sizes, begun, weights, *options)
    padded, _ = pad_packed_sequence(packed._replace(data=flat), total_length=time)
    y = padded if order is None else _rearranged(padded, order)
    empty = (lengths == 0).to(x.device)[:, None]
    return Outputs(
        torch.where(empty, torch.zeros_like(y), y),
        [
            torch.where(empty, before, after.squeeze(0).index_select(0, back))
            for before, after in zip(states, last, strict=True)
        ],
    )


def _backwards(lengths: Tensor, time: int) -> Tensor:
    """(time, batch): the step that each row's k-th step from its end is; padding stays."""
    steps = torch.arange(time)[:, None]
    return torch.where(steps < lengths, lengths - 1 - steps, steps)


def _rearranged(x: Tensor, order: Tensor) -> Tensor:
    return x.gather(0, order[:, :, None].expand_as(x))


def _weights(kernel: Kernel, call: Call, parameters: Sequence[Tensor]) -> list[Tensor]:
    """[w_ih, w_hh, b_ih, b_hh] of torch."""
    keys = [(p.family, p.gate) for p in call.plan.cell.parameters]
    arrays = dict(zip(keys, parameters, strict=True))
    hidden = call.sizes.hidden
    vector = call.x.new_zeros(hidden)
    matrices = {
        "x": call.x.new_zeros(hidden, call.sizes.input),
        "h": vector.new_zeros(hidden, hidden),
    }
    found = [
        torch.cat([gate.matrix(side, arrays, call.sizes, zeros) for gate in kernel.gates])
        for side, zeros in matrices.items()
    ]
    return found + [
        torch.cat([gate.vector(f"bias_{side}", arrays, vector) for gate in kernel.gates])
        for side in matrices
    ]
