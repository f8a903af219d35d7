"""Results on the problems with long-term dependencies as tables, sentences and curves."""

from __future__ import annotations

import io
import statistics
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from elman.diagnose.long_term import TABLE, Course
from elman.diagnose.plot import COLOURS, DASHES, MARKS
from elman.diagnose.problems import PROBLEMS, Problem

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAIN = tuple([contestant.name for contestant in TABLE])


def tables(courses: Sequence[Course]) -> list[Table]:
    """A table of the cells, and one of the ablations (initialisation, clipping), if any."""
    parts = [
        ("comparison", [c for c in courses if c.contestant in MAIN]),
        ("ablations", [c for c in courses if c.contestant not in MAIN]),
    ]
    return [_table(title, part) for title, part in parts if part]


def _table(title: str, courses: Sequence[Course]) -> Table:
    table = Table(box=None, title=title, title_justify="left")
    table.add_column("cell", no_wrap=True)
    problems = [name for name in PROBLEMS if any(c.problem == name for c in courses)]
    for name in problems:
        table.add_column(name, justify="right")
    table.add_column("solved", justify="right")
    table.add_column("seconds", justify="right")
    for contestant in dict.fromkeys(c.contestant for c in courses):
        own = [c for c in courses if c.contestant == contestant]
        table.add_row(
            contestant,
            *[_entry([c for c in own if c.problem == name]) for name in problems],
            f"{sum(c.solved for c in own)} of {len(own)}",
            f"{sum(c.seconds for c in own):.0f}",
        )
    return table


def _entry(courses: Sequence[Course]) -> str:
    """The steps to solve the problem, or else the test measure: the median of all seeds."""
    if not courses:
        return ""
    solved = [c for c in courses if c.solved]
    share = f" ({len(solved)} of {len(courses)})" if len(courses) > 1 else ""
    if 2 * len(solved) > len(courses):
        return f"✓ {statistics.median([c.steps[-1] for c in solved]):.0f} steps{share}"
    reached = statistics.median([c.test for c in courses])
    shown = f"{reached:.2f}" if reached < 1000 else f"{reached:.0e}"
    return f"✗ {'diverged' if courses[0].failed else shown}{share}"


def sentences(courses: Sequence[Course]) -> list[str]:
    """The number of problems that each cell solves, and those that only the plain rnn does not."""
    said = []
    contestants = list(dict.fromkeys(c.contestant for c in courses if c.contestant in MAIN))
    solved = {name: [p for p in PROBLEMS if _is_solved(courses, p, name)] for name in contestants}
    tried = [p for p in PROBLEMS if any(c.problem == p for c in courses)]
    for name in contestants:
        said.append(f"{name}: solves {len(solved[name])} of {len(tried)} problems.")
    plain = solved.get("rnn")
    if plain is not None and len(contestants) > 1:
        others = [p for p in tried if p not in plain and any(p in s for s in solved.values())]
        if others:
            said.append(
                f"With the same budget, other cells solve {', '.join(others)}, but the plain rnn "
                "does not."
            )
    return said


def _is_solved(courses: Iterable[Course], problem: str, contestant: str) -> bool:
    """Whether more than half of the trainings solved the problem."""
    own = [c.solved for c in courses if (c.problem, c.contestant) == (problem, contestant)]
    return 2 * sum(own) > len(own)


def record(courses: Sequence[Course]) -> dict[str, Any]:
    """The results as a JSON object."""
    names = dict.fromkeys(c.problem for c in courses)
    return {
        "problems": {
            name: {
                "measure": PROBLEMS[name].measure,
                "chance": PROBLEMS[name].chance,
                "solved": PROBLEMS[name].solved,
            }
            for name in names
        },
        "trainings": [vars(course) for course in courses],
        "words": sentences(courses),
    }


def draw(courses: Sequence[Course]) -> bytes:
    """A PNG of the learning curves, with a panel per problem; ablations have separate panels."""
    picture = io.BytesIO()
    figure_of(courses).savefig(picture, format="png", dpi=100)
    return picture.getvalue()


def figure_of(courses: Sequence[Course]) -> Figure:
    """The plot as a matplotlib figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels: list[tuple[Problem, str, list[Course]]] = []
    for changed in (False, True):
        for name, problem in PROBLEMS.items():
            own = [
                c for c in courses if c.problem == name and (c.contestant not in MAIN) == changed
            ]
            if own:
                panels.append((problem, ": ablations" if changed else "", own))
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(5.6 * columns, 3.7 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, (problem, what, own) in zip(grid.flat, panels, strict=False):
        _panel(axes, problem, problem.title + what, own)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_visible(False)
    return figure


def _panel(axes: Axes, problem: Problem, title: str, courses: Sequence[Course]) -> None:
    first = min(c.seed for c in courses)
    for k, course in enumerate([c for c in courses if c.seed == first]):
        axes.plot(
            course.steps, course.scores, label=course.contestant,
            color=COLOURS[k % len(COLOURS)], linestyle=DASHES[k % len(DASHES)], linewidth=1.3,
            marker=MARKS[k % len(MARKS)], markersize=4.5, markevery=(k, 9),
        )  # fmt: skip
        if course.solved:
            axes.plot(course.steps[-1], course.scores[-1], MARKS[k % len(MARKS)], markersize=9,
                      color=COLOURS[k % len(COLOURS)], markeredgecolor="black")  # fmt: skip
    for value, name in ((problem.chance, "chance"), (problem.solved, "solved")):
        axes.axhline(value, color="0.6", linewidth=0.9, linestyle=":")
        axes.annotate(name, (1, value), xycoords=("axes fraction", "data"), fontsize=7,
                      color="0.4", ha="right", va="bottom")  # fmt: skip
    if problem.measure == "squared error":
        axes.set_yscale("log")
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("training steps", fontsize=8)
    axes.set_ylabel(problem.measure, fontsize=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=6.5, framealpha=0.85, edgecolor="none")
