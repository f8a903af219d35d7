"""Sums of products in C: weights packed in the order in which loops read them, and these loops.

Units are computed in blocks.  The weights of a block lie in the order in which its loop over k
reads them, [block][k][sum and unit], and all its sums are one flat array: a compiler keeps that
in registers, and spills an array for each sum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from elman.export.c_source.numbers import Numbers
from elman.export.c_source.plan import Group, Sum, runs_of
from elman.export.c_source.text import Names, comment, literal, table
from elman.graph.node import Node, Size
from elman.graph.sizes import Sizes

#: numbers that the sums of a block are at most: 8 registers of 16, so that as many additions are
#: under way at a time as a processor can begin before the first has ended
MOST_LANES = 128

#: numbers up to which the sums of a block are taken apart into chains, of which each adds every
#: second or fourth product: with fewer, additions would wait for each other.  8 registers of 8
MOST_CHAINED = 64

#: the array, its length, and the neighbouring sums that it meets
Run = tuple[str, int, list[range]]


def padded_width(units: int) -> int:
    """The units that a loop goes over: a multiple of 16, or of 8 or 4 where that saves much.

    >>> [padded_width(units) for units in (1, 8, 20, 32, 100)]
    [4, 8, 24, 32, 112]
    """
    lanes = lanes_for(units)
    return -(-units // lanes) * lanes


def lanes_for(units: int) -> int:
    """How many units are neighbours in a vector of the processor."""
    for lanes in (16, 8):
        if -(-units // lanes) * lanes <= 1.25 * units:
            return lanes
    return 4


def block_width(units: int, sums: int) -> int:
    """Units of a block: as many as the registers have sums for, in blocks of one size.

    >>> block_width(100, 4)
    16
    """
    padded, lanes = padded_width(units), lanes_for(units)
    widths = [w for w in range(lanes, padded + 1, lanes) if padded % w == 0]
    return max([w for w in widths if w * sums <= MOST_LANES], default=lanes)


def chain_count(lanes: int) -> int:
    """How many chains of additions the sums of a block are.

    >>> [chain_count(lanes) for lanes in (8, 16, 32, 48, 128)]
    [4, 4, 2, 1, 1]
    """
    return max([count for count in (1, 2, 4) if count * lanes <= MOST_CHAINED], default=1)


class SumsInC:
    """The tables and loops of a layer's sums.

    ``tables`` gains the weights, ``helpers`` the functions that are called; ``vector`` gives the
    name of a whole vector.
    """

    def __init__(
        self,
        prefix: str,
        layer: str,
        numbers: Numbers,
        sizes: Sizes,
        tables: list[str],
        names: Names,
        helpers: set[str],
        vector: Callable[[Node], str],
    ) -> None:
        self._prefix, self._layer, self._numbers, self._sizes = prefix, layer, numbers, sizes
        self._tables, self._names, self._helpers = tables, names, helpers
        self._vector = vector
        self._kind = "signed char" if numbers.quantized else "float"
        self._aligned = f" {prefix}_ALIGNED"

    def block(self, group: Group, size: Size, width: int, where: dict[Node, str]) -> list[str]:
        """The loops over k of a block of sums; ``where`` is told where each sum is found."""
        tag = str(len(self._tables))
        total = self._names.take("sum_", tag)
        lanes = width * len(group.sums)
        for k, each in enumerate(group.sums):
            where[each.root] = f"{total}[{k * width} + j]" if k else f"{total}[j]"
        weights, biases, scales, runs = self._pack(group, size, width)
        table_name = f"{self._layer}_weights_{tag}"
        self._add_weights(group.sums, table_name, "[block][k][sum and unit]", weights)
        start = "0.0f"
        offset = "first" if len(group.sums) == 1 else f"first * {len(group.sums)}"
        if biases is not None:
            name = f"{self._layer}_bias_{tag}"
            self._tables.append(table("float", name, biases, self._aligned))
            start = f"{name}[{offset} + i]"
        self._helpers.add("mad")
        per_unit = len(weights) // padded_width(self._sizes.width((size,)))
        chains = chain_count(lanes)
        lines = [
            f"        const {self._kind} *w_{tag} = {table_name} + first * {per_unit};",
            f"        float {total}[{lanes * chains}];",
            f"        for (int i = 0; i < {lanes}; ++i)",
            f"            {total}[i] = {'0.0f' if self._numbers.quantized else start};",
        ]
        if chains > 1:
            lines.append(f"        for (int i = {lanes}; i < {lanes * chains}; ++i)")
            lines.append(f"            {total}[i] = 0.0f;")
        for run in runs:
            lines += self._loop(run, f"w_{tag}", total, lanes, width)
        if chains > 1:
            chained = [_at(total, lanes * k) for k in range(chains)]
            pairs = [f"({' + '.join(chained[k : k + 2])})" for k in range(0, chains, 2)]
            lines.append(f"        for (int i = 0; i < {lanes}; ++i)")
            lines.append(f"            {total}[i] = {' + '.join(pairs)};")
        if scales is not None:
            name = f"{self._layer}_scale_{tag}"
            self._tables.append(table("float", name, scales, self._aligned))
            scale = f"{name}[{offset} + i]"
            lines.append(f"        for (int i = 0; i < {lanes}; ++i)")
            lines.append(
                f"            {total}[i] = {self._prefix}_mad({scale}, {total}[i], {start});"
            )
        return lines

    def single(self, each: Sum) -> tuple[list[str], str]:
        """The lines of a sum of size one, and its name."""
        tag = str(len(self._tables))
        total = self._names.take("sum_", tag)
        table_name = f"{self._layer}_weights_{tag}"
        bias = sum([float(self._numbers.flat(n, "one")) for n in each.numbers])
        weights: list[float] = []
        dots = []
        self._helpers.add("dot")
        for vector in dict.fromkeys([piece.vector for piece in each.pieces]):
            size = self._sizes.width((vector.size,))
            for columns in self._columns(each, vector):
                at = f"{table_name} + {len(weights)}" if weights else table_name
                dots.append(f"{self._prefix}_dot({at}, {self._vector(vector)}, {size})")
                weights += columns[0].tolist()
        self._add_weights([each], table_name, "[k]", _integers(weights, self._numbers.quantized))
        whole = " + ".join(dots)
        if self._numbers.quantized:
            whole = f"({whole}) * {literal(float(self._numbers.scale(each.pieces[0].matrix)))}"
        return [f"    const float {total} = {literal(bias)} + {whole};"], total

    def _add_weights(
        self, sums: Sequence[Sum], name: str, order: str, weights: list[float] | list[int]
    ) -> None:
        said = comment(", ".join([_shown(each) for each in sums]))
        self._tables.append(
            f"/* {said}: {order} */\n" + table(self._kind, name, weights, self._aligned)
        )

    def _loop(self, run: Run, weights: str, total: str, lanes: int, width: int) -> list[str]:
        """The products of a vector: in each round one element for each chain."""
        source, size, runs = run
        chains = chain_count(lanes)
        step = sum([len(run) for run in runs]) * width
        rounds, left = divmod(size, chains)
        lines = []
        if rounds:
            up = "++k" if chains == 1 else f"k += {chains}"
            lines.append(
                f"        for (int k = 0; k < {rounds * chains}; {up}, "
                f"{weights} += {chains * step}) {{"
            )
            for c in range(chains):
                at = f"{source}[k + {c}]" if c else f"{source}[k]"
                lines += self._products(at, weights, c * step, total, c * lanes, runs, width, c)
            lines.append("        }")
        if left:
            lines.append("        {")
            for c in range(left):
                at = f"{source}[{rounds * chains + c}]"
                lines += self._products(at, weights, c * step, total, c * lanes, runs, width, c)
            lines.append(f"            {weights} += {left * step};")
            lines.append("        }")
        return lines

    def _products(
        self,
        element: str,
        weights: str,
        column: int,
        total: str,
        chain: int,
        runs: Sequence[range],
        width: int,
        number: int,
    ) -> list[str]:
        """Add a column of weights times an element of the vector to the sums of a chain."""
        value = f"value_{number}"
        lines = [f"            const float {value} = {element};"]
        for run in runs:
            target = _at(total, chain + run.start * width)
            weight = _at(weights, column)
            weight = f"(float){weight}" if self._numbers.quantized else weight
            lines.append(f"            for (int i = 0; i < {len(run) * width}; ++i)")
            lines.append(
                f"                {target} = {self._prefix}_mad({weight}, {value}, {target});"
            )
            column += len(run) * width
        return lines

    def _columns(self, each: Sum, vector: Node) -> list[Tensor]:
        """The columns of a sum that meet a vector, added where their sum is as exact."""
        pieces = [p for p in each.pieces if p.vector is vector]
        blocks = [self._numbers.matrix(p.matrix)[:, self._sizes.columns(p.block)] for p in pieces]
        # a sum of integers need not fit into 8 bits
        return blocks if self._numbers.quantized else [torch.stack(blocks).sum(0)]

    def _pack(
        self, group: Group, size: Size, width: int
    ) -> tuple[list[float] | list[int], list[float] | None, list[float] | None, list[Run]]:
        """Weights, biases and scales in the order in which they are read, and the loops."""
        matrices = []  # for each loop: (k, sum, padded units)
        loops: list[Run] = []
        for vector in group.vectors:
            columns = [
                self._columns(each, vector) if vector in each.vectors else [] for each in group.sums
            ]
            for n in range(max(map(len, columns))):
                runs = runs_of([len(own) > n for own in columns])
                parts = [padded(columns[k][n].T) for run in runs for k in run]
                matrices.append(torch.stack(parts, 1))
                loops.append((self._vector(vector), self._sizes.width((vector.size,)), runs))
        by_block = [
            torch.cat([m[:, :, first : first + width].reshape(-1) for m in matrices])
            for first in range(0, matrices[0].shape[-1], width)
        ]
        flat = torch.cat(by_block).tolist()
        scales = biases = None
        if self._numbers.quantized:
            rows = [self._numbers.scale(s.pieces[0].matrix) for s in group.sums]
            scales = _in_blocks(rows, width)
        if any([each.numbers for each in group.sums]):
            zeros = torch.zeros(self._sizes.width((size,)))
            rows = [
                sum([self._numbers.flat(n, size) for n in s.numbers], zeros) for s in group.sums
            ]
            biases = _in_blocks(rows, width)
        return _integers(flat, self._numbers.quantized), biases, scales, loops


def padded(values: Tensor) -> Tensor:
    """Units filled up with zeros."""
    units = values.shape[-1]
    return torch.nn.functional.pad(values, (0, padded_width(units) - units))


def _in_blocks(rows: Sequence[Tensor], width: int) -> list[float]:
    stacked = torch.stack([padded(row) for row in rows]).reshape(len(rows), -1, width)
    return [float(v) for v in stacked.transpose(0, 1).reshape(-1)]


def _integers(values: list[float], quantized: bool) -> list[float] | list[int]:
    return [int(value) for value in values] if quantized else values


def _at(array: str, offset: int) -> str:
    """Element ``i`` behind an offset."""
    return f"{array}[{offset} + i]" if offset else f"{array}[i]"


def _shown(each: Sum) -> str:
    parts = [".".join(p.matrix) for p in each.pieces]
    return " and ".join(dict.fromkeys(parts))
