"""Read a cell from the line of JSON that ``text.py`` writes.  Reading runs no code.

Cells are pickled and copied between processes as this text.
"""

from __future__ import annotations

import copyreg
import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from elman.errors import CellError
from elman.graph.cell import Cell, Parameter
from elman.graph.node import OPERATIONS, Node, intern
from elman.graph.text import FORMAT
from elman.graph.verify import MAX_VALUES, verify


@lru_cache(maxsize=1024)
def read_cell(text: str) -> Cell:
    """The cell that ``write_cell`` wrote.  Raises ``CellError`` for any other text.

    >>> from elman.cells import lstm
    >>> from elman.graph import write_cell
    >>> read_cell(write_cell(lstm)) == lstm
    True
    """
    try:
        record = json.loads(text)
        found = record["format"]
        if found != FORMAT:
            raise CellError(
                f"a saved cell has format {found}, but this version of Elman reads format "
                f"{FORMAT}; upgrade Elman to read it."
            )
        nodes: list[Node] = []
        if len(record["nodes"]) > MAX_VALUES:
            raise CellError(
                f"a saved cell has {len(record['nodes']):,} values; at most {MAX_VALUES} can be "
                "compiled."
            )
        for operation, operands, attribute in record["nodes"]:
            if operation not in OPERATIONS:
                raise CellError(
                    f"a saved cell uses the operation {operation!r}, which this version of Elman "
                    "does not support; upgrade Elman to read it."
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
            init={key: float(value) for key, value in record["start"].items()},
            doc=record["doc"],
            inputs=tuple([(name, size) for name, size in record.get("inputs", ())]),
            sizes=dict(record.get("sizes", {})),
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
    """An earlier node.  Negative positions are invalid: Python would count from the end."""
    if type(position) is not int or not 0 <= position < len(nodes):
        raise ValueError(f"value {position} is used before it is defined")
    return nodes[position]


def _parameter(
    family: str, gate: str, kind: str, columns: list[str], heads: int = 1, rows: str = "hidden"
) -> Parameter:
    if kind == "matrix":
        return Parameter(family, gate, "matrix", tuple(columns), heads, rows)
    if kind == "vector" and (heads, rows) == (1, "hidden"):
        return Parameter(family, gate, "vector", tuple(columns))
    raise ValueError(f"{family}.{gate} is a {kind}")


def _value(attribute: Any) -> Any:
    """The attribute with JSON's lists as tuples."""
    return tuple(attribute) if isinstance(attribute, list) else attribute


def _reduce(cell: Cell) -> tuple[Callable[[str], Cell], tuple[str]]:
    return read_cell, (cell.text,)


copyreg.pickle(Cell, _reduce)
