"""The command line: one command for each verb, made from the jobs' options.

    elman demo | new | check | train | evaluate | predict | cells | benchmark | diagnose

Answers go to standard output, everything else to standard error.  Whatever a user can put right
ends with one sentence and the exit status 1; a mistake on the command line itself with 2.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from elman import cells as cell_catalogue
from elman.errors import ElmanError, OptionError

app = typer.Typer(
    name="elman",
    help="Recurrent sequence models from the equations of their cells.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
train_app = typer.Typer(
    help="Train a model on your own data: [bold]elman train ner --train d/train.conll[/]",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
app.add_typer(train_app, name="train")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def main() -> None:
    """Run the command line; ends the process."""
    try:
        app()
    except ElmanError as error:
        print(f"elman: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


@app.command(epilog="Example: elman demo ner")
def demo(
    jobs: Annotated[list[str] | None, typer.Argument(metavar="[JOB]...")] = None,
    out: Annotated[Path, typer.Option(help="The folder for its pictures, tune and sound.")] = Path(
        "elman-demo"
    ),
) -> None:
    """The poster, live: shipped models on the poster's inputs."""
    from elman.tasks import TASKS, load

    console = _console()
    written = False
    for name in jobs or TASKS:
        task = _task(name)
        started = time.perf_counter()
        model = load(name)
        settings = task.poster_settings(out)
        answers = model(list(task.POSTER.values()), **settings)
        seconds = time.perf_counter() - started
        console.print(f"[bold]{task.TITLE}[/]")
        for said, answer in zip(task.POSTER, answers, strict=True):
            console.print(f"  [dim]in [/] {said}", soft_wrap=True)
            shown = task.show(answer).replace("\n", "\n      ")
            console.print(f"  [dim]out[/] {shown}", soft_wrap=True)
        written = written or bool(settings)
        console.print(f"  [dim]{seconds:.1f} s, model loaded and asked[/]\n")
    if written:
        console.print(f"Pictures, tune and sound are in {out}.", soft_wrap=True)


@app.command(epilog="Example: elman new ner d")
def new(
    job: Annotated[str, typer.Argument(metavar="JOB")],
    folder: Annotated[Path, typer.Argument(metavar="DIR")],
) -> None:
    """A folder with a few example files in the job's format, and a run file, ready to train."""
    from elman.files import write_whole
    from elman.tasks.run_file import run_file

    task = _task(job)
    files = {**task.samples(), "run.toml": run_file(task)}
    for name in files:
        if (folder / name).exists():
            raise OptionError(
                f"{folder / name}: this file is there already, and it stays untouched; choose "
                "another folder."
            )
    for name, content in files.items():
        write_whole(folder / name, content)
    console = _console()
    # a folder of many files is one word
    console.print(f"{folder}: {', '.join(dict.fromkeys([name.split('/')[0] for name in files]))}")
    console.print(
        f"Next:  elman check {job} {folder / task.TRAIN_FILE}\n"
        f"       elman train {job} --run-file {folder / 'run.toml'} --max-minutes 1",
        soft_wrap=True,
    )


@app.command(epilog="Example: elman check ner d/train.conll")
def check(
    job: Annotated[str, typer.Argument(metavar="JOB")],
    data: Annotated[Path, typer.Argument(metavar="DATA")],
    text_column: Annotated[str, typer.Option(help="The column with the text.")] = "text",
    label_column: Annotated[str, typer.Option(help="The column with the label.")] = "label",
    file_column: Annotated[str, typer.Option(help="The column with the film's file.")] = "file",
    as_json: Json = False,
) -> None:
    """Find what is wrong in the data before training does."""
    from elman.tasks.options import with_settings

    task = _task(job)
    columns = {
        "text_column": text_column,
        "label_column": label_column,
        "file_column": file_column,
    }
    report = task.check(data, with_settings(task.Options(), columns))
    if as_json:
        record = {
            "path": str(data),
            "problems": report.problems,
            "warnings": report.warnings,
            "facts": report.facts,
        }
        print(json.dumps(record, ensure_ascii=False))
    else:
        _show_report(report)
    if report.problems:
        raise typer.Exit(1)


