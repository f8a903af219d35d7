"""Which files a data argument names: one path, or two with a comma between them."""

from pathlib import Path


def data_files(path: Path) -> list[Path]:
    """The files that a path names: itself, or the two with a comma between them.

    >>> [str(each) for each in data_files(Path("d/train.fr,train.en"))]
    ['d/train.fr', 'd/train.en']
    """
    first, comma, second = str(path).partition(",")
    if path.exists() or not comma:
        return [path]
    beside = Path(first).parent / second
    return [Path(first), Path(second) if Path(second).exists() else beside]
