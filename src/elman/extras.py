"""Optional packages that some tasks need, and what to install if one is missing.

``pip install elman`` installs none of them.  Each is imported where it is used, inside ``extra``.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from elman.errors import OptionError


@contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """Import packages of the extra ``name`` inside the ``with`` block; ``what`` is what needs them.

    Raises ``OptionError`` if an import fails.

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
