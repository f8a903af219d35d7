"""Reads a request: its inputs, as JSON or as files, and its options.

Uploaded files lie in a temporary folder while they are answered.  Only their content counts: a
text task reads the inputs in them, and a task on files takes each as one input, so that a list of
files that is uploaded names nothing on the server.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from elman.errors import ElmanError
from elman.saved import in_short
from elman.serve.limits import Limits
from elman.serve.refusal import Refusal
from elman.serve.request_options import settings_of
from elman.tasks import Trained
from elman.tasks.task import Task

#: how compressed files begin: gzip, zip, bzip2, xz, zstandard
_COMPRESSED = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")


@dataclass(eq=False)
class Asked:
    """The inputs of a request and its options; leave it, and its uploaded files are removed."""

    task: Task
    limits: Limits
    settings: Mapping[str, Any]
    values: Sequence[Any] = ()
    files: Mapping[Path, str] = field(default_factory=dict)
    folder: Path | None = None

    def read(self, model: Trained) -> list[Any]:
        """The inputs, for the thread of the model; ``Refusal`` for one that is too long."""
        options, _ = model.reading_options({})
        with self.named():
            values = [self.task.as_input(value) for value in self.values]
            for path in self.files:
                if self.task.input_kind == "file":
                    values.append(self.task.as_input(path))
                else:
                    values += self.task.read_inputs(path, options)
        if len(values) > self.limits.max_inputs:
            raise _too_many(len(values), self.limits)
        for number, value in enumerate(values):
            if isinstance(value, Sized) and len(value) > self.limits.max_length:
                raise _too_long(number, len(value), self.limits)
        return values

    def records(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Records with the names that the client gave its files."""
        return [self._renamed(record) for record in records]

    @contextmanager
    def named(self) -> Any:
        """Give errors raised inside the ``with`` block the names that the client gave its files."""
        try:
            yield
        except ElmanError as error:
            raise type(error)(self._renamed(str(error))) from error

    def error(self, error: BaseException) -> BaseException:
        """An error with the names that the client gave its files."""
        return type(error)(self._renamed(str(error))) if isinstance(error, ElmanError) else error

    def _renamed(self, value: Any) -> Any:
        if not self.files:
            return value
        if isinstance(value, str):
            for path, name in self.files.items():
                value = value.replace(str(path), name)
            return value
        if isinstance(value, dict):
            return {key: self._renamed(each) for key, each in value.items()}
        return [self._renamed(each) for each in value] if isinstance(value, list) else value

    def remove_files(self) -> None:
        """Remove the uploaded files."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


async def asked_by(request: Request, task: Task, limits: Limits) -> Asked:
    """What a request asks for; ``Refusal`` says what is wrong with it."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return _from_json(parse_json(await request.body(), "the body"), task, limits)
    if kind == "multipart/form-data":
        return await _from_files(request, task, limits)
    raise Refusal(
        415,
        f'the content type is "{kind}"; send application/json, or files as multipart/form-data.',
    )


def parse_json(text: bytes | str, what: str) -> Any:
    """The value of a JSON text; ``what`` names it in refusals."""
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_each_once)
    except RecursionError:
        raise Refusal(400, f"{what} is nested too deeply; send a flat object.") from None
    except ValueError as error:  # also bytes that are not Unicode, and numbers of 5,000 digits
        told = isinstance(error, json.JSONDecodeError | _NotAllowed)
        reason = str(error) if told else "it is not UTF-8 JSON"
        raise Refusal(400, f"{what} is not valid JSON ({reason}).") from None


class _NotAllowed(ValueError):
    """What Python's reader of JSON would accept."""


def _refuse_constant(name: str) -> Any:
    raise _NotAllowed(f"{name} is not JSON")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; the last of two values of a key would hide the first."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _NotAllowed(f'the key "{in_short(key, 40)}" is there twice')
        found[key] = value
    return found


def object_of(value: Any, known: Sequence[str], what: str) -> dict[str, Any]:
    """The value, if it is an object with these keys only."""
    if not isinstance(value, dict):
        raise Refusal(400, f"{what} must be a JSON object with {' and '.join(known)}.")
    for key in value:
        if key not in known:
            raise Refusal(
                400, f'{what} has the key "{key}"; it may have {" and ".join(known)} only.'
            )
    return value


