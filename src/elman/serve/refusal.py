"""Refusals: the answer to any problem is a status and one sentence, ``{"error": "..."}``."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from elman.errors import ElmanError, RunError


class Refusal(Exception):
    """Why a request is not answered: an HTTP status and a sentence."""

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None):
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = dict(headers or {})


def refusal_of(error: BaseException) -> Refusal:
    """The refusal for any exception; those that only a bug causes are logged on standard error.

    >>> from elman.errors import DataError
    >>> refusal_of(DataError("a.wav: this file is empty.")).status
    422
    """
    if isinstance(error, Refusal):
        return error
    if isinstance(error, RunError):
        return Refusal(503, f"the model cannot be loaded: {error}")
    if isinstance(error, ElmanError):
        return Refusal(422, str(error))
    if isinstance(error, MemoryError):
        return Refusal(413, "the inputs need more memory than there is; send smaller ones.")
    traceback.print_exception(error, file=sys.stderr)
    return Refusal(500, "this is a bug of the service, whose log has the details.")


class Json(Response):
    """A JSON response; half of a surrogate pair, which UTF-8 cannot hold, is escaped."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return to_json(content).encode("utf-8", "backslashreplace")


def to_json(content: Any) -> str:
    """JSON on one line, as ``elman predict --json`` prints it."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False)


def response(refusal: Refusal) -> Json:
    """The response of a refusal."""
    return Json({"error": refusal.sentence}, refusal.status, headers=refusal.headers)
