"""A cell as one line of JSON, and back.

This is how a trained model keeps its cell, how torch's operator is told which cell to run and
what kernels are cached under.  Reading it runs no code.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from elman.errors import CellError
from elman.graph.cell import Cell, Parameter
from elman.graph.node import OPERATIONS, Node, intern
from elman.graph.verify import MOST_VALUES, verify

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
        "start": dict(cell.start),
        "doc": cell.doc,
    }
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False)


@lru_cache(maxsize=1024)
def read_cell(text: str) -> Cell:
    """The cell that ``write_cell`` wrote; ``CellError`` when the text is something else.

    >>> from elman.cells import lstm
    >>> read_cell(write_cell(lstm)) == lstm
    True
    """
    try:
        record = json.loads(text)
        found = record["format"]
        if found != FORMAT:
            raise CellError(
                f"a saved cell has format {found}, and this version of Elman reads format "
                f"{FORMAT}; upgrade Elman to read it."
            )
        nodes: list[Node] = []
        if len(record["nodes"]) > MOST_VALUES:
            raise CellError(
                f"a saved cell has {len(record['nodes']):,} values, and {MOST_VALUES} is the most "
                "that is compiled."
            )
        for operation, operands, attribute in record["nodes"]:
            if operation not in OPERATIONS:
                raise CellError(
                    f"a saved cell uses the operation {operation!r}, which this version of Elman "
                    "does not have; upgrade Elman to read it."
                )
            given = tuple([_at(nodes, k) for k in operands])
            nodes.append(intern(operation, given, _value(attribute)))
        cell = Cell(
            name=record["name"],
            input=record["input"],
            states=tuple(record["states"]),
            next_states=tuple([_at(nodes, k) for k in record["next"]]),
            parameters=tuple([_parameter(*fields) for fields in record["parameters"]]),
            gates=tuple(record["gates"]),
            names={_at(nodes, int(k)): name for k, name in record["names"].items()},
            start={key: float(value) for key, value in record["start"].items()},
            doc=record["doc"],
        )
        verify(cell)
        return cell
    except CellError:
        raise
    except RecursionError:
        raise CellError(
            "a saved cell cannot be read (it is nested too deeply); the file is damaged."
        ) from None
    except Exception as error:
        raise CellError(f"a saved cell cannot be read ({error}); the file is damaged.") from error


def _at(nodes: Sequence[Node], position: object) -> Node:
    """A node that stands before; Python would count negative positions from the end."""
    if type(position) is not int or not 0 <= position < len(nodes):
        raise ValueError(f"there is no value {position} before it is used")
    return nodes[position]


def _parameter(family: str, gate: str, kind: str, columns: list[str]) -> Parameter:
    if kind == "matrix":
        return Parameter(family, gate, "matrix", tuple(columns))
    if kind == "vector":
        return Parameter(family, gate, "vector")
    raise ValueError(f"{family}.{gate} is a {kind}")


def _value(attribute: Any) -> Any:
    """JSON has lists where attributes are tuples."""
    return tuple(attribute) if isinstance(attribute, list) else attribute
