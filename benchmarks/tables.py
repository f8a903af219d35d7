"""The tables of README and of the pages, from the figures in ``benchmarks/results/``.

    python benchmarks/tables.py

prints README's.  No figure is written by hand: a test holds README to these files.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from elman.diagnose import standings
from elman.diagnose.long_term import Course

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Line:
    """A row of README's table: where its figure is, and what README calls it."""

    question: str
    row: str
    title: str
    metric: str
    required: str = ""
    scale: float = 100
    digits: int = 1


#: the targets of the engine that README shows, by their titles in ``targets.py``
README_SPEED = (
    "LSTM training, torch.nn.LSTM",
    "LSTM inference, torch.nn.LSTM",
    "GRU training, torch.nn.GRU, batch 16 and more",
    "GRU inference, torch.nn.GRU, batch 16 and more",
    "GRU training, torch.nn.GRU, batch 1",
    "any cell's training, eager loop, batch 16 and more",
    "any cell's training, eager loop, batch 1",
    "training, JAX's scan",
    "one step, ONNX Runtime, hidden 64",
)

#: a row beneath another is the one-to-one baseline, or the same with less
SUMMARY = (
    Line(
        "speech",
        "digits, takes 0 to 4",
        "speech: strings of spoken digits, word errors",
        "wer",
        "≤ 5",
    ),
    Line(
        "music", "independent pitches, lstm", "music: chorales, nats a step", "nll", "≤ 8.6", 1, 2
    ),
    Line(
        "sentiment", "recurrent", "sentiment: film reviews' sentences, accuracy", "accuracy", "77"
    ),
    Line("sentiment", "bag of words", "the same by a bag of words (one to one)", "accuracy"),
    Line("sentiment", "recurrent, GloVe", "the sentences with word vectors", "accuracy", "79.5"),
    Line(
        "sentiment",
        "recurrent and naive Bayes, GloVe",
        "the mean of that and naive Bayes",
        "accuracy",
        "79.5",
    ),
    Line("dna", "grammar", "DNA: genes of a worm, right bases", "base_accuracy", "92"),
    Line("dna", "grammar", "the same, F1 of exact exons", "exon_f1", "60"),
    Line("translation", "ten minutes", "translation: French to English, BLEU", "bleu", "35", 1),
    Line("translation", "shipped", "the same, the model that ships", "bleu", "48", 1),
    Line(
        "video", "bandai", "video: activities in styles not trained on, accuracy", "accuracy", "92"
    ),
    Line("named_entities", "BTC, recurrent", "names: Broad Twitter Corpus, F1", "f1", "70"),
    Line("named_entities", "BTC, window", "the same by a window of words (one to one)", "f1"),
    Line(
        "named_entities",
        "WNUT-17, recurrent, begun with BTC",
        "names that emerge: WNUT-17, begun with that model, F1",
        "f1",
        "30",
    ),
    Line("named_entities", "WNUT-17, recurrent", "the same from random weights", "f1"),
)


def read(question: str) -> dict[str, Any]:
    """The figures of a script of this folder."""
    record: dict[str, Any] = json.loads((RESULTS / f"{question}.json").read_text("utf-8"))
    return record


def points(
    runs: Sequence[Mapping[str, Any]], part: str, metric: str, scale: float = 100
) -> list[float]:
    """The metric of each run, in points of 100 unless ``scale`` says otherwise."""
    return [scale * run[part][metric] for run in runs]


def summary() -> str:
    """The first table of the results: a task's figure on test data, the mean of its seeds."""
    lines = [
        "| job, test data, metric | figure | required | each seed | minutes |",
        "|---|---:|---:|---|---:|",
    ]
    for line in SUMMARY:
        [row] = [row for row in read(line.question)["rows"] if row["name"] == line.row]
        test = points(row["runs"], "test", line.metric, line.scale)
        lines.append(
            f"| {line.title} | {statistics.mean(test):.{line.digits}f} | {line.required} "
            f"| {_list(test, line.digits)} | {_minutes(row['runs'])} |"
        )
    return "\n".join(lines) + "\n"


def long_term_courses() -> list[Course]:
    """The trainings of ``long_term.py``."""
    return [
        Course(**{**each, "steps": tuple(each["steps"]), "scores": tuple(each["scores"])})
        for each in read("long_term")["trainings"]
    ]


