"""The tables of README and docs, from the figures in ``benchmarks/results/``.

    python benchmarks/tables.py

prints the main tables.  No figure is written by hand; a test compares README with these files.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

import negation as negated
from elman.benchmark.machine import sentence
from elman.diagnose import standings
from elman.diagnose.long_term import Course

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Line:
    """A row of the summary: the location of its figure, and its title."""

    question: str
    row: str
    title: str
    metric: str
    required: str = ""
    scale: float = 100
    digits: int = 1


#: the speed targets shown in README, by their titles in ``targets.py``
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

#: titles of rows that differ from their names in the results
SHOWN = {
    "WNUT-17, recurrent, begun with BTC": "WNUT-17, recurrent, initialised from BTC",
    "pitches one after another, lstm": "autoregressive pitches, lstm",
    "bandai, a style more": "bandai, one more training style",
    "grammar, pieces": "grammar, trained on random fragments",
    "softmax": "softmax, without the grammar",
    "voices held out, validation": "held-out voices, validation",
    "voices held out, test": "held-out voices, test",
    "steps with a half tone": "steps with a semitone",
    "two bars that a training piece has": "two-bar excerpts found in a training piece",
}

#: the rows of the summary; a baseline or variant follows the main row
SUMMARY = (
    Line(
        "speech",
        "digits, takes 0 to 4",
        "speech: strings of spoken digits, word error rate",
        "wer",
        "≤ 5",
    ),
    Line(
        "music", "independent pitches, lstm", "music: chorales, nats per step", "nll", "≤ 8.6", 1, 2
    ),
    Line(
        "sentiment", "recurrent", "sentiment: sentences of film reviews, accuracy", "accuracy", "77"
    ),
    Line("sentiment", "bag of words", "baseline: bag of words (one to one)", "accuracy"),
    Line("sentiment", "recurrent, GloVe", "with GloVe word vectors", "accuracy", "79.5"),
    Line(
        "sentiment",
        "recurrent and naive Bayes, GloVe",
        "with GloVe, averaged with naive Bayes",
        "accuracy",
        "79.5",
    ),
    Line("dna", "grammar", "DNA: genes of C. elegans, base accuracy", "base_accuracy", "92"),
    Line("dna", "grammar", "F1 of exact exons", "exon_f1", "60"),
    Line("translation", "ten minutes", "translation: French to English, BLEU", "bleu", "35", 1),
    Line("translation", "shipped", "the shipped model", "bleu", "48", 1),
    Line("video", "bandai", "video: activities in unseen styles, accuracy", "accuracy", "92"),
    Line("named_entities", "BTC, recurrent", "entities: Broad Twitter Corpus, F1", "f1", "70"),
    Line("named_entities", "BTC, window", "baseline: window of words (one to one)", "f1"),
    Line(
        "named_entities",
        "WNUT-17, recurrent, begun with BTC",
        "emerging entities: WNUT-17, initialised from the BTC model, F1",
        "f1",
        "30",
    ),
    Line("named_entities", "WNUT-17, recurrent", "randomly initialised", "f1"),
)


def read(question: str) -> dict[str, Any]:
    """The figures of a script in this folder."""
    record: dict[str, Any] = json.loads((RESULTS / f"{question}.json").read_text("utf-8"))
    return record


def points(
    runs: Sequence[Mapping[str, Any]], part: str, metric: str, scale: float = 100
) -> list[float]:
    """The metric of each run, times ``scale``."""
    return [scale * run[part][metric] for run in runs]


def summary() -> str:
    """The summary: each task's test figure as the mean over seeds."""
    lines = [
        "| task, test data, metric | mean | required | each seed | minutes |",
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
    """The problems that each cell solves, with the number of steps, and conclusions."""
    parts = [_markdown(table) for table in standings.tables(long_term_courses())]
    record, seeds = read("long_term"), {course.seed for course in long_term_courses()}
    minutes = record["core_seconds"] / 60 / len(seeds)
    return "\n".join(
        [
            *parts,
            *[f"- {each}" for each in standings.sentences(long_term_courses())],
            "",
            f"`{record['command']}`, seeds {', '.join(map(str, sorted(seeds)))}: all trainings of "
            f"one seed took {minutes:.0f} minutes on one core of a busy machine.",
            "",
        ]
    )


def _markdown(table: Table) -> str:
    """A terminal table as Markdown."""
    columns = [[str(column.header), *map(str, column.cells)] for column in table.columns]
    head, *rows = [f"| {' | '.join(cells)} |" for cells in zip(*columns, strict=True)]
    rule = "|" + "|".join(["---", *["---:"] * (len(columns) - 1)]) + "|"
    return "\n".join([f"**{table.title}**", "", head, rule, *rows, ""])


def details(question: str) -> str:
    """All rows of one script, with the command and machine."""
    record = read(question)
    metric, scale = record["metric"], record.get("scale", 100)
    digits = 1 if scale == 100 else 2
    lines = [
        f"| model | validation {metric} | test {metric} | test, each seed | target | minutes "
        "| s per epoch |",
        "|---|---:|---:|---|---:|---:|---:|",
    ]
    for row in record["rows"]:
        runs = row["runs"]
        valid, test = [points(runs, part, metric, scale) for part in ("valid", "test")]
        seconds = statistics.median([run["seconds_an_epoch"] for run in runs])
        means = [f"{statistics.mean(values):.{digits}f}" for values in (valid, test)]
        lines.append(
            f"| {_shown(row['name'])} | {means[0]} | {means[1]} | {_list(test, digits)} "
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


def named_entities_case() -> str:
    """The F1 of names by capitalisation, trained with sentences in lower case and capitals."""
    record = read("named_entities_case")
    parts = ("valid", "valid_lower", "valid_capitals", "test")
    lines = [
        "| `case_dropout` | validation | in lower case | in capitals | test | test, each seed |",
        "|---:|---:|---:|---:|---:|---|",
    ]
    for row in sorted(record["rows"], key=lambda row: row["case_dropout"]):
        means = [f"{statistics.mean(points(row['runs'], part, 'f1')):.1f}" for part in parts]
        test = [f"{run['seed']}: {100 * run['test']['f1']:.1f}" for run in row["runs"]]
        lines.append(f"| {row['case_dropout']:g} | {' | '.join(means)} | {', '.join(test)} |")
    lines += ["", f"`{record['command']}`, one thread of {record['machine']['processor']}."]
    return "\n".join(lines) + "\n"


def sentiment_negation() -> str:
    """The accuracy of sentiment on made sentences, trained with and without others."""
    record = read("sentiment_negation")
    parts = ("valid", "plain", "negated", "test")
    lines = [
        "| `negation` | seeds | validation | plain | negated | test | test, each seed |",
        "|---:|---:|---:|---:|---:|---:|---|",
    ]
    for row in sorted(record["rows"], key=lambda row: row["negation"]):
        runs = row["runs"]
        means = [f"{statistics.mean(points(runs, part, 'accuracy')):.1f}" for part in parts]
        test = [f"{run['seed']}: {100 * run['test']['accuracy']:.1f}" for run in runs]
        cells = [f"{row['negation']:g}", str(len(runs)), *means, ", ".join(test)]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"`{record['command']}`, one thread of {record['machine']['processor']}."]
    return "\n".join(lines) + "\n"


def negation() -> str:
    """The shipped model's answers to sentences with a negation."""
    record = read("negation")
    found, number = negated.counts(record["answers"]), record["sentences"] // 2
    lines = [
        "| sentences with a negation | right |",
        "|---|---:|",
        f"| positive | {found['positive']} of {number} |",
        f"| negative | {found['negative']} of {number} |",
        f"| all | {found['sentences']} of {2 * number} |",
        f"| pairs of which both are right | {found['pairs']} of {number} |",
        "",
        f"`{record['command']}`, with the shipped model.",
    ]
    return "\n".join(lines) + "\n"


def other_languages() -> str:
    """How often another language is noticed, and English is taken for one."""
    record = read("other_languages")
    lines = ["| texts | number | noticed | as French |", "|---|---:|---:|---:|"]
    for row in record["rows"]:
        shares = [f"{100 * row[key] / row['count']:.3g} %" for key in ("noticed", "as_french")]
        counts = f"{row['noticed']:,} ({shares[0]})", f"{row['as_french']:,} ({shares[1]})"
        lines.append(f"| {row['texts']} | {row['count']:,} | {' | '.join(counts)} |")
    lines += ["", f"`{record['command']}`, with the shipped model of sentiment."]
    return "\n".join(lines) + "\n"


def music_tunes() -> str:
    """Statistics of generated tunes, compared with real ones."""
    record = read("music_tunes")
    columns = record["columns"]
    lines = [f"| | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    for name in next(iter(columns.values())):
        values = [f"{column[name]:.1f}" for column in columns.values()]
        lines.append(f"| {_shown(name)} | {' | '.join(values)} |")
    lines += [
        "",
        f"`{record['command']}`: {record['tunes']} tunes of about {record['seconds']:g} seconds, "
        "seeds from 0 on. In per cent, except the number of pitches at once and MIDI pitches.",
    ]
    return "\n".join(lines) + "\n"


def open_speech() -> str:
    """The shipped transcriber on unseen voices and people."""
    record = read("open_speech")
    lines = [
        "| | recordings | WER, best path | CER, best path | WER, with language model | CER |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, figure in record["figures"].items():
        ways = figure["best path"], figure["search with the language model"]
        values = [f"{100 * way[rate]:.1f}" for way in ways for rate in ("wer", "cer")]
        lines.append(f"| {_shown(name)} | {ways[0]['examples']} | {' | '.join(values)} |")
    lines += ["", "The demo's sentence by voices that are in no training data:", ""]
    for voice, heard in record["demo"].items():
        lines.append(f'- {voice}: "{heard["text"]}", WER {100 * heard["wer"]:.0f}')
    lines += [
        "",
        f"`{record['command']}`, {record['minutes']:.0f} minutes of training with "
        f"{record['threads']} thread of {record['machine']['processor']}.",
    ]
    return "\n".join(lines) + "\n"


def language() -> str:
    """A character language model beside the same model on torch.nn."""
    record = read("language")
    lines = [
        "| seed | bits per character, Elman | torch.nn | ms a step, Elman | torch.nn | speed-up | "
        "in wall time |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for run in record["runs"]:
        bits, times, speed = [
            run[key] for key in ("bits_per_character", "milliseconds_per_step", "speed_up")
        ]
        values = [
            *[f"{bits[name]:.3f}" for name in ("elman", "torch")],
            *[f"{times[name]:.0f}" for name in ("elman", "torch")],
            *[f"{speed[name]:.2f}" for name in ("processor", "wall")],
        ]
        lines.append(f"| {run['seed']} | {' | '.join(values)} |")
    lines += [
        "",
        f"`{record['command']}`: {record['steps']} steps of 32 windows of 100 characters, an LSTM "
        f"of {record['hidden_size']} units, one thread of {record['machine']['processor']}, which "
        "other programs used too: milliseconds and the first speed-up are in processor time.",
    ]
    words = record["words"]
    seconds, speed = words["processor_seconds_per_epoch"], words["speed_up"]
    measured = [
        f"{words['words']:,} words, vocabulary {words['vocabulary']:,}",
        *[f"{seconds[name]:.0f}" for name in ("elman", "torch")],
        *[f"{speed[name]:.2f}" for name in ("processor", "wall")],
    ]
    lines += [
        "",
        "| word language model | processor seconds per epoch, Elman | torch.nn | speed-up | "
        "in wall time |",
        "|---|---:|---:|---:|---:|",
        f"| {' | '.join(measured)} |",
    ]
    return "\n".join(lines) + "\n"


def transducer() -> str:
    """A transducer beside CTC with the same processor time."""
    record = read("transducer")
    names = {
        "ctc": "CTC",
        "transducer": "transducer",
        "transducer after ctc": "CTC for half the time, then a transducer with its encoder",
    }
    settings = record["settings"]
    lines = [
        "| | parameters | epochs | WER, greedy | WER, beam 8 | real-time factor, greedy | beam 8 |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for key, title in names.items():
        row = record[key]
        rates = [f"{100 * row[f'test wer, beam {beam}']:.1f}" for beam in (1, 8)]
        speeds = [f"{row[f'real-time factor, beam {beam}']:.3f}" for beam in (1, 8)]
        values = " | ".join([f"{row['parameters']:,}", str(row["epochs"]), *rates, *speeds])
        lines.append(f"| {title} | {values} |")
    lines += [
        "",
        f"`python benchmarks/transducer.py --minutes {settings['minutes']:g}`: "
        f"{settings['strings']} strings, {settings['minutes']:g} minutes of processor time for "
        f"each row, one thread, seed {settings['seed']}. A training step on 16 recordings of 10 s "
        f"with 150 symbols each used {record['GB of a step']:.2f} GB, PyTorch included.",
    ]
    return "\n".join(lines) + "\n"


def speed() -> str:
    """README's table of speed-ups: the geometric mean over shapes, and the smallest."""
    record = read("engine")
    found: dict[str, dict[int, str]] = {}
    for row in record["targets"]:
        # figures exclude pairs with different values
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


def engine(name: str = "engine") -> str:
    """Each speed target with the worst shape and the mean of all shapes, on one processor."""
    record = read(name)
    machine = record["machine"]
    lines = [
        "| comparison | threads | shapes | worst | geometric mean | required | result |",
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
        if row.get("differing"):  # missing in the figures of older runs
            shapes += f", and {row['differing']} with different values"
        worst, mean = (
            "" if row[name] is None else f"{row[name]:.2f} {unit}" for name in ("worst", "mean")
        )
        lines.append(
            f"| {target['title']} | {row['threads']} | {shapes} | {worst} "
            f"| {mean} | {', '.join(asked)} | {row['verdict']} |"
        )
    lines += [
        "",
        f"Ratios of the rival's time to Elman's, medians of interleaved runs in one process; "
        f"`python benchmarks/engine.py` on {machine['processor']}, {machine['cores']} cores, torch "
        f"{machine['torch']}, Python {machine['python']}.",
    ]
    return "\n".join(lines) + "\n"


def tasks_beside_torch() -> str:
    """Seconds per epoch of tasks, compared with the same models on torch.nn."""
    record = read("tasks_beside_torch")
    machine = record["machine"]
    lines = [
        "| task | threads | Elman, s per epoch | torch.nn, s per epoch | ratio | validation, Elman "
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
    """The cost of each regulariser in a training step: the mean over shapes, and the worst."""
    record = read("noise")
    ratios: dict[str, dict[int, list[float]]] = {}
    for _, _, threads, kind, ratio, _ in record["rows"]:
        if kind != "plain":
            ratios.setdefault(kind, {}).setdefault(threads, []).append(ratio)
    lines = [
        "| training step, relative to the plain layer | 1 thread | 2 threads |",
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
        "`python benchmarks/noise.py 2`: geometric mean (worst) over LSTM and GRU at three shapes.",
    ]
    return "\n".join(lines) + "\n"


def c_step() -> str:
    """Nanoseconds per step of exported C and its rivals, and the sizes on a microcontroller."""
    record = read("c_step")
    titles = ["Elman's C", "Elman's C, int8", "RTNeural, EIGEN", "RTNeural, XSIMD", "ONNX Runtime"]
    titles.append("layer.step")
    measured = all([size is not None for row in record["rows"] for size in row["cortex"].values()])
    last = ["x 48 kHz", *(["flash, KB: float32 (int8)"] if measured else [])]
    lines = [
        f"| layer | {' | '.join([*titles, *last])} |",
        f"|---|{'---:|' * (len(titles) + len(last))}",
    ]
    for row in record["rows"]:
        inputs, units = row["sizes"]
        medians = [row["times"][title]["median"] for title in titles]
        cells = [f"{median:,.0f}" for median in medians]
        cells.append(f"{1e9 / 48_000 / medians[0]:.1f}")
        if measured:
            flash = [(size["code"] + size["tables"]) / 1024 for size in row["cortex"].values()]
            cells.append(f"{flash[0]:.1f} ({flash[1]:.1f})")
        lines.append(f"| {row['cell'].upper()} {inputs} x {units} | {' | '.join(cells)} |")
    lines += [
        "",
        "Median nanoseconds per step, one thread, interleaved in one process "
        f'(`benchmarks/c_step.py`); {sentence(record["machine"])}  "x 48 kHz" is how many times '
        "as fast as real time Elman's float32 code runs at one step per sample."
        + (" Flash is code and weights on a Cortex-M4 (`-O2`)." if measured else ""),
    ]
    return "\n".join(lines) + "\n"


def matrix_states() -> str:
    """How many times as fast as torch the cells with a matrix state are."""
    record = read("matrix_states")
    lines = [
        "| cell | steps, batch | threads | inference | training |",
        "|---|---|---:|---:|---:|",
    ]
    for row in record["rows"]:
        lines.append(
            f"| {row['cell']} | {row['time']:,}, {row['batch']} | {row['threads']} "
            f"| {row['inference']['ratio']:.1f} | {row['training']['ratio']:.1f} |"
        )
    lines += [
        "",
        "How many times as fast as the faster of the loops in torch; medians, interleaved in one "
        f"process (`benchmarks/matrix_states.py`); {sentence(record['machine'])}",
    ]
    return "\n".join(lines) + "\n"


def int8_steps() -> str:
    """The time of a step with int8 weights, and what two shipped models lose by them."""
    record = read("int8_steps")
    names = list(record["steps"][0]["us"])
    lines = [f"| batch, units | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]
    for row in record["steps"]:
        times = " | ".join([f"{row['us'][name]:.1f} µs" for name in names])
        lines.append(f"| {row['batch']}, {row['hidden']:,} | {times} |")
    lost = [
        f"{row['model']}: {row['float32']:.4f} {row['metric'].replace('_', ' ')} in float32, "
        f"{row['int8']:.4f} with int8"
        for row in record["losses"]
    ]
    lines += [
        "",
        "A step of an LSTM, called from Python, on one thread; medians, interleaved in one process "
        f"(`benchmarks/int8_steps.py`); {sentence(record['machine'])} The shipped models on their "
        f"test data: {'; '.join(lost)}.",
    ]
    return "\n".join(lines) + "\n"


def published_cells() -> str:
    """Published cells beside loops in torch, before and now, and what they had to do for it."""
    record = read("published_cells")
    shapes = [
        f"{one['time']:,} steps, batch {one['batch']}, {one['hidden']} units"
        for one in record["rows"][0]["shapes"]
    ]
    lines = [
        f"| cell | {' | '.join(shapes)} | largest error | no longer needed | not as in the paper |",
        "|---|---|---|---|---:|---|---|",
    ]
    for row in record["rows"]:
        source = re.search(r"\([^()]*\d{4}[^()]*\)", row["doc"])
        assert source, row["doc"]
        cells = [f"{row['cell']} {source.group()}"]
        for k, shape in enumerate(row["shapes"]):
            now = _pair(shape, "ratio")
            now += f" [{_pair(shape, 'best')}]" if row["rivals"] else ""
            before = row["before"][k] if row["before"] else "-"
            before += f" [{row['before_best'][k]}]" if row["before_best"] else ""
            cells.append(now if before == "-" else f"{before} → {now}")
        cells += [f"{row['largest_error']:.0e}", row["gone"], row["left"]]
        lines.append(f"| {' | '.join(cells)} |")
    means = record["geometric_means"]
    pairs = zip(means["training"], means["inference"], strict=True)
    total = " | ".join([f"{_plain(a)}/{_plain(b)}" for a, b in pairs])
    measured = [one[what] for row in record["rows"] for one in row["shapes"] for what in means]
    fewest = min([each["runs"] for each in measured])
    lines += [
        f"| geometric mean of {len(record['rows'])} | {total} | | | |",
        "",
        "How many times as fast as the loop in torch, training/inference, before → now; in "
        "brackets, as the fastest of the loop and other rivals.  The ratios before are from "
        "another day and a processor with AVX-512 (Zen 4), beside other loops.  "
        f"Float32, one thread; medians of {fewest} or more runs, interleaved in one process, by "
        "its processor time, because other work ran on the machine (load average "
        f"{record['load_average']:g}).  The errors are the largest of values and all gradients in "
        f"float64.  `{record['command']}`; {sentence(record['machine'])}",
    ]
    return "\n".join(lines) + "\n"


def _pair(shape: Mapping[str, Any], which: str) -> str:
    """The ratios of training and inference."""
    return "/".join([_plain(shape[what][which]) for what in ("training", "inference")])


def _plain(ratio: float) -> str:
    return f"{ratio:.1f}" if ratio >= 0.95 else f"{ratio:.2f}"


def series_forecasts() -> str:
    """The MASE of forecasts beside seasonal naive, ETS and an LSTM."""
    found = read("series")["forecasts"]
    lines = [
        "| series | horizon | chosen: strategy, anchor, transform | Elman, each seed | mean | "
        "seasonal naive | ETS | LSTM (neuralforecast) | coverage of 80 % | "
        "seconds, Elman / LSTM |",
        "|---|---:|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    means: dict[str, list[float]] = {"elman": [], "seasonal naive": [], "ets": [], "lstm": []}
    for name, row in found["elman"].items():
        rivals = found["rivals"][name]
        own = [run["test"]["mase"] for run in row["runs"]]
        each = {"elman": statistics.mean(own)}
        each |= {key: statistics.mean(rivals[key]) for key in ("seasonal naive", "ets", "lstm")}
        for key, value in each.items():
            means[key].append(value)
        inside = 100 * statistics.mean([run["test"]["coverage"] for run in row["runs"]])
        seconds = statistics.mean([run["seconds"] for run in row["runs"]])
        chosen = ", ".join([row[key] for key in ("strategy", "anchor", "transform")])
        cells = [name, str(row["horizon"]), chosen, _list(own, 2)]
        cells += [f"{each[key]:.2f}" for key in means]
        cells += [f"{inside:.0f}", f"{seconds:.0f} / {rivals['lstm seconds']:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    total = " | ".join([f"{statistics.mean(values):.2f}" for values in means.values()])
    lines.append(f"| mean | | | | {total} | | |")
    return "\n".join(lines) + "\n"


def series_classes() -> str:
    """The accuracy of classes beside MiniRocket and one nearest neighbour."""
    found = read("series")["classes"]
    lines = [
        "| data | Elman, each seed | mean | MiniRocket | 1-NN DTW | seconds, Elman / MiniRocket |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for name, row in found["elman"].items():
        rivals = found["rivals"][name]
        own = [100 * run["test"] for run in row["runs"]]
        seconds = statistics.mean([run["seconds"] for run in row["runs"]])
        cells = [name, _list(own), f"{statistics.mean(own):.1f}"]
        cells += [f"{100 * statistics.mean(rivals[key]):.1f}" for key in ("minirocket", "dtw")]
        cells.append(f"{seconds:.0f} / {rivals['minirocket seconds']:.0f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def torch_programs() -> str:
    """Milliseconds of exported torch programs beside the layer and torch.nn."""
    record = read("torch_programs")
    titles = list(record["rows"][0]["milliseconds"])
    lines = [f"| layer | {' | '.join(titles)} |", f"|---|{'---:|' * len(titles)}"]
    for row in record["rows"]:
        steps, batch, inputs, hidden = row["shape"]
        cells = [f"{row['milliseconds'][title]:.3g}" for title in titles]
        shape = f"{steps} steps, batch {batch}, {inputs} x {hidden}"
        lines.append(f"| {row['layer']}, {shape} | {' | '.join(cells)} |")
    lines += [
        "",
        "Median milliseconds per call, inference, one thread, interleaved in one process "
        f"(`benchmarks/torch_programs.py`); {sentence(record['machine'])}",
    ]
    return "\n".join(lines) + "\n"


def one_to_one() -> str:
    """F1 with and without recurrence, on sentences that differ from training."""
    record = read("one_to_one")
    shifts = [f"shifted by {shift}" if shift else "short" for shift in record["shifts"]]
    lines = [
        f"| trained on at most {record['short']} words | {' | '.join(shifts)} | longer |",
        f"|---|{'---:|' * (len(shifts) + 1)}",
    ]
    names = [*[f"shift-{shift}" for shift in record["shifts"]], "long"]
    for row in record["rows"]:
        means = [100 * statistics.mean([run["f1"][name] for run in row["runs"]]) for name in names]
        lines.append(f"| {row['name']} | {' | '.join([f'{mean:.1f}' for mean in means])} |")
    seeds = ", ".join([str(run["seed"]) for run in record["rows"][0]["runs"]])
    lines += ["", f"`{record['command']}`, mean over seeds {seeds}."]
    return "\n".join(lines) + "\n"


def dna() -> str:
    """Base and exact exon accuracy of genes, on the original and on cut sequences."""
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
        lines.append(f"| {_shown(row['name'])} | {' | '.join(cells)} | {_minutes(runs)} |")
    seeds = sorted({run["seed"] for row in record["rows"] for run in row["runs"]})
    lines += [
        "",
        f"`{record['command']}`, seeds {', '.join(map(str, seeds))} in this order, 1 thread; "
        f"{machine['processor']}, {machine['cores']} cores; torch {machine['torch']}, Python "
        f"{machine['python']}.",
    ]
    return "\n".join(lines) + "\n"


def dna_genome() -> str:
    """Exons, coding bases and genes of a chromosome, beside AUGUSTUS."""
    record = read("dna_genome")
    lines = [
        "| model | chromosome | exons, F1 | coding bases, F1 | genes exact | genes found |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for part, name in (
        ("valid", "X without pseudogenes (validation)"),
        ("test", "III (test)"),
    ):
        each = record[part]
        rows = [("shipped", each), *[(f"- {sign} strand", each["strands"][sign]) for sign in "+-"]]
        lines += [
            f"| {title} | {name} | {own['exon_f1']:.1f} | {own['coding_f1']:.1f} "
            f"| {own['genes_right']} of {own['genes']} | {own['genes_found']} |"
            for title, own in rows
        ]
    total = record["test"]["genes"]
    lines += [
        f"| {title} | III (test) | {own['exon_f1']:.1f} | {own['coding_f1']:.1f} "
        f"| {own['genes_right']} of {total} | |"
        for title, own in record["others"].items()
    ]
    lines += [
        "",
        f"`{record['command']}`, {record['epochs']} epochs, {record['minutes']} minutes, 1 thread; "
        f"{record['machine']['processor']}. In 100,000 random bases the model finds "
        f"{record['random_genes'] or 'no'} genes.",
        "",
        "| seed | exons of X by `elman evaluate`, F1 | exons of III, F1 | coding bases of III, F1 "
        "| genes exact |",
        "|---|---:|---:|---:|---:|",
        *[
            f"| {seed} | {100 * each['valid']:.1f} | {each['exon_f1']:.1f} "
            f"| {each['coding_f1']:.1f} | {each['genes_right']} |"
            for seed, each in record["seeds"].items()
        ],
    ]
    return "\n".join(lines) + "\n"


def splice() -> str:
    """The ten folds of the splice junctions."""
    record = read("splice")
    errors = ", ".join([f"{k} {100 * v:.1f} %" for k, v in record["errors"].items()])
    return (
        f"Accuracy {100 * record['accuracy']:.1f} % over all ten folds (each: "
        f"{_list([100 * value for value in record['folds']])}); error rates: {errors}. "
        f"{record['seconds'] / 60:.1f} minutes for all folds, seed {record['seed']}, 1 thread; "
        f"`{record['command']}`.\n"
    )


def sentiment_folds() -> str:
    """Accuracy on each tenth of the sentences, in cross-validation."""
    record = read("sentiment_folds")
    lines = ["| model | mean | folds 0 to 9 |", "|---|---:|---|"]
    for row in record["rows"]:
        folds = _list([100 * value for value in row["folds"]])
        lines.append(f"| {row['name']} | {100 * row['mean']:.1f} | {folds} |")
    longest = max(row["longest_seconds"] for row in record["rows"])
    lines += ["", f"`{record['command']}`, seed 0, 1 thread, at most {longest} s of training each."]
    return "\n".join(lines) + "\n"


def small_data() -> str:
    """Trainings without options on small data, beside the rival of each."""
    record = read("small_data")
    lines = [
        "| data | model without options | each seed | seconds | rival | seconds |",
        "|---|---:|---|---:|---|---:|",
    ]
    for row in record["rows"]:
        scale, digits = (100, 1) if row["unit"] == "%" else (1, 2)
        scores = [scale * run["test"][row["metric"]] for run in row["runs"]]
        spent = max([run["processor_seconds"] for run in row["runs"]])
        rival = row["rival"]
        if row["rival_score"] is not None:
            rival += f": {scale * row['rival_score']:.{digits}f}"
        lines.append(
            f"| {row['name']}, {row['metric']} | {statistics.mean(scores):.{digits}f} "
            f"| {_list(scores, digits)} | {spent:.0f} | {rival} | {row['rival_seconds']:.0f} |"
        )
    lines += [
        "",
        f"`{record['command']} --minutes {record['minutes']:g}`: processor seconds of one thread, "
        "start and reading included, of the longest training. "
        f"{sentence(record['machine'])}",
    ]
    return "\n".join(lines) + "\n"


def motion_limits() -> str:
    """The accuracy of boosted trees on the motion itself, and windows without a turn."""
    record = read("motion_limits")
    styles = ", ".join([f"{style} {100 * v:.0f}" for style, v in record["left_out"].items()])
    return (
        f"Accuracy with each training style left out in turn: {styles}; on the test styles: "
        f"{100 * record['test']:.1f} (`{record['command']}`). 95 % of the walking windows turn by "
        f"at most {record['walking_turns_degrees']:.0f} degrees, and "
        f"{100 * record['turning_that_turns_no_further']:.0f} % of the turning windows turn no "
        "further.\n"
    )


def selection() -> str:
    """The default and the best trial of a search, each measured once on test data."""
    record = read("selection")
    lines = [
        "| task, metric | default, validation | default, test | best, validation | best, test "
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
        found += [f"- {row['job']}, best trial: {options}. Importance: {parts}."]
    hours = {(60 * row["hours"], row["workers"]) for row in record["rows"]}
    times = ", ".join([f"{minutes:.0f} minutes, workers: {n}" for minutes, n in sorted(hours)])
    lines += ["", *found, "", f"`{record['command']}`, seed 0, 1 thread; {times}."]
    return "\n".join(lines) + "\n"


def bulk_prediction() -> str:
    """Inputs per second and peak memory of `elman predict --in --out`."""
    record = read("large_data")["prediction"]
    lines = ["| lines | inputs per second | peak memory, libraries included |", "|---:|---:|---:|"]
    for row in record["rows"]:
        lines.append(
            f"| {row['lines']:,} | {row['inputs_per_second']:,} | {row['peak_megabytes']:,} MB |"
        )
    lines += ["", f"Model `sentiment`, texts of 12 words, one thread; {_measured(record)}"]
    return "\n".join(lines) + "\n"


def streamed_training() -> str:
    """Tokens per second and peak memory of streamed training."""
    record = read("large_data")["training"]
    lines = [
        "| text | processes | seconds to the first batch | tokens per second | peak memory of a "
        "process |",
        "|---:|---:|---:|---:|---:|",
    ]
    for row in record["rows"]:
        lines.append(
            f"| {row['gigabytes']:g} GB | {row['processes']} | {row['seconds_to_first_batch']:.0f} "
            f"| {row['tokens_per_second']:,} | {row['peak_megabytes']:,} MB |"
        )
    lines += ["", f"Model `sentiment`, a thread per process, batches of 64; {_measured(record)}"]
    return "\n".join(lines) + "\n"


def serve_load() -> str:
    """Requests, latency and memory of the service under load, and with bad clients."""
    found = read("serve_load")
    load, soak = found["load"], found["soak"]
    rows = [
        ("clients", "clients", "{:,}"),
        ("seconds", "seconds", "{:g}"),
        ("requests", "requests", "{:,}"),
        ("requests per second", "requests_per_second", "{:g}"),
        ("processor time of the service per request", "processor_ms_per_request", "{:g} ms"),
        ("fraction of a core that the service got", "part_of_a_core", "{:.2f}"),
        ("latency at 50 %", "ms_at_50", "{:,.0f} ms"),
        ("latency at 99 %", "ms_at_99", "{:,.0f} ms"),
        ("memory in the first tenth of the time", "megabytes_first_tenth", "{:.0f} MB"),
        ("memory in the last tenth", "megabytes_last_tenth", "{:.0f} MB"),
        ("lost requests", "lost", "{}"),
        ("wrong answers", "wrong", "{}"),
        ("exceptions in the service", "tracebacks", "{}"),
    ]
    lines = ["| | load | soak |", "|---|---:|---:|"]
    for title, key, form in rows:
        # in the soak, most of it goes to the streams of bad clients
        other = "" if key == "processor_ms_per_request" else form.format(soak[key])
        lines.append(f"| {title} | {form.format(load[key])} | {other} |")
    kinds = ("cut", "noise", "stream", "frame", "quiet")
    bad = sum([soak["bad_clients"].get(kind, 0) for kind in kinds])
    lines += [
        "",
        f"Model `{load['task']}`, texts of 1 to 30 words. In the soak, eight more clients broke "
        f"off requests, sent random bytes and damaged frames, and left streams: {bad:,} times. "
        f"{_measured(load)}",
    ]
    return "\n".join(lines) + "\n"


def _measured(record: Mapping[str, Any]) -> str:
    """How figures of a whole machine were measured."""
    return (
        f"`{record['command']}` on {sentence(record['machine'])} Load average while it ran: "
        f"{record['load_average']:g}."
    )


def _shown(name: str) -> str:
    return SHOWN.get(name, name)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _list(values: Sequence[float], digits: int = 1) -> str:
    return " ".join([f"{value:.{digits}f}" for value in values])


def _minutes(runs: Sequence[Mapping[str, Any]]) -> str:
    """The minutes of the longest training."""
    return f"{max([run['minutes'] for run in runs]):.1f}"


if __name__ == "__main__":
    print(summary())
    print(speed())
