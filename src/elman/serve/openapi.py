"""The OpenAPI description of the service, made from the tasks' options."""

from __future__ import annotations

from typing import Any

from elman.serve.cells import MOST_CHARACTERS
from elman.serve.experiments import ExperimentOptions
from elman.serve.limits import Limits
from elman.serve.request_options import options_schema
from elman.serve.served import Served
from elman.tasks.task import Task
from elman.version import __version__

_ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string", "description": "One sentence: what to change."}},
    "required": ["error"],
}
#: the statuses of a refused request, and when each is given
_REFUSED = {
    400: "The body is not valid JSON or multipart, or not of the described form.",
    401: "The token is missing or wrong.",
    403: "The request comes from a page of another site.",
    404: "No such model is served.",
    408: "The request took longer than the limit.",
    413: "The body is larger than the limit.",
    415: "The content type does not fit the task.",
    422: "An option or a file has an invalid content, or there are too many or too long inputs.",
    426: "The path is a WebSocket, and the request does not ask for one.",
    429: "Too many requests or streams at a time.",
    503: "The service stops, or the model cannot be loaded.",
}


def description(served: Served, limits: Limits, *, token: bool) -> dict[str, Any]:
    """The description as an OpenAPI 3.1 object."""
    paths: dict[str, Any] = {
        "/healthz": _get("Whether the service runs.", _json({"type": "object"}), token=False),
        "/v1": _get("The models that are served.", _json({"type": "object"}), token=token),
        "/metrics": _get(
            "Counters in Prometheus's format.",
            {"text/plain": {"schema": {"type": "string"}}},
            token=token,
        ),
        "/openapi.json": _get("This description.", _json({"type": "object"}), token=token),
    }
    paths.update(_cell_paths(token=token))
    for name, task in served.tasks.items():
        models = [each.name for each in served.models if each.task.name == name]
        paths[f"/v1/{name}/predict"] = {"post": _predict(task, models, limits, token=token)}
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Elman",
            "version": __version__,
            "description": "Answers of trained models, as `elman predict --json` prints them. "
            "Tasks marked as live in `GET /v1` also stream, by WebSocket at `/v1/{task}/stream`; "
            "the extension `x-websocket` of these paths names the messages, in their order.",
        },
        "paths": paths,
        "components": {"schemas": {"Error": _ERROR}},
    }
    for name, task in served.tasks.items():
        if task.live:
            models = [each.name for each in served.models if each.task.name == name]
            found["paths"][f"/v1/{name}/stream"] = {
                "get": _stream(task, models, limits, token=token)
            }
            found["components"]["schemas"].update(_messages(task))
    if token:
        found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return found


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _refusals(*statuses: int) -> dict[str, Any]:
    content = _json({"$ref": "#/components/schemas/Error"})
    return {str(each): {"description": _REFUSED[each], "content": content} for each in statuses}


def _get(summary: str, content: dict[str, Any], *, token: bool) -> dict[str, Any]:
    statuses = (401, 403) if token else (403,)
    responses = {"200": {"description": summary, "content": content}, **_refusals(*statuses)}
    return {"get": {"summary": summary, "responses": responses, **_security(token)}}


def _cell_paths(*, token: bool) -> dict[str, Any]:
    """Equations of cells: shown and examined, never executed as Python."""
    body = {
        "type": "object",
        "properties": {
            "equations": {"type": "string", "maxLength": MOST_CHARACTERS},
            "options": options_schema(ExperimentOptions),
        },
        "required": ["equations"],
        "additionalProperties": False,
    }
    summaries = {
        "formula": "The equations as MathML, LaTeX and text, with the parameters.",
        "plan": "What the native engine does with the cell.",
        "gradients": "The norm of the gradient against distance in time, beside other cells.",
        "speed": "Milliseconds of training and inference, beside other cells.",
    }
    found: dict[str, Any] = {
        "/v1/cell": _get("The cells of the catalogue.", _json({"type": "object"}), token=token)
    }
    statuses = [each for each in _REFUSED if each not in (404, 426) and (token or each != 401)]
    for name, summary in summaries.items():
        found[f"/v1/cell/{name}"] = {
            "post": {
                "summary": summary,
                "operationId": f"cell_{name}",
                "requestBody": {"required": True, "content": _json(body)},
                "responses": {
                    "200": {"description": summary, "content": _json({"type": "object"})},
                    **_refusals(*statuses),
                },
                **_security(token),
            }
        }
    return found


def _security(token: bool) -> dict[str, Any]:
    return {"security": [{"token": []}]} if token else {}


