"""Deferred imports: names of a package at first use, and a module after another package.

``import elman`` and ``elman --help`` are fast because a package lists its public names here
instead of importing the modules that define them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any


def lazy_names(package: str, places: Mapping[str, str]) -> None:
    """Give ``package`` a lazy attribute for each name, found at ``MODULE:NAME`` or ``MODULE``.

    Where a function has the same name as its module (``elman.tasks.train``), the attribute is the
    function.

    >>> import elman.training
    >>> elman.training.LoopOptions.__module__
    'elman.training.options'
    """
    sys.modules[package].__class__ = type(
        "LazyPackage", (_LazyPackage,), {"lazy_places": dict(places)}
    )


def import_after(package: str, module: str) -> None:
    """Import ``module`` now if ``package`` is already imported, otherwise right after it is.

    Does nothing if a module of Elman itself imports ``package`` first, because ``module`` may need
    that half-imported module.

    >>> import sys
    >>> import_after("sys", "elman.version")
    >>> "elman.version" in sys.modules
    True
    """
    if package in sys.modules:
        import_module(module)
    else:
        sys.meta_path.insert(0, _After(package, module))


class _After(MetaPathFinder):
    """Finds ``package`` as Python does, once, and imports ``module`` after it."""

    def __init__(self, package: str, module: str) -> None:
        self.package, self.module = package, module

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != self.package:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def and_then(package: ModuleType) -> None:
                execute(package)
                if not _half_imported(self.module.partition(".")[0]):
                    import_module(self.module)

            spec.loader.exec_module = and_then  # type: ignore[assignment,method-assign]
        return spec


def _half_imported(package: str) -> bool:
    """Whether a module inside ``package`` is being imported right now."""
    inside = [m for name, m in sys.modules.items() if name.startswith(f"{package}.")]
    return any([getattr(m.__spec__, "_initializing", False) for m in inside])


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
