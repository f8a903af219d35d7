"""What is checked before a request is read: host, origin, token and the size of its body."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from elman.serve.page import DOCUMENTS
from elman.serve.refusal import Refusal, response

#: answered without a token: for what watches the service, and the page, which asks for the token
_OPEN = ("/healthz", *DOCUMENTS)
_OPEN_FOLDER = "/page/"
#: what a browser on this machine may call a service that only this machine can reach
_LOCAL = ("localhost", "127.0.0.1", "::1")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on an address.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """ASGI middleware that refuses requests without reading them.

    ``host`` is the address that the service listens on.  If only this machine can reach it and
    there is no token, requests must be addressed to this machine by name: the owner of a site can
    let its name stand for 127.0.0.1, and its page would then pass for one of this service.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, host: str, max_bytes: int) -> None:
        self._app, self._token, self._max_bytes = app, token, max_bytes
        local = token is None and is_loopback(host)
        self._hosts = {*_LOCAL, host.lower()} if local else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
        except Refusal as refusal:
            if scope["type"] == "http":
                await response(refusal)(scope, receive, send)
            else:
                await WebSocket(scope, receive, send).send_denial_response(response(refusal))
            return
        await self._app(scope, self._counted(receive), send)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if self._hosts is not None and _name_of(headers.get("host", "")) not in self._hosts:
            raise Refusal(
                403,
                f'the host "{headers.get("host", "")}" is not this machine; use localhost, '
                "127.0.0.1 or [::1], or start the service with --token.",
            )
        origin = headers.get("origin")
        # a page of another site may not use a service that only this machine can reach
        if origin is not None and urlsplit(origin).netloc != headers.get("host", ""):
            raise Refusal(403, f"the origin {origin} is not that of this service.")
        path = scope["path"]
        is_open = path in _OPEN or path.startswith(_OPEN_FOLDER)
        if self._token is not None and not is_open:
            given = _token_of(headers, scope)
            if given is None or not hmac.compare_digest(given, self._token.encode()):
                raise Refusal(
                    401,
                    "the token is missing or wrong; send the header Authorization: Bearer TOKEN.",
                    {"WWW-Authenticate": "Bearer"},
                )
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._max_bytes:
            raise self._too_large()

    def _counted(self, receive: Receive) -> Receive:
        count = 0

        async def counted() -> Message:
            nonlocal count
            message = await receive()
            if message["type"] == "http.request":
                count += len(message.get("body", b""))
                if count > self._max_bytes:
                    raise self._too_large()
            return message

        return counted

    def _too_large(self) -> Refusal:
        return Refusal(
            413, f"the body is larger than {self._max_bytes / 1e6:g} MB, the limit; send less."
        )


def _name_of(host: str) -> str | None:
    """The host without its port and brackets; None if it is not valid."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _token_of(headers: Mapping[str, str], scope: Scope) -> bytes | None:
    """The token of a request; for a WebSocket, also in its address: browsers send no header."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip().encode("latin-1", "replace")
    if scope["type"] == "websocket":
        found = parse_qs(scope["query_string"].decode("latin-1")).get("token")
        return found[0].encode() if found else None
    return None
