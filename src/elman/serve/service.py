"""The service as an ASGI application: its routes, and how a request becomes an answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from elman.serve.cells import Cells
from elman.serve.guard import Guard
from elman.serve.limits import Limits
from elman.serve.metrics import Metrics
from elman.serve.openapi import description
from elman.serve.page import Page
from elman.serve.refusal import Json, Refusal, refusal_of, response
from elman.serve.requests import Asked, asked_by
from elman.serve.served import ServedModel, served_models
from elman.serve.streams import Streams, cannot_stream
from elman.serve.worker import Job, Outcome

Handler = Callable[[Request], Awaitable[Response]]


class Service:
    """Models behind HTTP and WebSocket; ``app`` is the ASGI application.

    ``runs`` are run folders or names of shipped models; without any, all shipped ones are served.
    ``host`` is the address on which the application will listen.
    Raises ``RunError`` for a run that does not exist.

    >>> service = Service(["ner"])
    >>> [each.name for each in service.served.models]
    ['ner']
    """

    def __init__(
        self,
        runs: Sequence[str] = (),
        *,
        limits: Limits | None = None,
        token: str | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.limits = limits or Limits()
        self.metrics = Metrics()
        self.served = served_models(runs, self.limits, self.metrics)
        self.streams = Streams(self.limits, self.metrics)
        self.cells = Cells(self.limits, self.metrics)
        self.stopping = False
        self._running = 0
        self._description = description(self.served, self.limits, token=token is not None)
        self.app = Starlette(
            routes=[
                Route("/healthz", self._health),
                Route("/v1", self._models),
                Route("/metrics", self._metrics),
                Route("/openapi.json", self._openapi),
                Route("/v1/{task}/predict", self._predict, methods=["POST"]),
                Route("/v1/{task}/stream", self._no_stream),
                WebSocketRoute("/v1/{task}/stream", self._stream),
                *self.cells.routes,
                *Page(self.served).routes,
            ],
            middleware=[Middleware(Guard, token=token, host=host, max_bytes=self.limits.max_bytes)],
            exception_handlers={HTTPException: _refuse_path},
        )
        self.app.router.redirect_slashes = False

    async def stop(self, seconds: float = 10.0) -> None:
        """Refuse what is new, and let streams say their last words."""
        self.stopping = True
        await self.streams.finish(seconds)

    def close(self) -> None:
        """End the threads of the models after what waits, and experiments with cells at once."""
        self.served.stop()
        self.cells.laboratory.stop()

    async def _health(self, request: Request) -> Response:
        return Json({"status": "ok"})

    async def _models(self, request: Request) -> Response:
        return Json({"models": [each.record() for each in self.served.models]})

    async def _openapi(self, request: Request) -> Response:
        return Json(self._description)

    async def _metrics(self, request: Request) -> Response:
        text = self.metrics.text(
            running=self._running,
            streams=len(self.streams),
            loaded=[each.name for each in self.served.models if each.worker.loaded],
        )
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    async def _predict(self, request: Request) -> Response:
        start = time.monotonic()
        name, answer = "", Response()
        self._running += 1
        try:
            model = self._model(request)
            name = model.name
            async with asyncio.timeout(self.limits.max_seconds):
                answer = Json({"predictions": await self._answer(request, model)})
        except TimeoutError:
            most = self.limits.max_seconds
            sentence = f"the request took {most:g} seconds, the limit; send less at a time."
            answer = response(Refusal(408, sentence))
        except ClientDisconnect:  # nobody reads this
            answer = response(Refusal(400, "the body broke off."))
        except Exception as error:
            answer = response(refusal_of(error))
        finally:
            self._running -= 1
        self.metrics.request(name, answer.status_code, time.monotonic() - start)
        return answer

    def _model(self, request: Request | WebSocket) -> ServedModel:
        if self.stopping:
            raise Refusal(503, "the service stops; send the request again later.")
        if self._running > self.limits.max_waiting:
            raise Refusal(
                429,
                f"{self.limits.max_waiting} requests wait, the limit; try again later.",
                {"Retry-After": "1"},
            )
        for key in request.query_params:
            if key not in ("model", "token"):
                raise Refusal(400, f'the address has the parameter "{key}"; it may have model.')
        return self.served.find(request.path_params["task"], request.query_params.get("model"))

    async def _answer(self, request: Request, model: ServedModel) -> list[dict[str, Any]]:
        asked = await asked_by(request, model.task, self.limits)
        try:
            return asked.records(await _outcome(asked, model))
        except Exception as error:
            raise asked.error(error) from error
        finally:
            asked.remove_files()

    async def _no_stream(self, request: Request) -> Response:
        """For a client that does not ask for a WebSocket."""
        try:
            task = self._model(request).task
            if not task.live:
                raise cannot_stream(task)
            sentence = f"{request.url.path} is a WebSocket; connect to it with a client for these."
            raise Refusal(426, sentence, {"Upgrade": "websocket", "Connection": "Upgrade"})
        except Refusal as refusal:
            return response(refusal)

    async def _stream(self, socket: WebSocket) -> None:
        try:
            await self.streams.run(socket, self._model(socket))
        except Refusal as refusal:
            await socket.send_denial_response(response(refusal))


async def _outcome(asked: Asked, model: ServedModel) -> list[dict[str, Any]]:
    """The records of the model's worker; the job is abandoned if this is cancelled."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[list[dict[str, Any]]] = loop.create_future()

    def settle(outcome: Outcome) -> None:
        if future.done():
            return
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    def done(outcome: Outcome) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, outcome)

    job = Job(asked.read, asked.settings, done)
    model.worker.ask(job)
    try:
        return await future
    finally:
        if not future.done() or future.cancelled():
            model.worker.abandon(job)


async def _refuse_path(request: Request, error: Exception) -> Response:
    """A sentence for an unknown path or method."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        sentence = f"{request.url.path} does not answer {request.method}; use {allowed}."
    elif error.status_code == 404:
        sentence = f"there is no path {request.url.path}; see /openapi.json."
    else:
        sentence = f"the request is invalid ({error.detail})."
    return response(Refusal(error.status_code, sentence, error.headers))
