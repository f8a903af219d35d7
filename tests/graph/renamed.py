"""The same cell under other names, by its text: what a name is must not matter to anything."""

import json
from collections.abc import Mapping

from elman.graph import Cell, read_cell


def renamed(cell: Cell, names: Mapping[str, str]) -> Cell:
    """The cell with other names for its input, states, families and gates.

    ``names`` has the new ones by ``"x"``, ``"state h"``, ``"family W"`` and ``"gate f"``.
    """
    record = json.loads(cell.text)

    def new(kind: str, name: str) -> str:
        return names.get(f"{kind} {name}", name)

    record["input"] = names.get("x", record["input"])
    record["states"] = [new("state", state) for state in record["states"]]
    record["gates"] = [new("gate", gate) for gate in record["gates"]]
    record["parameters"] = [
        [new("family", family), new("gate", gate), *rest]
        for family, gate, *rest in record["parameters"]
    ]
    record["start"] = {}
    for node in record["nodes"]:
        if node[0] == "state":
            node[2] = new("state", node[2])
        elif node[0] in {"vector", "matrix"}:
            family, gate = node[2]
            node[2] = [new("family", family), new("gate", gate)]
    return read_cell(json.dumps(record))