def long_term() -> str:
    """Who solves which problem in how many steps, and what else there is to say of it."""
    parts = [_markdown(table) for table in standings.tables(long_term_courses())]
    record, seeds = read("long_term"), {course.seed for course in long_term_courses()}
    minutes = record["core_seconds"] / 60 / len(seeds)
    return "\n".join(
        [
            *parts,
            *[f"- {sentence}" for sentence in standings.sentences(long_term_courses())],
            "",
            f"`{record['command']}`, seeds {', '.join(map(str, sorted(seeds)))}: all trainings of "
            f"a seed took {minutes:.0f} minutes of one core that had other work to do.",
            "",
        ]
    )


def _markdown(table: Table) -> str:
    """A table of the terminal as one of the pages."""
    columns = [[str(column.header), *map(str, column.cells)] for column in table.columns]
    head, *rows = [f"| {' | '.join(cells)} |" for cells in zip(*columns, strict=True)]
    rule = "|" + "|".join(["---", *["---:"] * (len(columns) - 1)]) + "|"
    return "\n".join([f"**{table.title}**", "", head, rule, *rows, ""])


def details(question: str) -> str:
    """All rows of one script, with how they were measured."""
    record = read(question)
    metric, scale = record["metric"], record.get("scale", 100)
    digits = 1 if scale == 100 else 2
    lines = [
        f"| model | validation {metric} | test {metric} | test, each seed | target | minutes "
        "| s an epoch |",
        "|---|---:|---:|---|---:|---:|---:|",
    ]
    for row in record["rows"]:
        runs = row["runs"]
        valid, test = [points(runs, part, metric, scale) for part in ("valid", "test")]
        seconds = statistics.median([run["seconds_an_epoch"] for run in runs])
        means = [f"{statistics.mean(values):.{digits}f}" for values in (valid, test)]
        lines.append(
            f"| {row['name']} | {means[0]} | {means[1]} | {_list(test, digits)} "
            f"| {row['target']} | {_minutes(runs)} | {seconds:.1f} |"
        )
    machine = record["machine"]
    seeds = sorted({run["seed"] for row in record["rows"] for run in row["runs"]})
    threads = sorted({run["threads"] for row in record["rows"] for run in row["runs"]})
    lines += [
        "",
        f"`{record['command']}`, seeds {', '.join(map(str, seeds))}, threads "
        f"{', '.join(map(str, threads))}; {machine['processor']}, {machine['cores']} cores; torch "
        f"{machine['torch']}, Python {machine['python']}.",
    ]
    return "\n".join(lines) + "\n"


