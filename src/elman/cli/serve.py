"""``elman serve``: trained models over HTTP and WebSocket."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elman.cli.flags import flags_of, given, with_flags
from elman.cli.shared import shipped_models
from elman.errors import OptionError

if TYPE_CHECKING:
    from elman.serve import Limits


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
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the page in this machine's browser.")
    ] = False,
    **limits: Any,
) -> None:
    """Serve trained models over HTTP and WebSocket until interrupted, with a page at /.

    POST /v1/{task}/predict answers as elman predict --json does; GET /openapi.json describes all.
    """
    from elman.options import with_settings
    from elman.serve import Limits

    wanted = with_settings(Limits(), given(limits))
    if token is not None and not token.strip():
        raise OptionError("--token is empty; give a secret of at least one character.")
    start(runs or [], wanted, host, port, token, open_page=open_page)


def start(
    runs: Sequence[str], limits: Limits, host: str, port: int, token: str | None, *, open_page: bool
) -> None:
    """Serve until interrupted."""
    from elman.extras import extra

    with extra("serve", "elman serve"):
        import latex2mathml  # noqa: F401
        import python_multipart  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
        import websockets  # noqa: F401
    from elman.serve.server import listen
    from elman.serve.service import Service

    service = Service(runs, limits=limits, token=token, host=host)
    listen(service, host, port, token=token, open_page=open_page)
