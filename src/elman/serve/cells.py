"""Cells of visitors: their equations are read, shown, and examined.

A visitor writes the function that ``@cell`` takes.  It is parsed and never executed
(``elman.graph.read_equations``); experiments run in a process of their own (``laboratory.py``).
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import sys
import time
from collections.abc import Mapping
from functools import cache
from textwrap import TextWrapper
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from elman.cells import ALL
from elman.errors import CellError
from elman.graph import Cell, read_equations
from elman.graph.node import Size
from elman.graph.sizes import Sizes
from elman.graph.written import FUNCTIONS
from elman.serve.experiments import EXPERIMENTS, ExperimentOptions, own_numbers, used_options
from elman.serve.laboratory import Laboratory
from elman.serve.limits import Limits
from elman.serve.metrics import Metrics
from elman.serve.refusal import Json, Refusal, refusal_of, response
from elman.serve.request_options import options_schema, settings_of
from elman.serve.requests import object_of, parse_json

#: characters of equations, and values of a step, that are accepted
MOST_CHARACTERS, MOST_VALUES = 4000, 120
#: the largest size that equations may give as a number
MOST_UNITS = 128
#: the length of a decorator's lines
MOST_COLUMNS = 90


class Cells:
    """The routes of ``/v1/cell``."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self._limits, self._metrics = limits, metrics
        self.laboratory = Laboratory(min(30.0, limits.max_seconds))
        self.routes = [Route("/v1/cell", self._catalogue)]
        for name in ("formula", *EXPERIMENTS):
            self.routes.append(Route(f"/v1/cell/{name}", self._answer, methods=["POST"]))

    async def _catalogue(self, request: Request) -> Response:
        cells = [{"name": each.name, "equations": source_of(each)} for each in ALL.values()]
        options = options_schema(ExperimentOptions)
        return Json({"cells": cells, "functions": list(FUNCTIONS), "options": options})

    async def _answer(self, request: Request) -> Response:
        start = time.monotonic()
        answer: Response
        try:
            async with asyncio.timeout(self._limits.max_seconds):
                answer = Json(await self._found(request))
        except TimeoutError:
            answer = response(Refusal(408, "other experiments took too long; try again later."))
        except ClientDisconnect:  # nobody reads this
            answer = response(Refusal(400, "the body broke off."))
        except Exception as error:
            answer = response(refusal_of(error))
        self._metrics.request(request.url.path[4:], answer.status_code, time.monotonic() - start)
        return answer

    async def _found(self, request: Request) -> dict[str, Any]:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Refusal(415, f'the content type is "{kind}"; send application/json.')
        body = parse_json(await request.body(), "the body")
        body = object_of(body, ("equations", "options"), "the body")
        equations, options = body.get("equations"), body.get("options", {})
        if not isinstance(equations, str):
            raise Refusal(400, 'the body needs "equations", a string.')
        if not isinstance(options, dict):
            raise Refusal(400, "options must be a JSON object.")
        settings = settings_of(ExperimentOptions, options)
        cell = await asyncio.to_thread(accepted, equations)
        experiment = request.url.path.rpartition("/")[2]
        if experiment == "formula":
            return await asyncio.to_thread(formula, cell, ExperimentOptions(**settings))
        return await self.laboratory.run(experiment, cell, settings)


def accepted(equations: str) -> Cell:
    """The cell of a visitor; ``CellError`` for one that is too large, or wrong.

    >>> accepted("def a(x, h, *, W): return tanh(W.h @ [h, x])").states
    ('h',)
    """
    if len(equations) > MOST_CHARACTERS:
        raise CellError(
            f"the equations have {len(equations):,} characters; the service takes "
            f"{MOST_CHARACTERS:,}."
        )
    cell = read_equations(equations)
    if len(cell.nodes) > MOST_VALUES:
        raise CellError(
            f"{cell.name}: a step has {len(cell.nodes)} values; the service takes {MOST_VALUES}."
        )
    for size in _sizes_of(cell):
        if size.isdecimal() and int(size) > MOST_UNITS:
            raise CellError(
                f"{cell.name}: the size {int(size):,} is more than the service takes, "
                f"{MOST_UNITS}; choose a smaller one."
            )
    return cell


