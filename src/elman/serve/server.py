"""Listens on a port, and stops on SIGTERM or SIGINT after what runs has been answered."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from typing import Any

import uvicorn

from elman.errors import OptionError
from elman.serve.service import Service

#: bytes of a message of a stream
_LONGEST_MESSAGE = 4 * 2**20


def listen(service: Service, host: str, port: int, *, token: bool) -> None:
    """Serve until a signal comes; ``OptionError`` if the address cannot be listened on."""
    listener = _socket(host, port)
    name = f"[{host}]" if ":" in host else host
    names = ", ".join([each.name for each in service.served.models])
    place = f"http://{name}:{listener.getsockname()[1]}"
    if not token and not _is_loopback(host):
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
        ws_max_size=_LONGEST_MESSAGE,
        ws_per_message_deflate=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=int(service.limits.max_seconds) + 1,
        lifespan="off",
    )
    print(f"elman: serving {names} on {place}", file=sys.stderr, flush=True)
    _Server(config, service).run([listener])
    service.served.stop()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nothing new, end the input of streams, then wait for requests."""
        for each in self.servers:
            each.close()
        await self._service.stop()
        await super().shutdown(sockets)


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


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
