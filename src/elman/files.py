"""Files are written whole or not at all.

Whatever Elman saves goes to a temporary name in the same folder first and takes its own name
only when every byte is on the disk, so that a kill, a crash or a full disk leaves the old file
as it was.  What the bytes mean is not decided here: see ``training/run_folder.py``.
"""

import os
import tempfile
from pathlib import Path

from elman.errors import RunError


def write_whole(path: Path, content: bytes | str) -> None:
    """Write ``content`` to ``path`` (text as UTF-8), or leave ``path`` exactly as it was.

    Raises ``RunError`` when the disk is full or the folder cannot be written to.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "card.md"
    ...     write_whole(path, "first")
    ...     write_whole(path, "second")
    ...     path.read_text()
    'second'
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(
            prefix=f".{path.name}.", suffix=".part", dir=path.parent
        )
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        reason = error.strerror or str(error)
        raise RunError(
            f"{path}: could not be written ({reason}); what was saved there before is untouched. "
            "Free some space or choose another folder."
        ) from error