def music_tunes() -> str:
    """What is counted in tunes that were made up, beside real ones."""
    record = read("music_tunes")
    columns = record["columns"]
    lines = [f"| | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    for name in next(iter(columns.values())):
        values = [f"{column[name]:.1f}" for column in columns.values()]
        lines.append(f"| {name} | {' | '.join(values)} |")
    lines += [
        "",
        f"`{record['command']}`: {record['tunes']} tunes of {record['seconds']:g} seconds each, "
        "seeds from 0 on. In per cent, but for the pitches: how many at once, and as MIDI numbers.",
    ]
    return "\n".join(lines) + "\n"


def open_speech() -> str:
    """The transcriber that ships, on voices and people that it has not heard."""
    record = read("open_speech")
    lines = [
        "| | recordings | WER, best path | CER, best path | WER, with language model | CER |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, figure in record["figures"].items():
        ways = figure["best path"], figure["search with the language model"]
        values = [f"{100 * way[rate]:.1f}" for way in ways for rate in ("wer", "cer")]
        lines.append(f"| {name} | {ways[0]['examples']} | {' | '.join(values)} |")
    demo = record["demo"]
    lines += [
        "",
        f'The demo\'s sentence comes out as "{demo["text"]}": WER {100 * demo["wer"]:.0f}. '
        f"`{record['command']}`, {record['minutes']:.0f} minutes of training with "
        f"{record['threads']} thread of {record['machine']['processor']}, seed 0.",
    ]
    return "\n".join(lines) + "\n"


def speed() -> str:
    """README's table of the engine: the mean speed-up over all shapes, and the smallest."""
    record = read("engine")
    found: dict[str, dict[int, str]] = {}
    for row in record["targets"]:
        # pairs whose values differ are in no figure
        if row["target"]["title"] in README_SPEED and row["values"] > 0:
            value = f"{row['mean']:.2f}" if row["values"] == 1 else (
                f"{row['mean']:.2f} ({row['worst']:.2f})"
            )  # fmt: skip
            found.setdefault(row["target"]["title"], {})[row["threads"]] = value
    lines = ["| what runs | speed-up over | 1 thread | 2 threads |", "|---|---|---:|---:|"]
    for title in README_SPEED:
        what, rival = title.split(", ", 1)
        lines.append(f"| {what} | {rival} | {found[title][1]} | {found[title][2]} |")
    return "\n".join(lines) + "\n"


def engine() -> str:
    """Each target of the engine with what was measured, the worst shape and the mean of all."""
    record = read("engine")
    machine = record["machine"]
    lines = [
        "| Elman beside | threads | shapes | worst | geometric mean | required | |",
        "|---|---:|---:|---:|---:|---|---|",
    ]
    for row in record["targets"]:
        target = row["target"]
        unit = target["unit"] if target["unit"] != "×" else ""
        sign = "≤" if target["at_most"] else "≥"
        asked = [
            f"{word}{sign} {bound['required']:g} {unit}".strip()
            for word, bound in (("", target["each"]), ("mean ", target["mean"]))
            if bound["required"] is not None
        ]
        shapes = f"{row['values']}"
        if row.get("differing"):  # figures of older runs do not say
            shapes += f", and {row['differing']} whose values differ"
        worst, mean = (
            "" if row[name] is None else f"{row[name]:.2f} {unit}" for name in ("worst", "mean")
        )
        lines.append(
            f"| {target['title']} | {row['threads']} | {shapes} | {worst} "
            f"| {mean} | {', '.join(asked)} | {row['verdict']} |"
        )
    lines += [
        "",
        f"Ratios of the rival's time to Elman's, medians, interleaved in one process; "
        f"`python benchmarks/engine.py` on {machine['processor']}, {machine['cores']} cores, torch "
        f"{machine['torch']}, Python {machine['python']}.",
    ]
    return "\n".join(lines) + "\n"


def tasks_beside_torch() -> str:
    """Seconds an epoch of the jobs, beside the same models on torch.nn."""
    record = read("tasks_beside_torch")
    machine = record["machine"]
    lines = [
        "| job | threads | Elman, s an epoch | torch.nn, s an epoch | ratio | validation, Elman "
        "| validation, torch.nn |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in record["rows"]:
        seconds = [row[engine]["seconds_an_epoch"] for engine in ("elman", "torch")]
        scores = [
            next(100 * value for key, value in row[engine].items() if key.startswith("valid_"))
            for engine in ("elman", "torch")
        ]
        lines.append(
            f"| {row['job']}, {row['epochs']} epochs | {row['threads']} | {seconds[0]:.2f} "
            f"| {seconds[1]:.2f} | {seconds[1] / seconds[0]:.2f} | {scores[0]:.1f} "
            f"| {scores[1]:.1f} |"
        )
    lines += [
        "",
        f"`{record['command']}`, seed 0; {machine['processor']}, torch {machine['torch']}.",
    ]
    return "\n".join(lines) + "\n"


def noise() -> str:
    """What each regulariser adds to a training step: the mean of all shapes, and the worst."""
    record = read("noise")
    ratios: dict[str, dict[int, list[float]]] = {}
    for _, _, threads, kind, ratio, _ in record["rows"]:
        if kind != "plain":
            ratios.setdefault(kind, {}).setdefault(threads, []).append(ratio)
    lines = [
        "| a training step beside the plain layer's | 1 thread | 2 threads |",
        "|---|---:|---:|",
    ]
    for kind, each in ratios.items():
        cells = [
            f"{statistics.geometric_mean(values):.2f} ({max(values):.2f})"
            for values in each.values()
        ]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    lines += [
        "",
        "`python benchmarks/noise.py 2`: geometric mean (worst) of LSTM and GRU, three shapes.",
    ]
    return "\n".join(lines) + "\n"


def one_to_one() -> str:
    """F1 of the same job with and without recurrence, where the sentences differ from training."""
    record = read("one_to_one")
    shifts = [f"{shift} before" if shift else "short" for shift in record["shifts"]]
    lines = [
        f"| trained on at most {record['short']} words | {' | '.join(shifts)} | longer |",
        f"|---|{'---:|' * (len(shifts) + 1)}",
    ]
    names = [*[f"shift-{shift}" for shift in record["shifts"]], "long"]
    for row in record["rows"]:
        means = [100 * statistics.mean([run["f1"][name] for run in row["runs"]]) for name in names]
        lines.append(f"| {row['name']} | {' | '.join([f'{mean:.1f}' for mean in means])} |")
    seeds = ", ".join([str(run["seed"]) for run in record["rows"][0]["runs"]])
    lines += ["", f"`{record['command']}`, mean of the seeds {seeds}."]
    return "\n".join(lines) + "\n"


def dna() -> str:
    """Bases and exact exons of genes, as the files have them and with their borders cut."""
    record = read("dna")
    machine = record["machine"]
    lines = [
        "| model | bases, validation | exons, validation | bases, test | exons, test "
        "| bases, cut test | exons, cut test | minutes |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in record["rows"]:
        runs = row["runs"]
        cells = [
            _list(points(runs, part, metric))
            for part in ("valid", "test", "test_cut")
            for metric in ("base_accuracy", "exon_f1")
        ]
        lines.append(f"| {row['name']} | {' | '.join(cells)} | {_minutes(runs)} |")
    seeds = sorted({run["seed"] for row in record["rows"] for run in row["runs"]})
    lines += [
        "",
        f"`{record['command']}`, seeds {', '.join(map(str, seeds))} in this order, 1 thread; "
        f"{machine['processor']}, {machine['cores']} cores; torch {machine['torch']}, Python "
        f"{machine['python']}.",
    ]
    return "\n".join(lines) + "\n"


def splice() -> str:
    """The ten folds of the splice junctions."""
    record = read("splice")
    errors = ", ".join([f"{100 * v:.1f} % of {k}" for k, v in record["errors"].items()])
    return (
        f"Accuracy {100 * record['accuracy']:.1f} % over all ten folds (each: "
        f"{_list([100 * value for value in record['folds']])}); wrong were {errors}. "
        f"{record['seconds'] / 60:.1f} minutes for all folds, seed {record['seed']}, 1 thread; "
        f"`{record['command']}`.\n"
    )


def sentiment_folds() -> str:
    """Accuracy on each tenth of the sentences, by models that trained on others."""
    record = read("sentiment_folds")
    lines = ["| model | mean | tenths 0 to 9 as the test |", "|---|---:|---|"]
    for row in record["rows"]:
        folds = _list([100 * value for value in row["folds"]])
        lines.append(f"| {row['name']} | {100 * row['mean']:.1f} | {folds} |")
    longest = max(row["longest_seconds"] for row in record["rows"])
    lines += ["", f"`{record['command']}`, seed 0, 1 thread, at most {longest} s of training each."]
    return "\n".join(lines) + "\n"


def motion_limits() -> str:
    """What boosted trees tell from the motion itself, and turns that are not there."""
    record = read("motion_limits")
    styles = ", ".join([f"{style} {100 * v:.0f}" for style, v in record["left_out"].items()])
    return (
        f"Each style of training left out in turn: {styles}; the styles of the test: "
        f"{100 * record['test']:.1f} (`{record['command']}`). Nineteen in twenty of the windows of "
        f"walking turn by at most {record['walking_turns_degrees']:.0f} degrees, and "
        f"{100 * record['turning_that_turns_no_further']:.0f} % of those of turning turn no "
        "further.\n"
    )


def selection() -> str:
    """Defaults and the best of a search, each measured once on test data."""
    record = read("selection")
    lines = [
        "| job, metric | default, validation | default, test | best, validation | best, test "
        "| trials, finished |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    found = []
    for row in record["rows"]:
        cells = [
            f"{row[which][part][row['metric']]:.4f}"
            for which in ("default", "best")
            for part in ("valid", "test")
        ]
        lines.append(
            f"| {row['job']}, {row['metric']} | {' | '.join(cells)} "
            f"| {row['trials']}, {row['finished']} |"
        )
        options = ", ".join([f"{k} {_short(v)}" for k, v in row["options"].items()])
        parts = ", ".join([f"{k} {v:.0%}" for k, v in row["mattered"].items() if v >= 0.05])
        found += [f"- {row['job']}, the best: {options}. What mattered: {parts}."]
    hours = {(60 * row["hours"], row["workers"]) for row in record["rows"]}
    times = ", ".join([f"{minutes:.0f} minutes, workers: {n}" for minutes, n in sorted(hours)])
    lines += ["", *found, "", f"`{record['command']}`, seed 0, 1 thread; {times}."]
    return "\n".join(lines) + "\n"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _list(values: Sequence[float], digits: int = 1) -> str:
    return " ".join([f"{value:.{digits}f}" for value in values])


def _minutes(runs: Sequence[Mapping[str, Any]]) -> str:
    """The longest of the trainings."""
    return f"{max([run['minutes'] for run in runs]):.1f}"


if __name__ == "__main__":
    print(summary())
    print(speed())
