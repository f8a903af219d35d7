"""The code of a page, run as a reader would: Python blocks in one session, commands in one folder.

A ``text`` block right after Python is what that Python prints; lines of a ``console`` block
beneath a ``$ command`` are what the command puts on standard output.  ``...`` stands for
anything.  Nothing beneath means that nothing is claimed.  A block with a title, as
```` ```c title="run.c" ````, is a file that the reader has by then.
"""

import contextlib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: commands that are not run here: make runs these very tests, two processes have their own,
#: and the environment of the tests stays as it is
ELSEWHERE = ("make", "pip", "torchrun")
#: the programs of this environment
INSTALLED = Path(sys.executable).parent
#: a training on a page is short here, as no page claims what a long one gives
SHORT = ["--threads", "1"]
FEW_EPOCHS = ["--epochs", "2"]

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """Code of a page, its language, its line, and what it says it prints, if anything."""

    language: str
    code: str
    line: int
    output: str | None


def blocks(text: str) -> Iterator[Block]:
    """The Python and console blocks of a page, in order."""
    found = list(_BLOCK.finditer(text))
    for k, match in enumerate(found):
        language, code = match.groups()
        if language not in ("python", "console"):
            continue
        after = found[k + 1] if k + 1 < len(found) else None
        output = None
        if after and after[1] == "text" and not text[match.end() : after.start()].strip():
            output = after[2]
        yield Block(language, code, text[: match.start()].count("\n") + 2, output)


def run_page(page: Path, programs: Path) -> list[str]:
    """Run a page in the working folder; what it claims wrongly, a sentence each.

    Commands are looked for in the folder ``programs`` first.
    """
    text = page.read_text(encoding="utf-8")
    # a traced cell names its file and line, so the page's code stands in a file of that shape
    source = Path(f"{page.stem}_page.py")
    lines = [""] * (text.count("\n") + 1)
    for block in blocks(text):
        if block.language == "python":
            code = block.code.splitlines()
            lines[block.line - 1 : block.line - 1 + len(code)] = code
    source.write_text("\n".join(lines), encoding="utf-8")
    for name, content in _FILE.findall(text):
        Path(name).write_text(content, encoding="utf-8")
    names: dict[str, object] = {"__name__": "__main__"}
    wrong = []
    for block in blocks(text):
        place = f"{page.name}, line {block.line}"
        if block.language == "python":
            printed = _run_python(block, source, names)
            if block.output is not None and not _fits(block.output, printed):
                wrong.append(f"{place}: expected\n{block.output}but it printed\n{printed}")
            continue
        for command, output in _commands(block.code):
            status, printed, said = _run_command(command, programs)
            if status:
                wrong.append(f"{place}: {command} ended with {status}: {said}")
            elif output and not _fits(output, printed):
                wrong.append(f"{place}: {command}: expected\n{output}but it printed\n{printed}")
    return wrong


def _run_python(block: Block, source: Path, names: dict[str, object]) -> str:
    printed = io.StringIO()
    code = compile("\n" * (block.line - 1) + block.code, str(source.resolve()), "exec")
    with contextlib.redirect_stdout(printed):
        exec(code, names)
    return printed.getvalue()


def _commands(code: str) -> Iterator[tuple[str, str]]:
    """Each command with the lines beneath it."""
    for part in re.split(r"^\$ ", code, flags=re.MULTILINE)[1:]:
        command, _, output = part.replace("\\\n", " ").partition("\n")
        yield command, output


def _run_command(command: str, programs: Path) -> tuple[int, str, str]:
    command = re.sub(r"(^|\s)#\s.*", "", command).strip()
    if shlex.split(command)[0] in ELSEWHERE:
        return 0, "", ""
    if command.startswith("elman train"):
        words = shlex.split(command)
        command = shlex.join([*words, *SHORT, *([] if "--epochs" in words else FEW_EPOCHS)])
    path = os.pathsep.join([str(programs), str(INSTALLED), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", command],
        env={**os.environ, "PATH": path, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    return done.returncode, done.stdout, done.stderr


def _fits(expected: str, printed: str) -> bool:
    """Whether the output is as the page says, but for ``...`` and the number of blanks."""
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    return doctest.OutputChecker().check_output(expected, printed, options)
