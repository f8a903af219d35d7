"""Files by URL, through fsspec: ``s3://``, ``gs://``, ``https://``, ``hf://`` and others.

A ``Path`` holds a URL too, but with one slash after the colon (``s3:/bucket/a.jsonl``); ``url_of``
restores it.  Local files are opened directly.  The packages of the object stores (s3fs, gcsfs ...)
are the user's choice; a missing one is named in the error.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from elman.errors import DataError, OptionError
from elman.extras import extra

# a scheme of one letter would be a drive of Windows
_URL = re.compile(r"([a-z][a-z0-9+.-]+):/+", re.IGNORECASE)
_NO_RANGES = "the server does not answer ranges; download the file."


def url_of(path: Path | str) -> str | None:
    """The URL that a path holds; None if it is a local path.

    >>> url_of(Path("s3://bucket/a.jsonl")), url_of(Path("a.jsonl"))
    ('s3://bucket/a.jsonl', None)
    """
    text = str(path)
    found = _URL.match(text)
    if found is None:
        return None
    rest = text[found.end() :]
    return f"{found[1]}:///{rest}" if found[1] == "file" else f"{found[1]}://{rest}"


def shown(path: Path) -> str:
    """The path or the URL, for messages."""
    return url_of(path) or str(path)


@contextmanager
def reported(url: str) -> Iterator[None]:
    """Turn what fsspec and the package of a store raise into ``DataError``."""
    try:
        yield
    except (DataError, OptionError):
        raise
    except ImportError as error:
        why = " ".join(str(error).split())
        raise OptionError(f"{url}: a package for this URL is missing ({why}).") from error
    except Exception as error:  # each store has exceptions of its own
        reason = _server_fault(error) if url.lower().startswith("http") else ""
        if reason:
            raise DataError(f"{url}: {reason}") from error
        if isinstance(error, FileNotFoundError):
            raise DataError(f"{url}: there is no such file; check the address.") from error
        why = " ".join(f"{type(error).__name__}: {error}".split())[:200].rstrip(".")
        raise DataError(
            f"{url}: this cannot be read ({why}); check the address, the network and your access."
        ) from error


def _server_fault(error: Exception) -> str:
    """What is wrong with an http server; "" if nothing is.

    fsspec raises ``FileNotFoundError`` whatever happens to the first request; the cause tells more.
    """
    import aiohttp

    for each in (error, error.__cause__):
        if isinstance(each, aiohttp.ClientResponseError) and each.status not in (404, 410):
            hint = "your access" if each.status in (401, 403) else "the address, or try again later"
            return f"the server answered {each.status}; check {hint}."
        if isinstance(each, aiohttp.ClientConnectionError | TimeoutError):
            why = " ".join(str(each).split())[:200].rstrip(".") or "it takes too long"
            return f"the server does not answer ({why}); check the address and the network."
        if isinstance(each, ValueError) and "range requests" in str(each):
            return _NO_RANGES
    return ""


def filesystem(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path in it."""
    with extra("remote", "reading URLs"):
        import fsspec
    with reported(url):
        found: tuple[Any, str] = fsspec.core.url_to_fs(url)
    return found


def size_of(path: Path) -> int:
    """The size of a file in bytes."""
    url = url_of(path)
    if url is None:
        return path.stat().st_size
    system, place = filesystem(url)
    with reported(url):
        size = system.size(place)
    if size is None:
        raise DataError(f"{url}: the server does not tell the size of the file; download it first.")
    return int(size)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file or URL, opened for reading."""
    url = url_of(path)
    if url is None:
        with path.open("rb") as file:
            yield file
        return
    system, place = filesystem(url)
    with reported(url), system.open(place, "rb", block_size=2**22) as remote:
        # files of fsspec have no readline with a size
        yield cast(BinaryIO, io.BufferedReader(remote, 2**16))


def read_range(path: Path, start: int, end: int) -> bytes:
    """The bytes of a file or URL from ``start`` to ``end``, which is not beyond its end.

    ``DataError`` for a server that answers with the whole file instead, or with less.
    """
    url = url_of(path)
    if url is None:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(end - start)
    system, place = filesystem(url)
    with reported(url):
        content: bytes = system.cat_file(place, start=start, end=end)
    size = end - start
    if len(content) < size:
        raise DataError(
            f"{url}: the server answered {len(content):,} of {size:,} bytes; the file may have "
            "changed. Begin anew."
        )
    if len(content) > size and start > 0:
        raise DataError(f"{url}: {_NO_RANGES}")
    return content[:size]


def expanded(path: Path) -> list[Path]:
    """The files that a path with ``*``, ``?`` or ``[`` names, sorted; itself without these.

    ``DataError`` if there are none.
    """
    text, url = str(path), url_of(path)
    if not any(sign in text for sign in "*?["):
        return [path]
    if url is None:
        anchor = Path(path.anchor)
        pattern = str(path.relative_to(anchor)) if path.anchor else text
        found = sorted(each for each in anchor.glob(pattern) if each.is_file())
    else:
        system, place = filesystem(url)
        with reported(url):
            names = sorted(system.glob(place))
        found = [Path(system.unstrip_protocol(name)) for name in names]
    if not found:
        raise DataError(f"{shown(path)}: no file has such a name; check the pattern.")
    return found