def _show_report(report: Any) -> None:
    from rich.markup import escape

    console = _console()
    for name, value in report.facts.items():
        if isinstance(value, dict):
            value = ", ".join([f"{key} {number}" for key, number in value.items()])
        console.print(f"[dim]{str(name).replace('_', ' ')}:[/] {escape(str(value))}")
    for warning in report.warnings:
        console.print(f"[yellow]note:[/] {escape(warning)}", soft_wrap=True)
    for problem in report.problems:
        console.print(f"[red]problem:[/] {escape(problem)}", soft_wrap=True)
    if not report.problems:
        console.print("[green]ready to train[/]")


def evaluate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run folder or a shipped model.")],
    data: Annotated[Path, typer.Argument(metavar="DATA")],
    as_json: Json = False,
    **wanted: Any,
) -> None:
    """The job's metrics on a data file."""
    from elman.tasks import load

    scores = load(run).evaluate(data, **_given(wanted))
    if as_json:
        print(json.dumps(scores, ensure_ascii=False))
    else:
        _show_scores(scores)


def _show_scores(scores: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(box=None, show_header=False)
    for name, value in scores.items():
        if not isinstance(value, dict):
            table.add_row(name, f"{value:.4f}" if isinstance(value, float) else str(value))
    _console().print(table)
    for kind, each in scores.get("per_type", {}).items():
        _console().print(
            f"  {kind}: " + ", ".join([f"{name} {value:.4f}" for name, value in each.items()])
        )


def predict(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run folder or a shipped model.")],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[INPUT]...", help="Texts, files or folders; else standard input."),
    ] = None,
    as_json: Json = False,
    stream: Annotated[
        bool,
        typer.Option("--stream", help="Answer while sound or film arrives on standard input."),
    ] = False,
    **wanted: Any,
) -> None:
    """A trained model's answers."""
    from elman.tasks import load

    model = load(run)
    settings = _given(wanted)
    console = _console()
    if stream:
        for line in model.stream(sys.stdin.buffer, **settings):
            console.print(line, soft_wrap=True, highlight=False)
        return
    asked: list[Any] = []
    for source in _sources(model.task.INPUT, inputs or []):
        if isinstance(source, Path):
            asked += model.task.read_inputs(source, model.options)
        else:
            asked.append(source)
    answers = model(asked, **settings)
    if as_json:
        records = [model.task.record(answer) for answer in answers]
        print(json.dumps({"predictions": records}, ensure_ascii=False))
    else:
        for answer in answers:
            console.print(model.task.show(answer), soft_wrap=True, highlight=False)


def _sources(kind: str, inputs: Sequence[str]) -> Sequence[str | Path | None]:
    """Paths where there are files of that name, texts elsewhere; the lines of standard input."""
    if not inputs and kind == "nothing":
        return [None]
    if not inputs and kind == "file":
        raise OptionError("an input is missing; name a file or a folder.")
    if not inputs:
        if sys.stdin.isatty():
            print("Type a text and press Enter; end with Ctrl-D.", file=sys.stderr)
        lines = _read_standard_input()
        return [line.strip() for line in lines if line.strip()]
    found: list[str | Path] = []
    for value in inputs:
        path = Path(value)
        if len(value) < 1000 and path.exists():
            found.append(path)
        elif kind != "text" or (path.suffix.lower() in _TEXT_FILES and " " not in value):
            raise OptionError(f"{value}: there is no such file; check its name and folder.")
        elif not value.strip():
            raise OptionError("an input is empty; give a text, a file or a folder.")
        else:
            found.append(value)
    return found


#: a word that ends so was meant as the name of a file
_TEXT_FILES = (".csv", ".tsv", ".jsonl", ".txt", ".conll", ".fa", ".fasta")


def _read_standard_input() -> list[str]:
    try:
        lines = sys.stdin.buffer.read().decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise OptionError(
            f"standard input: byte {error.start} is not UTF-8; convert the text to UTF-8."
        ) from error
    if not any(line.strip() for line in lines):
        raise OptionError("standard input is empty; give a text on each line.")
    return lines