def _from_json(body: Any, task: Task, limits: Limits) -> Asked:
    body = object_of(body, ("inputs", "options"), "the body")
    default = {"inputs": [None]} if task.input_kind == "nothing" else {}
    inputs = {**default, **body}.get("inputs")
    if task.input_kind == "file":
        raise Refusal(
            415, f"{task.name} takes files; send them as multipart/form-data, such as with curl -F."
        )
    if not isinstance(inputs, list) or not inputs:
        raise Refusal(400, 'the body needs "inputs", a list of at least one input.')
    if len(inputs) > limits.max_inputs:
        raise _too_many(len(inputs), limits)
    for number, value in enumerate(inputs):
        if task.input_kind == "nothing":
            if value is not None:
                raise Refusal(
                    400, f"inputs[{number}] must be null; send a file to continue as multipart."
                )
        elif not isinstance(value, str):
            raise Refusal(400, f"inputs[{number}] must be a string.")
        elif len(value) > limits.max_length:
            raise _too_long(number, len(value), limits)
        elif any("\ud800" <= sign <= "\udfff" for sign in value):
            raise Refusal(
                400, f"inputs[{number}] has half of a surrogate pair; send valid Unicode."
            )
    return Asked(task, limits, _settings(task, body.get("options", {})), inputs)


def _settings(task: Task, options: Any) -> dict[str, Any]:
    if not isinstance(options, dict):
        raise Refusal(400, "options must be a JSON object.")
    return settings_of(task.PredictOptions, options)


async def _from_files(request: Request, task: Task, limits: Limits) -> Asked:
    try:
        form = await request.form(max_files=limits.max_inputs + 1, max_fields=8)
    except HTTPException as error:
        raise Refusal(400, f"the multipart body is invalid ({error.detail}).") from None
    async with _closing(form):
        uploads = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        fields = [(key, value) for key, value in form.multi_items() if isinstance(value, str)]
        for key, _ in fields:
            if key != "options":
                raise Refusal(
                    400, f'the form has the field "{key}"; send files, and options as JSON.'
                )
        if len(fields) > 1:
            raise Refusal(400, "the form has several fields options; send one JSON object.")
        settings = _settings(task, parse_json(fields[0][1], "options") if fields else {})
        if not uploads:
            raise Refusal(400, "the form has no file; send at least one, such as with curl -F.")
        if len(uploads) > limits.max_inputs:
            raise _too_many(len(uploads), limits)
        folder = Path(tempfile.mkdtemp(prefix="elman-"))
        asked = Asked(task, limits, settings, files={}, folder=folder)
        try:
            asked.files = {
                path: upload.filename or path.name
                for number, upload in enumerate(uploads)
                if (path := await _saved(upload, folder / str(number)))
            }
        except BaseException:
            asked.remove_files()
            raise
    return asked


class _closing:  # noqa: N801 - a context manager
    def __init__(self, form: Any) -> None:
        self._form = form

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._form.close()


async def _saved(upload: UploadFile, folder: Path) -> Path:
    """Save a file under a name that only keeps the letters of its suffix."""
    name = upload.filename or ""
    head = await upload.read(8)
    if head.startswith(_COMPRESSED):
        raise Refusal(415, f"{name}: the file is compressed; send what is in it.")
    await upload.seek(0)
    suffix = re.sub(r"[^a-z0-9]", "", name.rpartition(".")[2].lower())[:8] if "." in name else ""
    folder.mkdir()
    path = folder / f"upload.{suffix or 'bin'}"
    with path.open("wb") as stream:
        while block := await upload.read(2**20):
            stream.write(block)
    return path


def _too_many(count: int, limits: Limits) -> Refusal:
    return Refusal(422, f"the request has {count:,} inputs; the limit is {limits.max_inputs:,}.")


def _too_long(number: int, length: int, limits: Limits) -> Refusal:
    return Refusal(
        422, f"inputs[{number}] has a length of {length:,}; the limit is {limits.max_length:,}."
    )
