"""Names of a package that are imported when they are first used.

``import elman`` and ``elman --help`` stay cheap because a package lists its public names here
instead of importing the modules that define them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


def lazy_names(package: str, places: Mapping[str, str]) -> None:
    """Give ``package`` an attribute for each name: ``MODULE:NAME``, or a ``MODULE`` itself.

    Where a function is named as the module that holds it (``elman.tasks.train``), the package
    shows the function.

    >>> import elman.training
    >>> elman.training.LoopOptions.__module__
    'elman.training.options'
    """
    sys.modules[package].__class__ = type(
        "LazyPackage", (_LazyPackage,), {"lazy_places": dict(places)}
    )


class _LazyPackage(ModuleType):
    lazy_places: Mapping[str, str]

    def __getattr__(self, name: str) -> Any:
        if name not in self.lazy_places:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        module, _, attribute = self.lazy_places[name].partition(":")
        found: Any = import_module(module)
        if attribute:
            found = getattr(found, attribute)
        setattr(self, name, found)
        return found

    def __setattr__(self, name: str, value: object) -> None:
        # the import system sets each submodule as an attribute, which must not hide the function
        if isinstance(value, ModuleType):
            module, _, attribute = self.lazy_places.get(name, "").partition(":")
            if attribute and module == value.__name__:
                value = getattr(value, attribute)
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.lazy_places})
