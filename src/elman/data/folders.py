"""The data files of a folder, without hidden files and the files of training runs.

A run may be written into the folder that it trains on (``--train . --out run``).  Its files are not
data, neither for this training nor for the next one.
"""

from pathlib import Path

from elman.errors import DataError

#: a folder inside the data that holds one of these is a run: see ``training/run_folder.py``
RUN_FILES = ("lock.json", "cell.json")


def entries(folder: Path) -> list[Path]:
    """The entries of a folder, sorted by name, without hidden entries and runs.

    Raises ``DataError`` for a folder that cannot be read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     folder = Path(place)
    ...     for name in ("b.txt", "a.txt", ".hidden"):
    ...         (folder / name).touch()
    ...     (folder / "run").mkdir()
    ...     (folder / "run" / "cell.json").touch()
    ...     [entry.name for entry in entries(folder)]
    ['a.txt', 'b.txt']
    """
    try:
        found = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(
            f"{folder}: the folder cannot be read ({reason}); check its permissions."
        ) from error
    return [entry for entry in found if not any((entry / name).is_file() for name in RUN_FILES)]


def files_below(folder: Path) -> list[Path]:
    """All files in a folder and its subfolders, sorted, without hidden files and runs."""
    found: list[Path] = []
    waiting = [folder]
    seen = {folder.resolve()}
    while waiting:
        for entry in entries(waiting.pop()):
            if entry.is_file():
                found.append(entry)
            elif entry.is_dir() and entry.resolve() not in seen:  # links may be circular
                seen.add(entry.resolve())
                waiting.append(entry)
    return sorted(found)
