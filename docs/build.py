"""Generate content from the code: equations, options, tables of figures, pictures of tasks.

    python docs/build.py

``make docs`` runs it before mkdocs.  The output is in ``docs/generated/``, which git ignores; do
not edit it.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from elman import cells, diagnose, shipped
from elman.diagnose import standings
from elman.files import write_whole
from elman.graph import Cell, Parameter
from elman.options import described, known_options
from elman.serve.cells import mathml
from elman.tasks import TASKS, Data, load, train
from elman.tasks.small_data import SmallData
from elman.tasks.task import Task
from elman.training import LoopOptions
from elman.training.progress import Silence

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent / "benchmarks"))
sys.path.insert(0, str(DOCS))
from cell_guide import GROUPS  # noqa: E402

import tables  # noqa: E402

GENERATED = DOCS / "generated"


def equations() -> str:
    """The catalogue in groups, with a section for each cell."""
    parts = []
    missing = set(cells.ALL) - {name for group in GROUPS.values() for name in group}
    if missing:
        raise SystemExit(f"docs/cell_guide.py lacks {', '.join(sorted(missing))}")
    for title, group in GROUPS.items():
        parts.append(f"## {title}\n")
        parts += [_section(cells.ALL[name], when) for name, when in group.items()]
    return "\n".join(parts)


def _section(cell: Cell, when: str) -> str:
    """When to take the cell, its equations, text, parameters and LaTeX."""
    mathematics = mathml(cell)  # needs no script or network
    keys: dict[str, list[str]] = {}
    for parameter in cell.parameters:
        keys.setdefault(_shape(parameter), []).append(f"`{parameter.key}`")
    shapes = "; ".join([f"{', '.join(names)} {shape}" for shape, names in keys.items()])
    inputs = ", ".join([f"`{name}` ({size})" for name, size in cell.inputs])
    inputs = f"Inputs beside x: {inputs}.  " if inputs else ""
    return "\n".join(
        [
            f"### {cell.name} {{ #{cell.name} }}",
            "",
            f"{cell.doc} {when}" if cell.doc.endswith(".") else f"{cell.doc}. {when}",
            "",
            f'<div class="equations">{mathematics}</div>',
            "",
            f"`elman cells {cell.name}` prints the equations as text:",
            "",
            "```text",
            str(cell),
            "```",
            "",
            f"States: {', '.join([_state(cell, name) for name in cell.states])}; the first is the "
            f"output of a layer.  {inputs}Parameters: {shapes}.",
            "",
            '??? note "LaTeX"',
            "    ```latex",
            *[f"    {line}" for line in cell.latex().splitlines()],
            "    ```",
            "",
        ]
    )


def _state(cell: Cell, name: str) -> str:
    """A state, with its size if that is not hidden."""
    return f"`{name}`" + (f" ({cell.sizes[name]})" if name in cell.sizes else "")


def _shape(parameter: Parameter) -> str:
    """The shape of a parameter as text: (hidden,), or (hidden, hidden + input)."""
    sizes = " + ".join(parameter.columns)
    if parameter.kind == "vector":
        return "(hidden, keys of a head)" if sizes == "memory" else f"({sizes or 'hidden'},)"
    return f"({parameter.rows}, {f'{sizes} / {parameter.heads}' if parameter.heads > 1 else sizes})"


def options() -> str:
    """A table of training options, then tables of training and prediction options per task."""
    parts = ["## Training", "", *_options(LoopOptions())]
    for task in TASKS.values():
        parts += [f"## {task.name}", "", f"{task.title[0].upper()}{task.title[1:]}.", ""]
        parts += _options(task.Options(), task.small_data)
        parts += _small_data(task)
        asked = _options(task.PredictOptions())
        parts += ["Prediction options:", "", *asked] if asked else []
    return "\n".join(parts)


def _small_data(task: Task) -> list[str]:
    """The options of training that have another default for small data."""
    ordinary = vars(task.training)
    rules = {name: rule for name, rule in task.small_data.items() if name in ordinary}
    if not rules:
        return []
    lines = [f"- `{name}`: {rule.text(ordinary[name])}" for name, rule in rules.items()]
    return ["Defaults of training that depend on the amount of data:", "", *lines, ""]


def _options(
    values: object, small_data: Mapping[str, SmallData] = MappingProxyType({})
) -> list[str]:
    rows = []
    for name, each in known_options([type(values)]).items():
        default = getattr(values, name)
        if name in small_data:
            default = small_data[name].text(default)
        if default is None or isinstance(default, bool):
            default = {True: "yes", False: "no", None: "none"}[default]
        cells = [
            f"`{name}`",
            f"{each.metadata['help']}",
            described(type(values), name),
            str(default),
        ]
        rows.append(" | ".join([cell.replace("|", "\\|") for cell in cells]))
    head = ["option | meaning | values | default", "--- | --- | --- | ---"]
    return [f"| {row} |" for row in [*head, *rows]] + [""] if rows else []


def pictures() -> None:
    """The pictures of the demo, and the curves of the training that the page on training runs."""
    for name in sorted(shipped.models().keys() & TASKS.keys()):
        task = TASKS[name]
        load(name).answers_and_files(list(task.demo.values()), **task.demo_settings(GENERATED))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        task = TASKS["ner"]
        for name, content in task.samples().items():
            write_whole(place / name, content)
        settings = {
            "learning_rate": 0.01, "epochs": 12, "hidden_size": 32, "threads": 1,
        }  # fmt: skip
        data = Data(place / task.train_file, place / task.valid_file)
        train(task, data, place / "run", settings, progress=Silence())
        write_whole(GENERATED / "curves.png", (place / "run" / "curves.png").read_bytes())


def main() -> None:
    """Write every generated page."""
    write_whole(GENERATED / "equations.md", equations())
    write_whole(GENERATED / "summary.md", tables.summary())
    write_whole(GENERATED / "options.md", options())
    for question in (
        "sentiment", "sentiment_encoders", "named_entities", "named_entities_encoders", "speech",
        "music", "music_voices", "video", "translation",
    ):  # fmt: skip
        write_whole(GENERATED / f"{question}.md", tables.details(question))
    write_whole(GENERATED / "open_speech.md", tables.open_speech())
    write_whole(GENERATED / "transducer.md", tables.transducer())
    write_whole(GENERATED / "series_forecasts.md", tables.series_forecasts())
    write_whole(GENERATED / "series_classes.md", tables.series_classes())
    write_whole(GENERATED / "language.md", tables.language())
    write_whole(GENERATED / "named_entities_case.md", tables.named_entities_case())
    write_whole(GENERATED / "sentiment_negation.md", tables.sentiment_negation())
    write_whole(GENERATED / "negation.md", tables.negation())
    write_whole(GENERATED / "other_languages.md", tables.other_languages())
    write_whole(GENERATED / "music_tunes.md", tables.music_tunes())
    write_whole(GENERATED / "dna.md", tables.dna())
    write_whole(GENERATED / "dna_genome.md", tables.dna_genome())
    write_whole(GENERATED / "splice.md", tables.splice())
    write_whole(GENERATED / "engine.md", tables.engine())
    write_whole(GENERATED / "engine_zen4.md", tables.engine("engine_zen4"))
    write_whole(GENERATED / "engine_avx2.md", tables.engine("engine_avx2"))
    write_whole(GENERATED / "one_to_one.md", tables.one_to_one())
    write_whole(GENERATED / "motion_limits.md", tables.motion_limits())
    write_whole(GENERATED / "small_data.md", tables.small_data())
    write_whole(GENERATED / "noise.md", tables.noise())
    write_whole(GENERATED / "c_step.md", tables.c_step())
    write_whole(GENERATED / "matrix_states.md", tables.matrix_states())
    write_whole(GENERATED / "int8_steps.md", tables.int8_steps())
    write_whole(GENERATED / "published_cells.md", tables.published_cells())
    write_whole(GENERATED / "torch_programs.md", tables.torch_programs())
    write_whole(GENERATED / "selection.md", tables.selection())
    write_whole(GENERATED / "sentiment_folds.md", tables.sentiment_folds())
    write_whole(GENERATED / "tasks_beside_torch.md", tables.tasks_beside_torch())
    write_whole(GENERATED / "bulk_prediction.md", tables.bulk_prediction())
    write_whole(GENERATED / "streamed_training.md", tables.streamed_training())
    write_whole(GENERATED / "serve_load.md", tables.serve_load())
    write_whole(GENERATED / "long_term.md", tables.long_term())
    write_whole(GENERATED / "long_term.png", standings.draw(tables.long_term_courses()))
    pictures()
    # the first plot of tutorials/diagnose.md, from the same call
    compared = diagnose(cells.rnn, cells.lstm, cells.gru)
    write_whole(GENERATED / "gradients.png", compared.plot())


if __name__ == "__main__":
    main()
