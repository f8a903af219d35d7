"""The page of the service: files of this package, read when the service starts.

Nothing comes from elsewhere, and no request names a file: the paths are those that were found in
``page_files``, and the samples are those of the tasks.
"""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from elman.serve.refusal import Refusal, response
from elman.serve.served import Served, samples_of

_FOLDER = Path(__file__).parent / "page_files"
#: the documents of the page by their addresses
DOCUMENTS = {"/": "index.html", "/cell": "cell.html"}
#: what the browser may load and run: only what this service sends, and no script in a document
_POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",
}
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


class Page:
    """The routes of the page."""

    def __init__(self, served: Served) -> None:
        self._served = served
        contents = {
            f"/page/{path.relative_to(_FOLDER).as_posix()}": path
            for path in sorted(_FOLDER.rglob("*"))
            if path.suffix in _TYPES
        }
        addresses = {**contents, **{at: _FOLDER / name for at, name in DOCUMENTS.items()}}
        self.routes = [Route(at, _sender(path)) for at, path in addresses.items()]
        self.routes.append(Route("/page/samples/{task}/{number:int}", self._sample))

    async def _sample(self, request: Request) -> Response:
        task = self._served.tasks.get(request.path_params["task"])
        found = [] if task is None else samples_of(task)
        number = request.path_params["number"]
        if number >= len(found):
            return response(Refusal(404, "there is no such sample; GET /v1 lists them."))
        kind = mimetypes.guess_type(found[number].name)[0] or "application/octet-stream"
        return Response(found[number].read_bytes(), media_type=kind, headers=_HEADERS)


def _sender(path: Path) -> Any:
    content = path.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = {**_HEADERS, "etag": tag}

    async def send(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=_TYPES[path.suffix], headers=headers)

    return send
