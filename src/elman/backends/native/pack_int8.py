"""Pack weights as int8 in the order of ``llvm/layout.py``, for steps whose weights never change.

The weights of a unit for an operand have one scale: the largest magnitude is 127.  Before the
weights of an operand stand, for each accumulator, the scales and -128 times the sums of the
weights, which the products start with (``llvm/int8.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from elman.backends.native.llvm.layout import Group, Layout, Segment, Span
from elman.backends.native.memory import aligned
from elman.backends.native.phases import Term
from elman.errors import OptionError
from elman.graph.cell import Parameter

Array = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
Known = Mapping[tuple[str, str], Array]

_LARGEST = 127
#: products of bytes whose sums always fit into 32 bits
_LONGEST = 2**31 // (128 * _LARGEST)


def pack_int8(
    layout: Layout, cell_parameters: Sequence[Parameter], given: Sequence[Tensor]
) -> Tensor:
    """The packed weights, followed by the cell's vectors."""
    known = {
        (p.family, p.gate): tensor.detach().float().contiguous().numpy()
        for p, tensor in zip(cell_parameters, given, strict=True)
    }
    packed = np.zeros(layout.packed_size, np.float32)
    for phase, groups in zip(layout.program.phases, layout.groups, strict=True):
        span = layout.span(phase.size)
        for group in groups:
            size = group.block * span.blocks
            packed[group.offset : group.offset + size] = _group(layout, group, span, known).reshape(
                -1
            )
    for node, offset in layout.vectors.items():
        vector = known[node.attribute[:2]]
        at = layout.weights_size + offset
        packed[at : at + len(vector)] = vector
    result = aligned(layout.packed_size, torch.float32)
    result.copy_(torch.from_numpy(packed))
    return result


def _group(layout: Layout, group: Group, span: Span, known: Known) -> Array:
    """(blocks, elements of a block)."""
    parts: list[Array] = []
    for total in group.accumulators:
        start = np.zeros(span.padded, np.float32)
        if total.start is not None and total.start.operation == "vector":
            vector = known[total.start.attribute[:2]]
            start[: len(vector)] = vector
        parts.append(start.reshape(span.blocks, span.lanes))
    for segment in group.segments:
        parts += _segment(layout, segment, span, known)
    return np.concatenate([part.reshape(span.blocks, -1) for part in parts], 1)


def _segment(layout: Layout, segment: Segment, span: Span, known: Known) -> list[Array]:
    """The scales, the starts of the sums and the weights of an operand."""
    if segment.size > _LONGEST:
        raise OptionError(
            f'Recurrent.stepper: quantize="int8" is for at most {_LONGEST:,} numbers in x and in '
            f"each state, but {segment.size:,} are multiplied; omit it."
        )
    scales, starts, weights = [], [], []
    for _, term in segment.fed:
        dense = np.zeros((span.padded, 4 * segment.steps), np.float32)
        dense[: span.width, : segment.size] = _matrix(layout, term, segment.size, span.width, known)
        largest = np.abs(dense).max(1)
        scale = (largest / _LARGEST).astype(np.float32)
        # a scale that is not finite makes the sums not finite
        usable = (np.isfinite(scale) & (scale > 0))[:, None]
        rounded = np.rint(np.divide(dense, scale[:, None], out=np.zeros_like(dense), where=usable))
        scales.append(scale.reshape(span.blocks, 1, span.lanes))
        sums = (-128 * rounded.sum(1)).astype("<i4").view(np.float32)
        starts.append(sums.reshape(span.blocks, 1, span.lanes))
        quads = rounded.astype(np.int8).reshape(span.blocks, span.lanes, segment.steps, 4)
        # the four bytes of an element are neighbours in k, the first in the lowest
        words = np.ascontiguousarray(quads.transpose(0, 2, 1, 3)).view("<i4").view(np.float32)
        weights.append(words.reshape(span.blocks, segment.steps, 1, span.lanes))
    return [np.concatenate(scales, 1), np.concatenate(starts, 1), np.concatenate(weights, 2)]


def _matrix(layout: Layout, term: Term, size: int, units: int, known: Known) -> Array:
    """(units, elements of the operand)."""
    matrix, first = known[term.matrix.attribute[:2]], layout.columns(term.block).start
    if term.transposed:
        return matrix[:size, first : first + units].T
    return matrix[:units, first : first + size]
