"""Listens on a port, and stops on SIGTERM or SIGINT after what runs has been answered."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import webbrowser
from threading import Thread
from typing import Any
from urllib.parse import urlencode

import uvicorn

from elman.errors import OptionError
from elman.serve.guard import is_loopback
from elman.serve.service import Service

#: a message so many times as long as the limit is not read to its end, and gets no sentence
_FAR_TOO_LONG = 8


def listen(
    service: Service, host: str, port: int, *, token: str | None, open_page: bool = False
) -> None:
    """Serve until a signal comes; ``OptionError`` if the address cannot be listened on.

    With ``open_page``, the page is opened in this machine's browser.
    """
    listener = _socket(host, port)
    name = f"[{host}]" if ":" in host else host
    names = ", ".join([each.name for each in service.served.models])
    place = f"http://{name}:{listener.getsockname()[1]}"
    if token is None and not is_loopback(host):
        print(
            f"note: {host} can be reached from other machines, and there is no token; anyone there "
            "can use the models. Set one with --token.",
            file=sys.stderr,
        )
    config = uvicorn.Config(
        service.app,
        log_level="warning",
        access_log=False,
        server_header=False,
        ws_max_size=_FAR_TOO_LONG * service.limits.max_message_bytes,
        ws_per_message_deflate=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=int(service.limits.max_seconds) + 1,
        lifespan="off",
    )
    print(f"elman: serving {names} on {place}", file=sys.stderr, flush=True)
    page = _page(listener, token) if open_page else ""
    _Server(config, service, page).run([listener])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, service: Service, page: str) -> None:
        super().__init__(config)
        self._service, self._page = service, page

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the page as soon as it can be answered."""
        await super().startup(sockets)
        if self._page:
            Thread(target=webbrowser.open, args=(self._page,), daemon=True).start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nothing new, end the input of streams, wait for requests, and end the service."""
        for each in self.servers:
            each.close()
        await self._service.stop()
        await super().shutdown(sockets)
        # here, because uvicorn raises the signal again before ``run`` returns
        await asyncio.to_thread(self._service.close)


def _page(listener: socket.socket, token: str | None) -> str:
    """The address of the page for a browser on this machine; what follows # is not sent."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"
    place = f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
    return place if token is None else f"{place}#{urlencode({'token': token})}"


def _socket(host: str, port: int) -> socket.socket:
    family: Any = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if number and number > 0 else str(error)
        raise OptionError(
            f"cannot listen on {host}, port {port} ({reason}); choose another with --host or "
            "--port."
        ) from error
