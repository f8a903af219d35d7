"""The results of a search: a table, and a plot of its progress and of option importance."""

from __future__ import annotations

import csv
import io
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from elman.files import write_whole
from elman.selection.search import Search, is_spent
from elman.selection.space import Range

#: fewer completed trials give no meaningful importance
ENOUGH = 8


class TrialReporter:
    """Reports each trial that has ended since the last call, from any process.

    It also rewrites the table, so that a search can be followed from elsewhere.
    """

    def __init__(self, search: Search, tell: Callable[[str], None]) -> None:
        self._search, self._tell = search, tell
        self._reported = {
            trial.number for trial in search.study.trials if trial.state.is_finished()
        }

    def __call__(self) -> None:
        search = self._search
        write_whole(search.folder / "trials.csv", table(search))
        trials = search.study.trials
        ended = [t for t in trials if t.state.is_finished() and t.number not in self._reported]
        for trial in ended:
            self._reported.add(trial.number)
            rest = (
                f"; about {time_left(search)} left"
                if trial is ended[-1] and is_spent(trial)
                else ""
            )
            self._tell(f"trial {trial.number + 1}: {sentence(search, trial)}{rest}")


def sentence(search: Search, trial: Any) -> str:
    """The outcome of a trial that has ended."""
    notes, values = trial.user_attrs, trial.user_attrs.get("values", [])
    options = ", ".join(
        [f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in trial.params.items()]
    )
    if trial.state.name == "PRUNED":
        return f"pruned, worse than the median at the same epoch. {options}"
    if trial.state.name == "FAIL":
        interrupted = "interrupted; its options are queued first"
        return f"failed: {notes['error']}" if "error" in notes else interrupted
    best = search.study.best_trial
    mark = "the best so far" if best.number == trial.number else f"best {best.value:.4f}"
    spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{search.metric.name} {trial.value:.4f}{spread}, {mark}. {options}"


def time_left(search: Search) -> str:
    """The estimated time for the remaining trials, or until this worker's hours are over.

    The estimate is based on the trials so far and the current number of processes.
    """
    spent = [trial for trial in search.study.trials if is_spent(trial)]
    ended = [trial for trial in spent if trial.state.is_finished()]
    start = min([trial.datetime_start for trial in ended])
    last = max([trial.datetime_complete for trial in ended])
    seconds = (last - start).total_seconds() / len(ended) * (search.config.trials - len(ended))
    seconds = min(seconds, search.until - time.time())
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{max(seconds, 0):.0f} s"


def table(search: Search) -> str:
    """All trials as CSV: state, mean, standard deviation, runs, seconds, folder, options, error."""
    names = list(search.config.space.parts)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    head = ["trial", "state", search.metric.name, "spread", "runs", "seconds", "folder"]
    writer.writerow([*head, *names, "error"])
    for trial in search.study.trials:
        notes = trial.user_attrs
        values = notes.get("values", [])
        spread = f"{statistics.stdev(values):.6f}" if len(values) > 1 else ""
        value = f"{trial.value:.6f}" if trial.state.name == "COMPLETE" else ""
        runs = " ".join([f"{each:.6f}" for each in values])
        known = [trial.number + 1, trial.state.name.lower(), value, spread, runs]
        known += [notes.get("seconds", ""), notes.get("folder", "")]
        options = [trial.params.get(name, "") for name in names]
        writer.writerow([*known, *options, notes.get("error", "")])
    return out.getvalue()


def importance(search: Search) -> dict[str, float]:
    """The importance of each option for reaching the best tenth (PED-ANOVA, Watanabe et al. 2023).

    Empty if fewer than ``ENOUGH`` trials have completed, or if all values are equal.
    """
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    finished = search.finished()
    varied = [
        name
        for name in search.config.space.parts
        if len({trial.params.get(name) for trial in finished}) > 1
    ]
    if len(finished) < ENOUGH or len({trial.value for trial in finished}) < 2 or not varied:
        return {}
    found = get_param_importances(
        search.study, evaluator=PedAnovaImportanceEvaluator(), params=varied
    )
    return {name: float(part) for name, part in found.items()}


def picture(search: Search) -> bytes:
    """A PNG: the value of each trial and the best so far, option importance, and each option."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    finished = search.finished()
    parts = importance(search)
    names = sorted(search.config.space.parts, key=lambda name: -parts.get(name, 0.0))
    columns = 4
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(11, 3 + 2.6 * rows), layout="constrained")
    halves: Any = figure.subfigures(2, 1, height_ratios=[3, 2.6 * rows])
    above, below = halves
    course, mattered = above.subplots(1, 2)
    _draw_course(course, search, finished)
    _draw_importance(mattered, parts)
    grid = list(below.subplots(rows, columns, squeeze=False, sharey=True).flat)
    for name, axes in zip(names, grid, strict=False):
        _draw_option(axes, search, finished, name)
    for axes in grid[len(names) :]:
        axes.set_axis_off()
    out = io.BytesIO()
    FigureCanvasAgg(figure).print_png(out)  # type: ignore[no-untyped-call]
    return out.getvalue()


def _draw_course(axes: Any, search: Search, finished: Sequence[Any]) -> None:
    better = max if search.metric.higher_is_better else min
    numbers = [trial.number + 1 for trial in finished]
    values = [trial.value for trial in finished]
    so_far = [better(values[: k + 1]) for k in range(len(values))]
    axes.plot(numbers, values, "o", color="0.45", label="a trial")
    axes.step(numbers, so_far, where="post", color="black", label="best so far")
    axes.set_xlabel("trial")
    axes.set_ylabel(search.metric.name)
    axes.legend(frameon=False)


def _draw_importance(axes: Any, parts: dict[str, float]) -> None:
    axes.set_title("option importance")
    if not parts:
        axes.set_axis_off()
        axes.text(0.5, 0.5, f"needs {ENOUGH} completed trials", ha="center")
        return
    names = list(reversed(parts))
    axes.barh(names, [parts[name] for name in names], color="0.45")
    axes.set_xlim(0, 1)


def _draw_option(axes: Any, search: Search, finished: Sequence[Any], name: str) -> None:
    part = search.config.space.parts[name]
    known = [trial for trial in finished if name in trial.params]
    values = [trial.value for trial in known]
    if isinstance(part, Range):
        axes.plot([trial.params[name] for trial in known], values, "o", color="0.45")
        if part.log:
            axes.set_xscale("log")
            middle = (part.low * part.high) ** 0.5
            axes.set_xticks([part.low, middle, part.high])
            axes.xaxis.set_major_formatter("{x:.3g}")
            axes.xaxis.set_minor_formatter("")
    else:
        places = [part.values.index(trial.params[name]) for trial in known]
        axes.plot(places, values, "o", color="0.45")
        axes.set_xticks(range(len(part.values)), [str(value) for value in part.values], rotation=20)
        axes.set_xlim(-0.5, len(part.values) - 0.5)
    axes.set_xlabel(name)
    best = search.best()
    if best is not None and name in best.params:
        chosen = best.params[name]
        place = chosen if isinstance(part, Range) else part.values.index(chosen)
        axes.plot([place], [best.value], "o", color="black", markersize=9)
