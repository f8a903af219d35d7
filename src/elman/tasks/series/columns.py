"""The role of each column of a table: time, targets, covariates, group."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from elman.tasks.series.options import SeriesOptions, columns
from elman.tasks.series.table import Table, numbers

_TIME = ("time", "date", "datetime", "timestamp", "ds")
_GROUP = ("group", "series", "unique_id")
_TARGET = ("value", "target", "y")


@dataclass(frozen=True)
class Roles:
    """The names of the columns in each role."""

    time: str | None
    targets: tuple[str, ...]
    group: str | None
    known: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    label: str | None = None

    @property
    def covariates(self) -> tuple[str, ...]:
        return (*self.known, *self.past, *self.static)


def roles_of(table: Table, options: SeriesOptions) -> Roles | str:
    """The roles, by the options or by usual names; or a message about what is wrong."""
    names = [*table.columns]
    listed = {
        "target": columns(options.target_columns),
        "known": columns(options.known_columns),
        "past": columns(options.past_columns),
        "static": columns(options.static_columns),
    }
    asked = [
        ("time_column", options.time_column),
        ("group_column", options.group_column),
        *[(f"{kind}_columns", name) for kind, found in listed.items() for name in found],
    ]
    role: dict[str, str] = {}
    for option, name in asked:
        if name and name not in names:
            there = ", ".join([f'"{each}"' for each in names[:20]]) or "none"
            return (
                f'there is no column "{name}", which the option {option} names; the columns are '
                f"{there}; correct the file or the option."
            )
        if name and name in role:
            return (
                f'the column "{name}" is named by {role[name]} and by {option}; give each column '
                "one role."
            )
        role[name] = option
    label = None
    if options.mode != "forecast" and options.label_column in names:
        label = options.label_column
        if label in role:
            return (
                f'the column "{label}" is the label, and named by {role[label]}; give each column '
                "one role."
            )
        role[label] = "label_column"
    free = [name for name in names if name not in role]
    time = options.time_column or _first(free, _TIME)
    group = options.group_column or (_first(free, _GROUP) if options.layout == "long" else None)
    targets = listed["target"]
    free = [name for name in free if name not in (time, group)]
    if not targets and options.layout == "long" and (usual := _first(free, _TARGET)):
        targets = (usual,)
    targets = targets or tuple([name for name in free if _is_numeric(table.columns[name])])
    if not targets:
        there = ", ".join([f'"{each}"' for each in names[:20]])
        return (
            f"no column holds numbers to forecast; the columns are {there}; correct the file or "
            "the option target_columns."
        )
    return Roles(time, targets, group, listed["known"], listed["past"], listed["static"], label)


def _first(names: Iterable[str], usual: Iterable[str]) -> str | None:
    by_lower = {name.lower(): name for name in reversed([*names])}
    return next((by_lower[name] for name in usual if name in by_lower), None)


def _is_numeric(cells: list[str]) -> bool:
    """Whether the cells are mostly numbers; a wrong one among them is a fault, not a name."""
    found, wrong = numbers(cells)
    there = sum([number == number for number in found])
    return there > 0 and there >= 9 * len(wrong)
