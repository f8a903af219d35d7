"""``elman predict``: the answers of a trained model."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from elman.cli.bulk_progress import BulkProgress
from elman.cli.flags import file_flags, flags_of, given, keyword, switch, with_flags
from elman.cli.shared import Json, Run, console, print_json
from elman.errors import DataError, OptionError
from elman.tasks.task import Task

if TYPE_CHECKING:
    from elman.tasks import Trained


def predict_command(task: Task | None) -> tuple[Callable[..., None], str]:
    """``elman predict`` with the flags of the run's task."""
    example = 'elman predict sentiment "A warm and funny film."'
    if task is None:
        return with_flags(predict, []), example
    kind, panel = task.PredictOptions, f"Options of {task.name}"
    help = "Print results while the input arrives on standard input."
    flags = [
        *flags_of(kind, vars(kind()), panel, switches=True),
        *file_flags(task, panel, labelled=False),
        switch("stream", help, panel, hidden=not task.streams),
        *_bulk_flags(kind),
    ]
    return with_flags(predict, flags), example


def _bulk_flags(kind: type[Any]) -> list[inspect.Parameter]:
    """Flags for files of any size; ``--out`` may be one of the task's own."""
    panel = "Files of any size"
    flags = [
        keyword("source", typer.Option("--in", metavar="PATH", rich_help_panel=panel, help=(
            "Answer every line or row of this file, or of the files of a folder, a pattern in "
            "quotes or a URL; for recordings and the like, every file. - for standard input. "
            "Needs --out."
        ))),
        keyword("out", typer.Option("--out", metavar="FILE", rich_help_panel=panel, help=(
            "Write the answers to this file: .csv, .jsonl or .parquet."
        ))),
        switch("resume", "Go on where a killed run with --in stopped.", panel),
        keyword("batch_size", typer.Option(metavar="<int>", rich_help_panel=panel, help=(
            "Inputs in memory at once, with --in (default: 1024)."
        ))),
        keyword("threads", typer.Option(metavar="<int>", rich_help_panel=panel, help=(
            "Processor threads, with --in."
        ))),
    ]  # fmt: skip
    own = {each.name for each in fields(kind)}
    return [flag for flag in flags if flag.name not in own]


def predict(
    run: Run,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="INPUT", help="Texts, files or folders. Default: standard input."),
    ] = None,
    as_json: Json = False,
    **wanted: Any,
) -> None:
    """Run a trained model on texts, files or folders, and print the results.

    With a RUN, --help also lists the options of its task.
    """
    from elman.tasks import load

    model = load(run)
    settings = given(wanted)
    stream = settings.pop("stream", False)
    if settings.get("source") is not None:
        _predict_file(model, inputs or [], settings)
        return
    options, settings = model.reading_options(settings)
    screen = console()
    for name in ("resume", "batch_size", "threads"):
        if settings.pop(name, None) is not None:
            raise OptionError(f"--{name.replace('_', '-')} is for a file of inputs; add --in.")
    if "out" in settings and not hasattr(model.task.PredictOptions(), "out"):
        raise OptionError("--out is for a file of inputs; add --in, or redirect the output.")
    if stream:
        for line in model.stream(sys.stdin.buffer, **settings):
            screen.print(line, soft_wrap=True, highlight=False, end=model.task.stream_end)
        return
    asked: list[Any] = []
    for source in _sources(model.task.input_kind, inputs or []):
        if isinstance(source, Path):
            asked += model.task.read_inputs(source, options)
        else:
            asked.append(source)
    if len(asked) < 2 or model.task.input_kind != "file":
        answers = model(asked, **settings)
    else:
        answers = model.answer_each(asked, save=True, **settings)
    errors = [answer for answer in answers if isinstance(answer, DataError)]
    if as_json:
        print_json({"predictions": [_record(model.task, answer) for answer in answers]})
    for answer in [] if as_json else answers:
        if not isinstance(answer, DataError):
            source = model.task.source(answer) if len(answers) > 1 else ""
            name = f"[dim]{escape(source)}:[/] " if source else ""
            _print(screen, name + model.task.show(answer))
    for line in [] if as_json else _notes(model.task, answers):
        print(f"elman: {line}", file=sys.stderr)
    for error in errors:
        print(f"elman: {error}", file=sys.stderr)
    if errors:
        raise typer.Exit(1)


