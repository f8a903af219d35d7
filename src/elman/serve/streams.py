"""Streams by WebSocket: input arrives in binary messages, records leave as JSON.

The first message is text, ``{"options": {...}}``; binary messages follow, and the text
``{"end": true}`` ends the input.  The service sends a record per message, ``{"type": "end"}`` last,
and closes.  If something is wrong, it sends ``{"error": "..."}`` and closes with the code 4000 plus
the HTTP status.  Each stream has a thread, on which the task pulls pieces and yields records.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from elman.serve.limits import Limits
from elman.serve.metrics import Metrics
from elman.serve.refusal import Refusal, refusal_of, to_json
from elman.serve.request_options import settings_of
from elman.serve.requests import object_of, parse_json
from elman.serve.served import ServedModel
from elman.tasks.task import Task

#: messages that wait for the model; then the client must wait
_AHEAD = 32


def cannot_stream(task: Task) -> Refusal:
    """For a task that answers whole inputs only."""
    return Refusal(404, f"{task.name} cannot stream; POST whole inputs.")


class Streams:
    """The streams that are open."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self._limits, self._metrics = limits, metrics
        self._open: set[_Stream] = set()
        self._threads = ThreadPoolExecutor(limits.max_streams, "elman-stream")

    def __len__(self) -> int:
        return len(self._open)

    async def run(self, socket: WebSocket, model: ServedModel) -> None:
        """Answer one stream, from its acceptance to its end."""
        if not model.task.live:
            raise cannot_stream(model.task)
        if len(self._open) >= self._limits.max_streams:
            raise Refusal(
                429,
                f"{len(self._open)} streams are open, the limit; try again later.",
                {"Retry-After": "5"},
            )
        stream = _Stream(socket, model, self._limits, self._threads)
        self._open.add(stream)
        end = "disconnected"
        try:
            await socket.accept()
            end = await stream.run()
        except WebSocketDisconnect:
            pass
        finally:
            self._open.discard(stream)
            self._metrics.stream(model.name, end)

    async def finish(self, seconds: float) -> None:
        """End the input of all streams, and wait for their last records."""
        for stream in self._open:
            stream.finish()
        until = asyncio.get_running_loop().time() + seconds
        while self._open and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.02)


def _seen(message: asyncio.Future[str | bytes]) -> None:
    """Take note of how waiting for a message ended, also where nobody waits any more."""
    if not message.cancelled():
        message.exception()


class _Gone(Exception):
    """Nobody reads the records any more."""


class _Stream:
    def __init__(
        self, socket: WebSocket, model: ServedModel, limits: Limits, threads: ThreadPoolExecutor
    ) -> None:
        self._socket, self._model, self._limits = socket, model, limits
        self._threads = threads
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[bytes | BaseException | None] = asyncio.Queue(_AHEAD)
        self._ending = asyncio.Event()
        self._gone = False
        self._stopped = False

    def finish(self) -> None:
        """End the input, for a service that stops."""
        self._stopped = True
        self._ending.set()

    async def run(self) -> str:
        """Receive pieces and send records until the end; how it ended."""
        try:
            settings = await self._settings()
        except Refusal as refusal:
            await self._close(refusal)
            return "refused"
        receiving = asyncio.create_task(self._receive())
        try:
            await asyncio.wait_for(
                self._loop.run_in_executor(self._threads, self._answer, settings),
                self._limits.max_stream_seconds,
            )
        except (_Gone, WebSocketDisconnect, CancelledError):
            return "disconnected"
        except TimeoutError:
            self._gone = True
            most = self._limits.max_stream_seconds
            await self._close(Refusal(408, f"the stream lasted {most:g} seconds, the limit."))
            return "refused"
        except Exception as error:
            await self._close(refusal_of(error))
            return "refused"
        finally:
            self._gone = True
            receiving.cancel()
        await self._send({"type": "end"})
        await self._socket.close(1012 if self._stopped else 1000)
        return "finished"

    async def _settings(self) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self._limits.max_idle_seconds):
                message = await self._message()
        except TimeoutError:
            raise self._silent() from None
        if not isinstance(message, str):
            raise Refusal(400, 'the first message must be text, such as {"options": {}}.')
        first = object_of(parse_json(message, "the first message"), ("options",), "the message")
        options = first.get("options", {})
        if not isinstance(options, dict):
            raise Refusal(400, "options must be a JSON object.")
        return settings_of(self._model.task.PredictOptions, options)

    async def _message(self) -> str | bytes:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        text: str | None = message.get("text")
        found = bytes(message.get("bytes") or b"") if text is None else text
        if len(found) > self._limits.max_message_bytes:
            raise Refusal(
                413,
                f"a message has {len(found) / 1e6:.3g} MB, and the limit is "
                f"{self._limits.max_message_megabytes:g} MB; cut the input into more messages.",
            )
        return found

    async def _receive(self) -> None:
        """Put the client's pieces into the queue, then None or what went wrong."""
        try:
            while not self._ending.is_set():
                piece = await self._next_piece()
                if piece is None:
                    break
                await self._pieces.put(piece)
            await self._pieces.put(None)
            while True:  # notices a client that leaves
                await self._message()
        except WebSocketDisconnect:
            self._gone = True
            await self._pieces.put(_Gone())
        except Refusal as refusal:
            await self._pieces.put(refusal)

    async def _next_piece(self) -> bytes | None:
        """The next piece; None at the end of the input."""
        message = asyncio.ensure_future(self._message())
        message.add_done_callback(_seen)
        ending = asyncio.ensure_future(self._ending.wait())
        try:
            done, _ = await asyncio.wait(
                {message, ending},
                timeout=self._limits.max_idle_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            ending.cancel()
            if not message.done():
                message.cancel()
        if not done:
            raise self._silent()
        if message not in done:
            return None
        piece = message.result()
        if isinstance(piece, bytes):
            return piece
        last = object_of(parse_json(piece, "the message"), ("end",), "a message of text")
        if last != {"end": True}:
            raise Refusal(400, 'a message of text must be {"end": true}; send input as binary.')
        return None

    def _silent(self) -> Refusal:
        most = self._limits.max_idle_seconds
        return Refusal(408, f"no message came for {most:g} seconds, the limit.")

    # ---- on the thread of the stream

    def _answer(self, settings: dict[str, Any]) -> None:
        model = self._model.worker.model()
        for record in model.stream_records(self._arriving(), **settings):
            self._wait(self._send(record))

    def _arriving(self) -> Iterator[bytes]:
        while True:
            piece = self._wait(self._pieces.get())
            if piece is None:
                return
            if isinstance(piece, BaseException):
                raise piece
            if piece:
                yield piece

    def _wait(self, awaitable: Any) -> Any:
        """The result of what runs in the event loop; ``_Gone`` if nobody reads any more."""
        if self._gone:
            awaitable.close()
            raise _Gone
        waiting: Future[Any] = asyncio.run_coroutine_threadsafe(awaitable, self._loop)
        while True:
            try:
                return waiting.result(timeout=1.0)
            except TimeoutError:
                if waiting.done():
                    raise
                if self._gone:
                    waiting.cancel()
                    raise _Gone from None

    async def _send(self, record: dict[str, Any]) -> None:
        try:
            await self._socket.send_text(to_json(record))
        except (RuntimeError, WebSocketDisconnect) as error:  # closed meanwhile
            raise _Gone from error

    async def _close(self, refusal: Refusal) -> None:
        try:
            await self._send({"error": refusal.sentence})
            await self._socket.close(4000 + refusal.status)
        except (_Gone, RuntimeError, WebSocketDisconnect):
            return
