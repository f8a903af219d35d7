"""The command line: one command for each verb, made from the jobs' options.

    elman demo | new | check | train | evaluate | predict
    elman cells | benchmark | diagnose | select | export | import

Answers go to standard output, everything else to standard error.  Whatever a user can put right
ends with one sentence and the exit status 1; a mistake on the command line itself with 2.
"""

from __future__ import annotations

import io
import os
import sys

import typer

from elman.cli.asking import evaluate, predict
from elman.cli.engine import benchmark, cells
from elman.cli.exporting import export
from elman.cli.files import check, new
from elman.cli.flags import asking_flags, with_flags
from elman.cli.gradients import diagnose
from elman.cli.importing import import_command
from elman.cli.poster import demo
from elman.cli.selecting import select
from elman.cli.shared import jobs
from elman.cli.training import train_command
from elman.errors import ElmanError

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

app.command(epilog="Example: elman demo ner")(demo)
app.command(epilog="Example: elman new ner d")(new)
app.command(epilog="Example: elman check ner d/train.conll")(check)
app.add_typer(train_app, name="train")
for _job in jobs():
    train_app.command(_job, epilog=f"Example: elman train {_job} --run-file d/run.toml")(
        train_command(_job)
    )
_ASKING = asking_flags()
app.command(epilog="Example: elman evaluate runs/ner d/valid.conll --json")(
    with_flags(evaluate, _ASKING)
)
app.command(epilog='Example: elman predict sentiment "A warm and funny film."')(
    with_flags(predict, _ASKING)
)
app.command(epilog="Example: elman cells lstm --plan --hidden-size 512")(cells)
app.command(epilog="Example: elman benchmark --cell gru")(benchmark)
app.command(
    epilog="Example: elman diagnose --cell rnn --cell lstm --cell gru --plot gradients.png"
)(diagnose)
app.command(epilog="Example: elman select sentiment --train d/train.csv --trials 20")(select)
app.command(epilog="Example: elman export speech --to c --quantize int8")(export)
app.command("import", epilog="Example: elman import model.keras --out layers")(import_command)


def main() -> None:
    """Run the command line; ends the process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may know fewer letters than a text
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except ElmanError as error:
        print(f"elman: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