def _predict(task: Task, models: list[str], limits: Limits, *, token: bool) -> dict[str, Any]:
    answers = {
        "type": "object",
        "properties": {"predictions": {"type": "array", "items": {"type": "object"}}},
        "required": ["predictions"],
    }
    statuses = [each for each in _REFUSED if each != 426 and (token or each != 401)]
    return {
        "summary": task.title,
        "operationId": f"predict_{task.name}",
        "parameters": [_model_parameter(models)],
        "requestBody": {"required": True, "content": _bodies(task, limits)},
        "responses": {
            "200": {"description": "An answer for each input.", "content": _json(answers)},
            **_refusals(*statuses),
        },
        **_security(token),
    }


def _model_parameter(models: list[str]) -> dict[str, Any]:
    return {
        "name": "model",
        "in": "query",
        "description": "Which model of the task; by default the first.",
        "schema": {"enum": models},
    }


def _stream(task: Task, models: list[str], limits: Limits, *, token: bool) -> dict[str, Any]:
    """The handshake of a WebSocket, and what is said on it: OpenAPI has no words for the latter."""
    parameters = [_model_parameter(models)]
    if token:
        parameters.append(
            {
                "name": "token",
                "in": "query",
                "description": "The token, for browsers, which send no header.",
                "schema": {"type": "string"},
            }
        )
    statuses = (400, *((401,) if token else ()), 403, 404, 426, 429, 503)
    return {
        "summary": f"{task.title}, while the input arrives, by WebSocket",
        "operationId": f"stream_{task.name}",
        "parameters": parameters,
        "responses": {
            "101": {"description": "The connection is a WebSocket from now on."},
            **_refusals(*statuses),
        },
        "x-websocket": {
            "send": [
                _schema(f"{task.name}_stream_begin"),
                _schema(f"{task.name}_stream_input"),
                _schema(f"{task.name}_stream_end_of_input"),
            ],
            "receive": [
                *[_schema(f"{task.name}_stream_{kind}") for kind in task.live_records],
                _schema(f"{task.name}_stream_end"),
                _schema("Error"),
            ],
            "maxMessageBytes": limits.max_message_bytes,
            "closeCodes": {
                "1000": "All has been answered.",
                "1012": "The service stops; what had arrived has been answered.",
                "4000 + status": "After an Error, for the reason that this HTTP status has.",
            },
        },
        **_security(token),
    }


def _schema(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _messages(task: Task) -> dict[str, Any]:
    """The schemas of the messages of a stream."""

    def of(fields: dict[str, Any], required: list[str], **others: Any) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": fields,
            "required": required,
            "additionalProperties": False,
            **others,
        }

    found = {
        "begin": of(
            {"options": options_schema(task.PredictOptions)}, [], description="The first message."
        ),
        "input": {
            "type": "string",
            "contentMediaType": "application/octet-stream",
            "description": f"Binary messages, any number: {task.live_input}.",
        },
        "end_of_input": of({"end": {"const": True}}, ["end"], description="No input follows."),
        "end": of({"type": {"const": "end"}}, ["type"], description="The last record."),
    }
    for kind, fields in task.live_records.items():
        properties: dict[str, Any] = {"type": {"const": kind}}
        for field, types in fields.items():
            names = types.split(" or ")
            properties[field.removesuffix("?")] = {"type": names if len(names) > 1 else names[0]}
        required = [field for field in fields if not field.endswith("?")]
        found[kind] = of(properties, ["type", *required])
    return {f"{task.name}_stream_{name}": schema for name, schema in found.items()}


def _bodies(task: Task, limits: Limits) -> dict[str, Any]:
    options = options_schema(task.PredictOptions)
    count = {"minItems": 1, "maxItems": limits.max_inputs}
    files = {
        "type": "object",
        "properties": {
            "files": {
                "type": "array",
                "items": {"type": "string", "contentMediaType": "application/octet-stream"},
                **count,
            },
            "options": {**options, "description": "The options, as a JSON object."},
        },
        "required": ["files"],
        "additionalProperties": False,
    }
    encoding = {"files": {"contentType": "application/octet-stream"}}
    bodies: dict[str, Any] = {"multipart/form-data": {"schema": files, "encoding": encoding}}
    if task.input_kind == "file":
        return bodies
    item: dict[str, Any] = {"type": "null"}
    if task.input_kind == "text":
        item = {"type": "string", "maxLength": limits.max_length}
    schema = {
        "type": "object",
        "properties": {"inputs": {"type": "array", "items": item, **count}, "options": options},
        "required": [] if task.input_kind == "nothing" else ["inputs"],
        "additionalProperties": False,
    }
    return {**_json(schema), **bodies}
