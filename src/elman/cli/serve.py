"""``elman serve``: trained models over HTTP and WebSocket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from elman.cli.flags import flags_of, given, with_flags
from elman.cli.shared import shipped_models
from elman.errors import OptionError


def serve_command() -> Callable[..., None]:
    """``elman serve`` with a flag for each limit."""
    from elman.serve import Limits

    return with_flags(serve, flags_of(Limits, vars(Limits()), "Limits"))


def serve(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN",
            help="Run folders or shipped models. Default: all shipped models.",
            autocompletion=shipped_models,
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine's are open to all.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0: any free one.", min=0, max=65535)] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="ELMAN_TOKEN",
            help="Answer only requests with the header Authorization: Bearer TOKEN.",
        ),
    ] = None,
    **limits: Any,
) -> None:
    """Serve trained models over HTTP and WebSocket until interrupted.

    POST /v1/{task}/predict answers as elman predict --json does; GET /openapi.json describes all.
    """
    from elman.extras import extra
    from elman.options import with_settings
    from elman.serve import Limits

    wanted = with_settings(Limits(), given(limits))
    if token is not None and not token.strip():
        raise OptionError("--token is empty; give a secret of at least one character.")
    with extra("serve", "elman serve"):
        import python_multipart  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
        import websockets  # noqa: F401
    from elman.serve.server import listen
    from elman.serve.service import Service

    listen(Service(runs or [], limits=wanted, token=token), host, port, token=token is not None)