@app.command(epilog="Example: elman cells lstm --plan --hidden-size 512")
def cells(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]")] = None,
    latex: Annotated[bool, typer.Option("--latex", help="Print LaTeX.")] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print what the native engine does on this machine.")
    ] = False,
    input_size: Annotated[int, typer.Option(min=1, help="Features of x, for --plan.")] = 128,
    hidden_size: Annotated[int, typer.Option(min=1, help="Units, for --plan.")] = 256,
) -> None:
    """The catalogue of cells, or the equations of one."""
    catalogue = cell_catalogue.CATALOGUE
    if name is None:
        if plan:
            raise OptionError("--plan is for one cell; give its name: elman cells lstm --plan")
        for each in catalogue.values():
            print(f"{each.name:26}{each.doc.splitlines()[0]}")
        return
    if name not in catalogue:
        raise OptionError(f'there is no cell "{name}"; there are {", ".join(catalogue)}.')
    if plan:
        from elman.backends.describe import describe

        print(describe(catalogue[name], input_size, hidden_size), end="")
    else:
        print(catalogue[name].latex() if latex else catalogue[name])


@app.command(epilog="Example: elman benchmark --cell gru")
def benchmark(
    cell: Annotated[
        str, typer.Option(help="A cell of the catalogue, or FILE.py:NAME for one of your own.")
    ] = "lstm",
    threads: Annotated[
        list[int] | None,
        typer.Option(help="How many threads; may be given again. Else 1, and all there are."),
    ] = None,
    as_json: Json = False,
) -> None:
    """How fast a layer is on this machine, beside torch.nn and a loop over time."""
    from elman.benchmark.machine import sentence, thread_counts
    from elman.benchmark.short import row, short_benchmark, table
    from elman.tasks.train import find_cell

    counts = threads or thread_counts()
    if min(counts) < 1:
        raise OptionError(f"--threads: {min(counts)} threads cannot run; give 1 or more.")
    shown = table()
    progress = Console(stderr=True, highlight=False)
    with progress.status("measuring for about half a minute ..."):
        report = short_benchmark(find_cell(cell), counts, tell=lambda r: shown.add_row(*row(r)))
    if as_json:
        print(json.dumps(report.record()))
    else:
        console = _console()
        console.print(shown)
        console.print(report.engine, soft_wrap=True)
        console.print(sentence(report.machine), soft_wrap=True)