def _notes(task: Task, answers: Sequence[Any]) -> list[str]:
    """The notes of the answers, each once, with the number of the first input that has it."""
    places: dict[str, list[int]] = {}
    for number, answer in enumerate(answers, 1):
        note = "" if isinstance(answer, DataError) else task.note(answer)
        if note:
            places.setdefault(note, []).append(number)
    lines = []
    for note, numbers in places.items():
        more = f" and {len(numbers) - 1:,} more" if len(numbers) > 1 else ""
        lines.append(note if len(answers) == 1 else f"input {numbers[0]:,}{more}: {note}")
    return lines


def _print(screen: Console, shown: str) -> None:
    """Prints an answer; a table keeps its tabs, which rich would turn into spaces."""
    if "\t" in shown:
        print(Text.from_markup(shown).plain)
    else:
        screen.print(shown, soft_wrap=True, highlight=False)


def _predict_file(model: Trained, inputs: Sequence[str], settings: dict[str, Any]) -> None:
    """Answers a file of any size, with progress on standard error."""
    from elman.bulk import AT_ONCE, predict_file

    if inputs:
        raise OptionError("name inputs either after the run or with --in, not both.")
    source, out = settings.pop("source"), settings.pop("out", None)
    if out is None:
        raise OptionError("--out is missing; name the file for the answers, such as answers.csv.")
    batch_size = _positive("batch_size", settings.pop("batch_size", None))
    with BulkProgress() as progress:
        outcome = predict_file(
            model,
            None if source == "-" else Path(source),
            Path(out),
            resume=settings.pop("resume", False),
            batch_size=AT_ONCE if batch_size is None else batch_size,
            threads=_positive("threads", settings.pop("threads", None)),
            progress=progress,
            **settings,
        )
    answers = "1 answer" if outcome.answers == 1 else f"{outcome.answers:,} answers"
    print(f"{outcome.path}: {answers}", file=sys.stderr)
    if outcome.errors:
        many = outcome.errors > 1
        errors = f"{outcome.errors:,} inputs have" if many else "1 input has"
        first = "" if outcome.errors == 1 else "the first is "
        print(f"elman: {errors} an error instead; {first}{outcome.first_error}", file=sys.stderr)
        raise typer.Exit(1)


def _positive(name: str, value: str | None) -> int | None:
    if value is None:
        return None
    if not value.strip().isdecimal() or int(value) < 1:
        raise OptionError(f"{name} is {value}; it must be a positive integer.")
    return int(value)


def _record(task: Task, answer: Any) -> dict[str, Any]:
    return {"error": str(answer)} if isinstance(answer, DataError) else task.record(answer)


def _sources(kind: str, inputs: Sequence[str]) -> Sequence[str | Path | None]:
    """Existing files as paths, other inputs as texts; without inputs, lines of standard input."""
    from elman.data.sources import exists

    if not inputs and kind == "nothing":
        return [None]
    if not inputs and kind == "file":
        raise OptionError("an input is missing; name a file or a folder.")
    if not inputs:
        if sys.stdin.isatty():
            print("Type a text and press Enter; end with Ctrl-D.", file=sys.stderr)
        return _read_standard_input()
    found: list[str | Path] = []
    for value in inputs:
        if not value.strip():  # checked first: Path("") is the current folder
            raise OptionError("an input is empty; give a text, a file or a folder.")
        path = Path(value)
        if exists(path):
            found.append(path)
        elif kind != "text" or (path.suffix.lower() in _TEXT_FILES and " " not in value):
            raise OptionError(f"{value}: there is no such file; check its name and folder.")
        else:
            found.append(_unicode(value))
    return found


def _unicode(text: str) -> str:
    """The text; ``OptionError`` if the terminal sent bytes that are not UTF-8."""
    if any("\ud800" <= sign <= "\udfff" for sign in text):
        shown = text.encode("ascii", "backslashreplace").decode()
        raise OptionError(f'the input "{shown}" is not UTF-8; convert the text to UTF-8.')
    return text


#: an argument with one of these suffixes is meant as a file name
_TEXT_FILES = (".csv", ".tsv", ".json", ".jsonl", ".txt", ".conll", ".fa", ".fasta")


def _read_standard_input() -> list[str]:
    """All lines, including blank ones, so that answers and lines correspond."""
    from elman.data.plain_text import lines_of

    try:
        lines = lines_of(sys.stdin.buffer.read().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise OptionError(
            f"standard input: byte {error.start} is not UTF-8; convert the text to UTF-8."
        ) from error
    if not any(line.strip() for line in lines):
        raise OptionError("standard input is empty; give a text on each line.")
    return lines
