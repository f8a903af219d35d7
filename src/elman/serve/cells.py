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
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from elman.cells import CATALOGUE
from elman.errors import CellError
from elman.graph import Cell, read_equations
from elman.graph.sizes import Sizes
from elman.graph.written import FUNCTIONS
from elman.passes.separate import is_of_units
from elman.serve.experiments import EXPERIMENTS, ExperimentOptions
from elman.serve.laboratory import Laboratory
from elman.serve.limits import Limits
from elman.serve.metrics import Metrics
from elman.serve.refusal import Json, Refusal, refusal_of, response
from elman.serve.request_options import options_schema, settings_of
from elman.serve.requests import object_of, parse_json

#: characters of equations, and values of a step, that are accepted
MOST_CHARACTERS, MOST_VALUES = 4000, 120


class Cells:
    """The routes of ``/v1/cell``."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self._limits, self._metrics = limits, metrics
        self.laboratory = Laboratory(min(30.0, limits.max_seconds))
        self.routes = [Route("/v1/cell", self._catalogue)]
        for name in ("formula", *EXPERIMENTS):
            self.routes.append(Route(f"/v1/cell/{name}", self._answer, methods=["POST"]))

    async def _catalogue(self, request: Request) -> Response:
        cells = [{"name": each.name, "equations": source_of(each)} for each in CATALOGUE.values()]
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
    if not is_of_units(cell.text):
        raise CellError(f"{cell.name}: the service takes cells of x alone; omit inputs and sizes.")
    return cell


def formula(cell: Cell, options: ExperimentOptions) -> dict[str, Any]:
    """The cell as MathML, text and LaTeX, with its parameters."""
    sizes = Sizes(options.input_size, options.hidden_size)
    parameters = []
    count = 0
    for each in cell.parameters:
        for size in ("hidden", *each.columns):
            if sizes.width((size,)) % each.heads:
                raise CellError(
                    f"{cell.name}: {each.key} has {each.heads} heads, but the {size} size "
                    f"{sizes.width((size,))} is not divisible by {each.heads}; choose another."
                )
        shape = each.shape(sizes)
        parameters.append({"key": each.key, "shape": list(shape), "of": list(each.columns)})
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
    }


def mathml(cell: Cell) -> str:
    """The equations of a cell as a MathML element, aligned at the equals signs."""
    from latex2mathml.converter import convert

    # the converter supports align*, not aligned
    made: str = convert(cell.latex().replace("{aligned}", "{align*}"), display="block")
    return made


def source_of(cell: Cell) -> str:
    """The function of a cell of the catalogue, as one would write it.

    >>> print(source_of(CATALOGUE["rnn"]).splitlines()[1])
    def rnn(x, a, *, W, b):
    """
    for module in [sys.modules[name] for name in sys.modules if name.startswith("elman.cells.")]:
        found = _functions(inspect.getsource(module)).get(cell.name)
        if found is not None:
            return _decorator(cell.gates, cell.init) + found
    raise KeyError(cell.name)


@cache
def _functions(source: str) -> Mapping[str, str]:
    lines = source.splitlines()
    return {
        each.name: "\n".join(lines[each.lineno - 1 : each.end_lineno]) + "\n"
        for each in ast.parse(source).body
        if isinstance(each, ast.FunctionDef)
    }


def _decorator(gates: tuple[str, ...], init: Mapping[str, float]) -> str:
    given = [f'gates="{" ".join(gates)}"']
    if init:
        pairs = [f'"{key}": {value:g}' for key, value in init.items()]
        given.append(f"init={{{', '.join(pairs)}}}")
    return f"@cell({', '.join(given)})\n"
