"""The levels of the package, and imports that break them: a part imports from lower levels only.

``broken_arrows`` reads every module of a tree with ``ast``; nothing is imported.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

#: a part of the package and its level; parts on the same level do not import each other
FLOORS = {
    "errors": 0,
    "lazy": 0,
    "version": 0,
    "files": 0.5,
    "extras": 0.5,
    "saved": 0.4,
    "options": 0.5,
    "stages": 0.5,
    "graph": 1,
    "cells": 2,
    "passes": 3,
    "torch_mathematics": 3.5,
    "backends": 4,
    "autograd": 5,
    "autograd_steps": 5.5,
    "matrix_scan": 5.5,
    "nn": 6,
    "models": 7,
    "decode": 7,
    "data": 7,
    "training": 7,
    "diagnose": 7,
    "benchmark": 8,
    "export": 8,
    "shipped": 8,
    "tasks": 9,
    "selection": 9.5,
    "bulk": 9.5,
    "distributed": 9.5,
    "serve": 10,
    "cli": 11,
}

#: the one file that names the packages of the tasks
REGISTRY = "tasks/registry.py"


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    """(part of the package, file) for each module; the package's own __init__ is no part."""
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root).with_suffix("")
        if place.parts != ("__init__",):
            yield place.parts[0], path


def imported_names(path: Path, *, for_types: bool = True) -> Iterator[tuple[int, str]]:
    """(line, full name) of each import, those inside functions too; "." where it is relative.

    Without ``for_types`` those beneath ``if TYPE_CHECKING`` are left out.
    """
    for line, name, is_for_types in _imports(path.read_text(encoding="utf-8")):
        if for_types or not is_for_types:
            yield line, name


@cache
def _imports(text: str) -> tuple[tuple[int, str, bool], ...]:
    """(line, full name, whether beneath ``if TYPE_CHECKING``) of each import."""
    tree = ast.parse(text)
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = ["." if node.level else f"{node.module}.{alias.name}" for alias in node.names]
        found += [(node.lineno, name, node in for_types) for name in names]
    return tuple(found)


def imported_parts(path: Path) -> Iterator[tuple[int, str]]:
    """(line, part) of each import from within elman."""
    for line, name in imported_names(path):
        parts = name.split(".")
        if name == ".":
            yield line, name
        elif parts[0] == "elman":
            yield line, parts[1] if len(parts) > 1 else "elman"


def broken_arrows(root: Path) -> list[str]:
    """A sentence for each import that does not go down."""
    found = []
    for part, path in modules(root):
        place = path.relative_to(root)
        if part not in FLOORS:
            found.append(f"{place}: {part} is on no floor")
            continue
        for line, other in imported_parts(path):
            if other == part:
                continue
            if other not in FLOORS:
                found.append(f"{place}, line {line}: imports {other}, which is on no floor")
            elif FLOORS[other] >= FLOORS[part]:
                found.append(
                    f"{place}, line {line}: {part} (floor {FLOORS[part]}) imports "
                    f"{other} (floor {FLOORS[other]})"
                )
    return found


def foreign_tasks(root: Path) -> list[str]:
    """A sentence for each import of a task's package from outside it, but for the registry."""
    packages = {path.parent.name for path in (root / "tasks").glob("*/__init__.py")}
    found = []
    for part, path in modules(root):
        place = path.relative_to(root)
        if place.as_posix() == REGISTRY:
            continue
        own = place.parts[1] if part == "tasks" and len(place.parts) > 2 else None
        for line, name in imported_names(path):
            parts = name.split(".")
            if parts[:2] == ["elman", "tasks"] and len(parts) > 2 and parts[2] in packages - {own}:
                found.append(f"{place}, line {line}: imports the task {parts[2]}")
    return found


def foreign_imports(root: Path, part: str) -> set[str]:
    """The libraries that a part of the package imports."""
    found = set()
    for owner, path in modules(root):
        if owner == part:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    found |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    found.add(node.module.split(".")[0])
    return found


def cycles(root: Path) -> list[list[str]]:
    """The files that import one another in a circle, one list for each circle.

    Imports inside functions count; those for the type checker alone do not.
    """
    names = {}
    for path in sorted(root.rglob("*.py")):
        parts = [root.name, *path.relative_to(root).with_suffix("").parts]
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    arrows = {name: _files(path, names) - {name} for name, path in names.items()}
    found = []
    while arrows:
        # a file that imports none of the others, or that none of them imports, is in no circle
        imported = {other for others in arrows.values() for other in others}
        outside = {name for name, others in arrows.items() if not others or name not in imported}
        if not outside:
            break
        arrows = {n: others - outside for n, others in arrows.items() if n not in outside}
    while arrows:
        circle = _reached(arrows, min(arrows))
        found.append(sorted(circle))
        arrows = {n: others - circle for n, others in arrows.items() if n not in circle}
    return found


def _files(path: Path, names: dict[str, Path]) -> set[str]:
    """The modules of the package that a file imports."""
    return {
        name if name in names else name.rpartition(".")[0]
        for _, name in imported_names(path, for_types=False)
    } & set(names)


def _reached(arrows: dict[str, set[str]], start: str) -> set[str]:
    found, waiting = {start}, [start]
    while waiting:
        fresh = arrows[waiting.pop()] - found
        found |= fresh
        waiting += fresh
    return found
