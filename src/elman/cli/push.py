"""``elman push``: upload a run to the Hugging Face Hub."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from elman.cli.shared import Json, Run


def push(
    run: Run,
    repository: Annotated[str, typer.Argument(metavar="REPO", help="USER/MODEL on the Hub.")],
    private: Annotated[
        bool, typer.Option("--private", help="Create the repository as a private one.")
    ] = False,
    licence: Annotated[
        str, typer.Option(help="The licence of the weights, such as apache-2.0, for the card.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Upload a run to the Hugging Face Hub.

    The model can then be used as hf://USER/MODEL in place of a run.
    """
    from elman.tasks import load
    from elman.tasks.hub import push as upload

    trained = load(run)  # a run that cannot be loaded is not uploaded
    address = upload(trained.folder, trained.task, repository, private=private, licence=licence)
    if as_json:
        print(json.dumps({"repository": repository, "address": address}))
    else:
        print(f"uploaded {run} to {address}; use it as hf://{repository}")
