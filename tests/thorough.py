"""Parameters of which ``make test`` takes a few and ``make test-thorough`` all."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest


def few(values: Iterable[Any], *, keep: Callable[[Any], bool]) -> list[Any]:
    """The values as parameters, marked thorough unless ``keep`` returns True."""
    return [v if keep(v) else pytest.param(v, marks=pytest.mark.thorough) for v in values]
