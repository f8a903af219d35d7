"""A cell as one line of JSON.

Trained models store a cell this way, torch's operator takes it as an argument, and cached kernels
are keyed by it.  ``reader.py`` reads it back.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from elman.graph.cell import Cell, Parameter

#: the format number of a saved cell
FORMAT = 1


def write_cell(cell: Cell) -> str:
    """The whole cell as one line of JSON."""
    index = {node: position for position, node in enumerate(cell.nodes)}
    record = {
        "format": FORMAT,
        "name": cell.name,
        "input": cell.input,
        "states": cell.states,
        "gates": cell.gates,
        "parameters": [[p.family, p.gate, p.kind, p.columns, *_more(p)] for p in cell.parameters],
        "nodes": [
            [node.operation, [index[operand] for operand in node.operands], node.attribute]
            for node in cell.nodes
        ],
        "next": [index[node] for node in cell.next_states],
        "names": {index[node]: name for node, name in cell.names.items()},
        "start": dict(cell.init),  # the key in format 1
        "doc": cell.doc,
    }
    if cell.inputs:  # absent from cells of earlier versions, whose text stays the same
        record["inputs"] = cell.inputs
    if cell.sizes:
        record["sizes"] = dict(cell.sizes)
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False)


def _more(parameter: Parameter) -> list[int | str]:
    """Heads and size of the rows of a matrix, where they are not the usual."""
    if parameter.rows != "hidden":
        return [parameter.heads, parameter.rows]
    return [parameter.heads] if parameter.heads > 1 else []
