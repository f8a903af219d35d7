"""Parameters of which ``make test`` takes a few and ``make test-thorough`` all."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest


def few(values: Iterable[Any], *, keep: Callable[[Any], bool]) -> list[Any]:
    """The values as parameters, marked thorough unless ``keep`` returns True."""
    return [v if keep(v) else _thorough(v) for v in values]


def _thorough(value: Any) -> Any:
    values = value if isinstance(value, tuple) else (value,)
    return pytest.param(*values, marks=pytest.mark.thorough)
