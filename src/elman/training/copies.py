"""Copies of a run folder at a URL, such as ``s3://bucket/run``, from which training can resume.

The files go to the store one after another, the checkpoint last: a checkpoint there has all that it
needs, even if a copy was cut off.  fsspec reads and writes; the package of the store (s3fs, gcsfs)
is the user's choice.
"""

from __future__ import annotations

from typing import Any

from elman.errors import RunError
from elman.extras import extra
from elman.files import write_whole
from elman.training.run_folder import FILES, RunFolder

_CHECKPOINT = "resume/checkpoint.safetensors"


class RunCopy:
    """The copy of a run at ``url``, a URL or another folder.

    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as place:
    ...     run = RunFolder.create(Path(place) / "run", {"job": "ner"})
    ...     RunCopy(f"{place}/copy").save(run)
    ...     RunCopy(f"{place}/copy").restore(RunFolder(Path(place) / "again"))
    ...     RunFolder.open(Path(place) / "again").settings()["job"]
    True
    'ner'
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._sent: dict[str, tuple[int, int]] = {}

    def _system(self) -> tuple[Any, str]:
        with extra("remote", "copy_to"):
            import fsspec
        system, place = fsspec.core.url_to_fs(self.url)
        return system, place

    def save(self, run: RunFolder) -> None:
        """Copy the files that have changed since the last call; ``RunError`` if one cannot be."""
        try:
            system, place = self._system()
            for name in (*FILES, _CHECKPOINT):
                path = run.path / name
                if not path.is_file():
                    continue
                status = path.stat()
                version = status.st_mtime_ns, status.st_size
                if self._sent.get(name) != version:
                    target = f"{place}/{name}"
                    system.makedirs(target.rpartition("/")[0], exist_ok=True)
                    # a reader never sees half a file: stores write whole objects, others rename
                    part = target if _is_store(system) else f"{target}.part"
                    system.pipe_file(part, path.read_bytes())
                    if part != target:
                        system.mv(part, target)
                    self._sent[name] = version
        except (RunError, KeyboardInterrupt):
            raise
        except Exception as error:  # each store has exceptions of its own
            raise RunError(
                f"copy_to: {self.url}: the run could not be copied there ({_why(error)}); check "
                "the address and your access."
            ) from error

    def restore(self, run: RunFolder) -> bool:
        """Fetch the run into an empty folder; False if there is none at the URL."""
        try:
            system, place = self._system()
            if not system.exists(f"{place}/run.toml"):
                return False
            for name in (_CHECKPOINT, *[each for each in FILES if each != "run.toml"], "run.toml"):
                if system.exists(f"{place}/{name}"):
                    write_whole(run.path / name, system.cat_file(f"{place}/{name}"))
        except (RunError, KeyboardInterrupt):
            raise
        except Exception as error:
            raise RunError(
                f"copy_to: {self.url}: the run could not be fetched ({_why(error)}); check the "
                "address and your access."
            ) from error
        return True


def _is_store(system: Any) -> bool:
    """Whether the file system writes whole objects only."""
    return getattr(system, "protocol", "") not in ("file", ("file", "local"))


def _why(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200].rstrip(".")