@app.command(epilog="Example: elman select sentiment --train d/train.csv --trials 20")
def select(
    job: Annotated[str, typer.Argument(metavar="JOB")],
    train: Annotated[Path | None, typer.Option(help="The training data.")] = None,
    valid: Annotated[
        Path | None, typer.Option(help="The validation data; else a tenth of the examples.")
    ] = None,
    trials: Annotated[int, typer.Option(help="How many to try, with all workers together.")] = 30,
    hours: Annotated[float | None, typer.Option(help="Stop after so many hours.")] = None,
    cells: Annotated[str, typer.Option(help="The cells to try, such as rnn,lstm,gru.")] = "",
    space: Annotated[
        Path | None, typer.Option(help="A TOML file of what to try; see --print-space.")
    ] = None,
    folds: Annotated[int, typer.Option(help="Parts for cross-validation; 1 for none.")] = 1,
    seeds: Annotated[int, typer.Option(help="Trainings of each trial and fold.")] = 1,
    workers: Annotated[int, typer.Option(min=1, help="Processes on this machine.")] = 1,
    out: Annotated[Path | None, typer.Option(help="The folder; else runs/select-JOB.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="An option for all.")
    ] = None,
    print_space: Annotated[
        bool, typer.Option("--print-space", help="Print what is tried by default, and end.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Try options, cells and sizes, and keep the best; goes on with what is there.

    Run it in the same folder from several processes or machines, and they share the work.
    """
    from elman.selection import Space, Wish, default_space, read_space
    from elman.selection.space import default_text
    from elman.selection.workers import search_with
    from elman.tasks import Data

    task = _task(job)
    if print_space:
        print(default_text(task), end="")
        return
    if train is None:
        raise OptionError("--train is missing; name the training data.")
    tried = default_space(task)
    if space is not None:
        if not space.is_file():
            raise OptionError(f"{space}: there is no such file; check its name and folder.")
        tried = read_space(task, space.read_text(encoding="utf-8"), str(space))
    settings = _assignments(set_ or [])
    tried = tried.without(settings)
    if cells:
        names = [name.strip() for name in cells.split(",") if name.strip()]
        chosen = read_space(task, f"cell = {json.dumps(names)}", "--cells")
        tried = Space({**tried.parts, **chosen.parts})
    wish = Wish(Data(train, valid), tried, settings, trials, hours, folds, seeds)
    folder = out or Path("runs") / f"select-{job}"
    search, best = search_with(task, wish, folder, workers, Console(stderr=True, highlight=False))
    found = search.study.best_trial
    if as_json:
        record = {"metric": task.METRIC, "value": found.value, "options": found.params}
        print(json.dumps({**record, "run": str(best), "trials": len(search.study.trials)}))
        return
    console = _console()
    console.print(
        f"The best of {len(search.finished())} finished trials, {task.METRIC} "
        f"{found.value:.4f}, is the run {best}.",
        soft_wrap=True,
    )
    console.print(
        f"All trials: {folder / 'trials.csv'}; picture: {folder / 'search.png'}", soft_wrap=True
    )


@app.command(
    epilog="Example: elman diagnose --cell rnn --cell lstm --cell gru --plot gradients.png"
)
def diagnose(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run folder or a shipped model.")
    ] = None,
    data: Annotated[Path | None, typer.Argument(metavar="[DATA]")] = None,
    cell: Annotated[
        list[str] | None,
        typer.Option(
            help="A cell of the catalogue, or FILE.py:NAME, with new weights; may be given again."
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Length of the sequences, for --cell.")] = 100,
    hidden_size: Annotated[int, typer.Option(min=1, help="Units, for --cell.")] = 64,
    input_size: Annotated[int, typer.Option(min=1, help="Features of x, for --cell.")] = 32,
    examples: Annotated[int, typer.Option(min=1, help="How many sequences to look at.")] = 8,
    distance: Annotated[
        int | None, typer.Option(min=1, help="How far back to look; else as far as there is.")
    ] = None,
    exact: Annotated[
        int, typer.Option(min=0, help="Sequences whose Jacobians are computed exactly.")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    plot: Annotated[Path | None, typer.Option(help="Where to write a picture (PNG).")] = None,
    tasks: Annotated[
        bool,
        typer.Option("--tasks", help="Train cells on problems with long-term dependencies."),
    ] = False,
    problem: Annotated[
        list[str] | None,
        typer.Option(help="Such as adding-100, for --tasks; may be given again. Else all."),
    ] = None,
    updates: Annotated[
        int, typer.Option(min=1, help="Training steps for each, at most, for --tasks.")
    ] = 2500,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Trainings at a time, for --tasks; else all cores.")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Where trainings of --tasks are kept, to go on from.")
    ] = Path("runs/long-term"),
    as_json: Json = False,
) -> None:
    """How far back gradients reach: in a trained model on data, or in cells with new weights.

    With --tasks, cells are trained on the standard problems with long-term dependencies.
    """
    if tasks:
        if run is not None or cell:
            raise OptionError("--tasks has problems and cells of its own; leave RUN and --cell.")
        _long_term(problem or [], updates, seed, workers, out, plot, as_json)
        return
    from elman.diagnose import diagnose
    from elman.diagnose.table import tables
    from elman.tasks import load
    from elman.tasks.diagnosed import diagnose_run
    from elman.tasks.train import find_cell

    if run is not None and cell:
        raise OptionError("RUN and --cell: give a trained model with its data, or cells.")
    with Console(stderr=True).status("following gradients back ..."):
        if run is not None:
            if data is None:
                raise OptionError(
                    "DATA is missing; name data in the job's format for the model to read."
                )
            found = diagnose_run(
                load(run), data, examples=examples, distance=distance, exact=exact, seed=seed
            )
        else:
            found = diagnose(
                *[find_cell(name) for name in cell or ("rnn", "lstm", "gru")],
                steps=steps, batch=examples, input_size=input_size, hidden_size=hidden_size,
                distance=distance, exact=exact, seed=seed,
            )  # fmt: skip
    if plot is not None:
        found.plot(plot)
    if as_json:
        print(json.dumps(found.record(), ensure_ascii=False))
        return
    _show(tables(found), found.words, plot)


def _long_term(
    problems: Sequence[str],
    updates: int,
    seed: int,
    workers: int | None,
    out: Path,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Train cells side by side; each training is told of when it is done."""
    from elman.diagnose.long_term import Budget, Course, compete, contests
    from elman.diagnose.standings import draw, record, sentences, tables
    from elman.files import write_whole
    from elman.training.progress import duration

    def tell(done: int, of: int, course: Course, left: float) -> None:
        how = f"solved in {course.steps[-1]} steps" if course.solved else "not solved"
        print(
            f"{done} of {of}: {course.problem}, {course.contestant}: {how}, "
            f"{course.seconds:.0f} s; about {duration(left)} left",
            file=sys.stderr,
            flush=True,
        )

    courses = compete(
        contests(problems), budget=Budget(steps=updates), seeds=[seed], out=out, workers=workers,
        tell=tell,
    )  # fmt: skip
    if plot is not None:
        write_whole(plot, draw(courses))
    if as_json:
        print(json.dumps(record(courses), ensure_ascii=False))
    else:
        _show(tables(courses), sentences(courses), plot)


def _show(tables: Iterable[Any], sentences: Iterable[str], picture: Path | None) -> None:
    console = _console()
    for table in tables:
        console.print(table)
    for sentence in sentences:
        console.print(sentence, soft_wrap=True, markup=False)
    if picture is not None:
        console.print(f"The picture is in {picture}.", soft_wrap=True, markup=False)


def _flags(
    groups: Mapping[str, type[Any]], defaults: Mapping[str, object]
) -> list[inspect.Parameter]:
    """A flag for each field of the dataclasses, in a panel each; None where it is not given."""
    from elman.tasks.options import known_options

    return [
        _flag(name, each.metadata.get("help", ""), panel, defaults[name])
        for panel, kind in groups.items()
        for name, each in known_options([kind]).items()
    ]


def _flag(name: str, explanation: str, panel: str, default: object) -> inspect.Parameter:
    shown = "" if default in ("", None) else f" [dim](default: {default})[/]"
    flag = typer.Option(help=explanation + shown, rich_help_panel=panel, metavar="VALUE")
    return _keyword(name, Annotated[str | None, flag])


def _switch(name: str, explanation: str, panel: str) -> inspect.Parameter:
    """A flag without a value, off where it is not given."""
    flag = typer.Option(f"--{name.replace('_', '-')}", help=explanation, rich_help_panel=panel)
    return _keyword(name, Annotated[bool | None, flag])


def _keyword(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def _with_flags(
    command: Callable[..., None], flags: Sequence[inspect.Parameter]
) -> Callable[..., None]:
    """The command with these flags in place of its last parameter, which takes any."""
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    command.__signature__ = signature.replace(parameters=own + list(flags))  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in [*own, *flags]}
    return command


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _asking_flags() -> list[inspect.Parameter]:
    """The flags of asking a trained model, which are those of all jobs.

    What several jobs call the same is one flag, and its help says what it means for each.
    """
    from elman.tasks import TASKS
    from elman.tasks.options import known_options

    by_name: dict[str, dict[str, Any]] = {}
    for job, task in TASKS.items():
        for name, each in known_options([task.PredictOptions]).items():
            by_name.setdefault(name, {})[job] = each
    shared, own = [], []
    for name, jobs in by_name.items():
        if len(jobs) == 1:
            [(job, each)] = jobs.items()
            about = (name, each.metadata["help"], f"For {job}")
            own.append(_switch(*about) if each.default is False else _flag(*about, each.default))
            continue
        texts: dict[str, list[str]] = {}
        for job, each in jobs.items():
            default = "" if each.default in ("", None) else f" (default: {each.default})"
            texts.setdefault(each.metadata["help"] + default, []).append(job)
        explanation = "; ".join([f"{', '.join(names)}: {text}" for text, names in texts.items()])
        shared.append(_flag(name, explanation, "For several jobs", None))
    return [*shared, *own]


def _train_command(job: str) -> Callable[..., None]:
    """``elman train JOB``: its flags are the options of the job and of training."""
    from elman.training.options import LoopOptions

    task = _task(job)
    groups = {f"Options of {job}": task.Options, "Options of training": LoopOptions}
    flags = _flags(groups, {**vars(task.Options()), **vars(task.TRAINING)})

    def command(
        *,
        train: Annotated[Path | None, typer.Option(help="The training data.")] = None,
        valid: Annotated[
            Path | None, typer.Option(help="The validation data; else every tenth example.")
        ] = None,
        out: Annotated[Path | None, typer.Option(help="The run folder; else runs/JOB.")] = None,
        resume: Annotated[
            bool, typer.Option("--resume", help="Go on with the run in the folder.")
        ] = False,
        set_: Annotated[
            list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any option.")
        ] = None,
        run_file: Annotated[
            Path | None, typer.Option(help="A file with all of this, as elman new makes one.")
        ] = None,
        title: Annotated[str, typer.Option(help="The data's name, for the card.")] = "",
        licence: Annotated[str, typer.Option(help="The data's licence, for the card.")] = "",
        **options: str | None,
    ) -> None:
        from elman.tasks.run_file import Wishes, read_wishes

        wishes = Wishes(train, valid, out, {}, title, licence)
        if run_file is not None:
            wishes = read_wishes(run_file, job).updated(wishes)
        settings = {**_assignments(set_ or []), **_given(options)}
        wishes = wishes.updated(Wishes(settings=settings))
        _train(job, wishes, resume)

    command.__doc__ = f"Train {task.TITLE}."
    return _with_flags(command, flags)


def _assignments(items: Sequence[str]) -> dict[str, str]:
    found = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals:
            raise OptionError(f'--set: "{item}" is not of the form key=value.')
        found[key.strip().replace("-", "_")] = value.strip()
    return found


def _train(job: str, wishes: Any, resume: bool) -> None:
    from elman.tasks import Data, train
    from elman.training.processes import is_main_process

    if wishes.train is None:
        raise OptionError("--train is missing; name the training data, or a --run-file.")
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if several and wishes.out is None:
        raise OptionError("--out is missing; several processes need one folder that all know.")
    folder = wishes.out or _run_folder(job, resume)
    data = Data(wishes.train, wishes.valid, wishes.title, wishes.licence)
    trained, outcome = train(_task(job), data, folder, wishes.settings, resume=resume)
    if outcome.stopped_because == "interrupted":
        raise typer.Exit(130)
    if is_main_process():
        console = Console(stderr=True, highlight=False)
        console.print(f"The model is in {folder}. Next:", soft_wrap=True)
        task = trained.task
        example = {"text": f'"{next(iter(task.POSTER))}"', "file": "FILE", "nothing": ""}
        line = f"  elman predict {folder} {example[task.INPUT]}"
        console.print(line.rstrip(), soft_wrap=True, markup=False)


def _run_folder(job: str, resume: bool) -> Path:
    """runs/JOB, or runs/JOB-2 and so on: the last that is there to resume, else the next."""
    names = [Path("runs") / (job if k == 1 else f"{job}-{k}") for k in range(1, 10_000)]
    free = next(k for k, path in enumerate(names) if not path.exists())
    if resume:
        if not free:
            raise OptionError("--resume: there is no run in runs; name its folder with --out.")
        return names[free - 1]
    return names[free]


def _jobs() -> Iterable[str]:
    from elman.tasks import TASKS

    return TASKS


def _task(name: str) -> Any:
    from elman.tasks import TASKS

    if name not in TASKS:
        raise OptionError(f'there is no job "{name}"; there are {", ".join(TASKS)}.')
    return TASKS[name]


def _console() -> Console:
    """Standard output; colours only on a terminal."""
    return Console(highlight=False, emoji=False)


app.command(epilog="Example: elman evaluate runs/ner d/valid.conll --json")(
    _with_flags(evaluate, _asking_flags())
)
app.command(epilog='Example: elman predict sentiment "A warm and funny film."')(
    _with_flags(predict, _asking_flags())
)
for _job in _jobs():
    train_app.command(_job, epilog=f"Example: elman train {_job} --run-file d/run.toml")(
        _train_command(_job)
    )

if __name__ == "__main__":
    main()
