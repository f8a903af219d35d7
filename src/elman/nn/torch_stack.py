"""Run stacked layers as torch.nn does: its weights, dropout and packed batches.

``stack.py`` does the same for ``Recurrent``, which has more kinds of noise, lengths and states.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.autograd.profiler import record_function
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from elman.autograd import run
from elman.backends import choose
from elman.backends.engine import memo_of
from elman.nn.torch_weights import parameters_in_order, torch_cell


def run_layers(
    module: nn.RNNBase,
    weights: Sequence[Sequence[Tensor]],
    x: Tensor,  # time batch input
    states: Sequence[Tensor],  # layers * directions, batch, size
    lengths: Tensor | None,
) -> tuple[Tensor, list[Tensor]]:
    """The outputs and the last states; ``weights`` are those of layer 0 forward, 0 reverse, ...

    ``lengths`` are in descending order, as in a packed batch.  torch's profiler shows the run as
    ``elman::lstm`` and the like.
    """
    if not torch.compiler.is_compiling() and torch._C._autograd._profiler_enabled():
        with record_function(f"elman::{module.mode.lower()}"):
            return _run_layers(module, weights, x, states, lengths)
    return _run_layers(module, weights, x, states, lengths)


def _run_layers(
    module: nn.RNNBase,
    weights: Sequence[Sequence[Tensor]],
    x: Tensor,
    states: Sequence[Tensor],
    lengths: Tensor | None,
) -> tuple[Tensor, list[Tensor]]:
    cell = torch_cell(module.mode, bias=module.bias, projected=module.proj_size > 0)
    backend, _ = choose("auto", x.dtype, x.device, cell)
    directions = 2 if module.bidirectional else 1
    last: list[Sequence[Tensor]] = []
    for layer in range(module.num_layers):
        outputs = []
        for direction in range(directions):
            k = layer * directions + direction
            parameters = parameters_in_order(module.mode, weights[k], bias=module.bias)
            start = [state[k].contiguous() for state in states]
            keep = torch.is_grad_enabled() and any(
                [t.requires_grad for t in (x, *start, *parameters)]
            )
            memo = None if torch.compiler.is_compiling() else memo_of(module, k)
            y, final = run(
                cell.text, x, start, parameters, lengths, direction == 1, keep, backend, (), memo
            )
            outputs.append(y)
            last.append(final)
        x = outputs[0] if directions == 1 else torch.cat(outputs, -1)
        if module.training and module.dropout and layer < module.num_layers - 1:
            x = _drop(x, module.dropout, lengths)
    if len(last) == 1:
        return x, [state.unsqueeze(0) for state in last[0]]
    return x, [torch.stack(each) for each in zip(*last, strict=True)]


def _drop(x: Tensor, p: float, lengths: Tensor | None) -> Tensor:
    """Dropout as in torch.nn, with the same masks for a seed."""
    if lengths is None:
        return torch.dropout(x, p, True)
    packed = pack_padded_sequence(x, lengths)
    return unpack(PackedSequence(torch.dropout(packed.data, p, True), packed.batch_sizes))[0]


def unpack(packed: PackedSequence) -> tuple[Tensor, Tensor]:
    """(time, batch, features) and the lengths, longest row first."""
    return pad_packed_sequence(PackedSequence(packed.data, packed.batch_sizes))


def repack(y: Tensor, lengths: Tensor, like: PackedSequence) -> PackedSequence:
    """The inverse of ``unpack``, with ``y`` as data."""
    data = pack_padded_sequence(y, lengths).data
    return PackedSequence(data, like.batch_sizes, like.sorted_indices, like.unsorted_indices)
