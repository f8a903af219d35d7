"""Packages that only some tasks need, and what to install where one is missing.

``pip install elman`` brings none of them.  Each is imported where it is used, inside ``extra``.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from elman.errors import OptionError


@contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """What is imported within comes with the extra ``name``, and is needed for ``what``.

    Raises ``OptionError`` where it cannot be imported.

    >>> with extra("dna", "reading"):
    ...     import absent
    Traceback (most recent call last):
        ...
    elman.errors.OptionError: reading needs absent, which is not installed: pip install 'elman[dna]'
    """
    try:
        yield
    except ImportError as error:
        package = (error.name or str(error)).partition(".")[0]
        fault = "is not installed"
        if not isinstance(error, ModuleNotFoundError):
            fault = f"cannot be imported ({error})"
        raise OptionError(
            f"{what} needs {package}, which {fault}: pip install 'elman[{name}]'"
        ) from error
