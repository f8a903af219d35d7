"""Runs on the Hugging Face Hub: ``hf://user/model`` as a run, and ``push`` of a run folder.

The files on the Hub are those of the run folder; ``README.md`` is the card with the Hub's metadata.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from elman.errors import ElmanError, RunError
from elman.extras import extra
from elman.saved import in_short
from elman.tasks.task import Task
from elman.training.run_folder import FILES, RunFolder

PREFIX = "hf://"


def is_on_hub(run: str | Path) -> bool:
    """Whether the name is that of a repository on the Hub."""
    return str(run).startswith(PREFIX)


def download(run: str) -> Path:
    """Download the files of ``hf://user/model`` or ``hf://user/model@revision``.

    Returns the folder in the Hub's cache.  Raises ``RunError`` if the Hub cannot be reached and the
    files are not in the cache, or if it refuses.
    """
    repository, _, revision = run.removeprefix(PREFIX).partition("@")
    if repository.count("/") != 1:
        raise RunError(f"{run}: a model on the Hub is hf://USER/MODEL; give both names.")
    with extra("hub", run):
        from huggingface_hub import snapshot_download
    with _sentence(run, "download"):
        found = snapshot_download(
            repository, revision=revision or None, allow_patterns=[*FILES], repo_type="model"
        )
    return Path(found)


def push(
    run: RunFolder, task: Task, repository: str, *, private: bool = False, licence: str = ""
) -> str:
    """Upload the files of a run to a repository, in one commit; create the repository if needed.

    ``licence`` is one of the Hub's identifiers, such as "apache-2.0".  Returns the address of the
    repository.  Raises ``RunError`` if the run is incomplete, or the Hub cannot be reached or
    refuses.
    """
    run.tensors()  # a damaged model is not uploaded
    if repository.count("/") != 1:
        raise RunError(f"{repository}: a repository on the Hub is USER/MODEL; give both names.")
    files: dict[str, Path | bytes] = {
        name: run.path / name for name in FILES if (run.path / name).exists()
    }
    files["README.md"] = card_for_hub(run, task, repository, licence).encode()
    with extra("hub", "elman push"):
        from huggingface_hub import CommitOperationAdd, HfApi
    with _sentence(repository, "upload"):
        api = HfApi()
        address = api.create_repo(repository, private=private, exist_ok=True, repo_type="model")
        operations = [CommitOperationAdd(name, content) for name, content in files.items()]
        api.create_commit(
            repository, operations, commit_message="Upload a run of Elman", repo_type="model"
        )
    return str(address)


def card_for_hub(run: RunFolder, task: Task, repository: str, licence: str) -> str:
    """The card with the metadata that the Hub reads, and how to use the model."""
    options: dict[str, Any] = run.settings().get("options", {})
    header = ["---", "library_name: elman"]
    if licence:
        header.append(f"license: {licence}")
    if task.pipeline_tag:
        header.append(f"pipeline_tag: {task.pipeline_tag}")
    tags = ["elman", "recurrent", task.name, *([options["cell"]] if "cell" in options else [])]
    header += ["tags:", *[f"- {tag}" for tag in tags], "---", ""]
    example = {"text": '"..."', "file": "FILE", "nothing": ""}[task.input_kind]
    usage = [
        "",
        "## Usage",
        "",
        "```console",
        "$ pip install 'elman[all]'",
        f"$ elman predict hf://{repository} {example}".rstrip(),
        "```",
        "",
    ]
    return "\n".join([*header, run.read_text("card.md").rstrip("\n"), *usage])


@contextmanager
def _sentence(name: str, verb: str) -> Iterator[None]:
    """Turn every exception of the Hub's library into a ``RunError``."""
    try:
        yield
    except ElmanError:
        raise
    except Exception as error:  # its exceptions have no class in common
        kind, status = type(error).__name__, getattr(error, "response", None)
        code = getattr(status, "status_code", None)
        if code in (401, 403) or "GatedRepo" in kind:
            reason = "the Hub denies access; run `hf auth login`, or check the name"
        elif code == 404 or ("NotFound" in kind and "LocalEntry" not in kind):
            reason = "the Hub has no such model or revision; check the name"
        elif "Validation" in kind:
            reason = f"the Hub does not accept this name ({in_short(str(error), 120)})"
        elif code is not None:
            reason = f"the Hub answered {code} ({in_short(str(error), 120)}); try again later"
        else:
            reason = f"the Hub cannot be reached ({kind}); check the connection"
        raise RunError(f"{name}: cannot {verb}: {reason}.") from error
