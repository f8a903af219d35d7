"""A cell as one line of JSON.

This is how a trained model keeps its cell, how torch's operator is told which cell to run and
what kernels are cached under.  ``reader.py`` makes a cell of it again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from elman.graph.cell import Cell

#: the number of the format, which a saved cell carries
FORMAT = 1


def write_cell(cell: Cell) -> str:
    """One line of JSON with everything that a ``Cell`` holds."""
    index = {node: position for position, node in enumerate(cell.nodes)}
    record = {
        "format": FORMAT,
        "name": cell.name,
        "input": cell.input,
        "states": cell.states,
        "gates": cell.gates,
        "parameters": [[p.family, p.gate, p.kind, p.columns] for p in cell.parameters],
        "nodes": [
            [node.operation, [index[operand] for operand in node.operands], node.attribute]
            for node in cell.nodes
        ],
        "next": [index[node] for node in cell.next_states],
        "names": {index[node]: name for node, name in cell.names.items()},
        "start": dict(cell.init),  # its name in format 1
        "doc": cell.doc,
    }
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False)
