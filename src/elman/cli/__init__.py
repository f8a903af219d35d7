"""The command line: one command for each verb, with flags generated from the tasks' options.

    elman demo | new | check | train | evaluate | predict
    elman cells | benchmark | diagnose | select | export | import | push | serve

Results go to standard output, everything else to standard error.  An error that the user can fix
prints one sentence and exits with status 1; a mistake on the command line itself exits with 2.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from difflib import get_close_matches
from typing import Annotated, Any, TextIO

import typer

from elman.cli.benchmark import benchmark
from elman.cli.cells import cells
from elman.cli.check import check_command
from elman.cli.demo import demo
from elman.cli.diagnose import diagnose
from elman.cli.evaluate import evaluate_command
from elman.cli.export import export
from elman.cli.groups import Commands, TaskGroup
from elman.cli.import_ import import_command
from elman.cli.new import new
from elman.cli.predict import predict_command
from elman.cli.push import push
from elman.cli.select import select
from elman.cli.serve import serve_command
from elman.cli.train import train_command
from elman.errors import DataWarning, ElmanError


class _Elman(Commands):
    of_run = {"evaluate": evaluate_command, "predict": predict_command}  # noqa: RUF012
    first = ("demo", "new", "check", "train", "evaluate", "predict")


class _Train(TaskGroup):
    made_by = staticmethod(train_command)


class _Check(TaskGroup):
    made_by = staticmethod(check_command)


app = typer.Typer(
    name="elman",
    cls=_Elman,
    help="Recurrent sequence models from the equations of their cells.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        from elman.version import __version__

        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    pass


def _add_group(name: str, kind: type[TaskGroup], help: str) -> None:
    group = typer.Typer(cls=kind, help=help, no_args_is_help=True, rich_markup_mode="rich")
    app.add_typer(group, name=name)


app.command(epilog="Example: elman demo ner")(demo)
app.command(epilog="Example: elman new ner d")(new)
_add_group(
    "check",
    _Check,
    "Check your data for problems before training: [bold]elman check ner d/train.conll[/]",
)
_add_group(
    "train",
    _Train,
    "Train a model on your own data: [bold]elman train ner --train d/train.conll[/]",
)
for _name, _made_by in _Elman.of_run.items():
    _function, _example = _made_by(None)
    app.command(_name, epilog=f"Example: {_example}")(_function)
app.command(epilog="Example: elman cells lstm --plan --hidden-size 512")(cells)
app.command(epilog="Example: elman benchmark --cell gru")(benchmark)
app.command(
    epilog="Example: elman diagnose --cell rnn --cell lstm --cell gru --plot gradients.png"
)(diagnose)
app.command(epilog="Example: elman select sentiment --train d/train.csv --trials 20")(select)
app.command(epilog="Example: elman push runs/ner USER/names --private")(push)
app.command(epilog="Example: elman export speech --to c --quantize int8")(export)
app.command("serve", epilog="Example: elman serve sentiment ner --port 8000")(serve_command())
app.command("import", epilog="Example: elman import model.keras --out layers")(import_command)

#: an invalid command line; the library's name for this error is not public
_UsageError: Any = typer.BadParameter.__mro__[1]


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show a ``DataWarning`` as a note for the user, and other warnings as Python does."""
    if issubclass(category, DataWarning):
        print(f"note: {message}", file=sys.stderr)
    else:
        text = warnings.formatwarning(message, category, filename, lineno, line)
        print(text, end="", file=file or sys.stderr)


def main() -> None:
    """Run the command line, and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may not support every character
            stream.reconfigure(errors="backslashreplace")
    warnings.showwarning = _show_warning
    warnings.simplefilter("always", DataWarning)
    try:
        status = app(prog_name="elman", standalone_mode=False)
        sys.stdout.flush()
    except ElmanError as error:
        print(f"elman: {error}", file=sys.stderr)
        sys.exit(1)
    except _UsageError as error:
        print(_sentence(error), file=sys.stderr)
        sys.exit(2)
    except typer.Abort:
        sys.exit(1)
    except BrokenPipeError:  # the reader of our output has closed it
        _discard_output()
        sys.exit(0)
    except OSError as error:  # a full disk behind standard output, a folder without permissions
        _discard_output()
        where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        print(f"elman: {where}{error.strerror or error}.", file=sys.stderr)
        sys.exit(1)
    sys.exit(status if isinstance(status, int) else 0)


def _discard_output() -> None:
    """Discard what is still buffered for standard output."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _sentence(error: Any) -> str:
    """The sentence for an invalid command line."""
    if type(error).__name__ == "NoArgsIsHelpError":
        return str(error.format_message())
    command = "elman" if error.ctx is None else error.ctx.command_path
    if hasattr(error, "possibilities"):
        shown = [each for each in error.ctx.command.params if not getattr(each, "hidden", False)]
        flags = [flag[2:] for each in shown for flag in each.opts if flag.startswith("--")]
        near = get_close_matches(error.option_name.lstrip("-"), flags, 1)
        hint = f"did you mean --{near[0]}?" if near else f"see {command} --help."
        return f"{command}: there is no flag {error.option_name}; {hint}"
    message = " ".join(str(error.format_message()).split()).rstrip(".")
    message = message.replace(": Value error, ", ": ")
    if message.startswith("Got unexpected extra argument"):
        extra = message.partition("(")[2].partition("(")[2].rstrip(")")
        where = "; name the training data with --train" if " train " in f"{command} " else ""
        return f"{command}: unexpected argument {extra}{where}; see {command} --help."
    return f"{command}: {message[:1].lower()}{message[1:]}; see {command} --help."