def _sizes_of(cell: Cell) -> list[Size]:
    """The sizes of all values of a cell."""
    found = [*cell.sizes.values(), *[size for _, size in cell.inputs]]
    for each in cell.parameters:
        found += [*each.columns, each.rows]
    return found


def formula(cell: Cell, options: ExperimentOptions) -> dict[str, Any]:
    """The cell as MathML, text and LaTeX, with its parameters and inputs.

    ``uses`` are the options that its layers need besides those of every layer.
    """
    own = tuple(own_numbers(cell, options).items())
    memory = (options.heads, options.key_size) if cell.has_memory else (1, 0)
    sizes = Sizes(options.input_size, options.hidden_size, *memory, own)
    if sizes.hidden % sizes.heads:
        raise CellError(
            f"{cell.name}: the hidden size {sizes.hidden} is not divisible by {sizes.heads} heads; "
            "choose another."
        )
    parameters = []
    count = 0
    for each in cell.parameters:
        for size in (each.rows, *each.columns) if each.kind == "matrix" else ():
            if sizes.width((size,)) % each.heads:
                raise CellError(
                    f"{cell.name}: {each.key} has {each.heads} heads, but the {size} size "
                    f"{sizes.width((size,))} is not divisible by {each.heads}; choose another."
                )
        shape = each.shape(sizes)
        of = list(each.columns) if each.kind == "matrix" else []
        parameters.append({"key": each.key, "shape": list(shape), "size": each.size, "of": of})
        count += shape[0] * (shape[1] if len(shape) > 1 else 1)
    return {
        "name": cell.name,
        "doc": cell.doc,
        "states": list(cell.states),
        "text": str(cell),
        "latex": cell.latex(),
        "mathml": mathml(cell),
        "parameters": parameters,
        "count": count,
        "inputs": [{"name": name, "size": size} for name, size in cell.inputs],
        "uses": used_options(cell),
    }


def mathml(cell: Cell) -> str:
    """The equations of a cell as a MathML element, aligned at the equals signs."""
    from latex2mathml.converter import convert

    # the converter supports align*, not aligned
    made: str = convert(cell.latex().replace("{aligned}", "{align*}"), display="block")
    return made


def source_of(cell: Cell) -> str:
    """The function of a cell of the catalogue, as one would write it.

    >>> print(source_of(ALL["rnn"]).splitlines()[1])
    def rnn(x, a, *, W, b):
    """
    for module in [sys.modules[name] for name in sys.modules if name.startswith("elman.cells.")]:
        found = _functions(inspect.getsource(module)).get(cell.name)
        if found is not None:
            return _decorator(cell) + found
    raise KeyError(cell.name)


@cache
def _functions(source: str) -> Mapping[str, str]:
    lines = source.splitlines()
    return {
        each.name: "\n".join(lines[each.lineno - 1 : each.end_lineno]) + "\n"
        for each in ast.parse(source).body
        if isinstance(each, ast.FunctionDef)
    }


def _decorator(cell: Cell) -> str:
    given = [f'gates="{" ".join(cell.gates)}"']
    sizes = {name: cell.state_size(name) for name in cell.states}
    sizes |= {parameter.key: parameter.size for parameter in cell.parameters}
    sizes = {name: size for name, size in sizes.items() if size != "hidden"}
    for option, values in (("init", cell.init), ("inputs", dict(cell.inputs)), ("sizes", sizes)):
        if values:
            pairs = [f'"{key}": {_written(value)}' for key, value in values.items()]
            given.append(f"{option}={{{', '.join(pairs)}}}")
    line = f"@cell({', '.join(given)})\n"
    if len(line) <= MOST_COLUMNS:
        return line
    wrapper = TextWrapper(MOST_COLUMNS, initial_indent=" " * 4, subsequent_indent=" " * 8)
    # lines end after commas alone
    kept = [each.replace(" ", "\0").replace(",\0", ", ") for each in given]
    folded = [wrapper.fill(f"{each},").replace("\0", " ") for each in kept]
    return "\n".join(["@cell(", *folded, ")\n"])


def _written(value: float | Size) -> str:
    return f'"{value}"' if isinstance(value, str) else f"{value:g}"
