"""Draw the terminal output of ``elman demo`` as ``docs/demo.svg``, for README and the first page.

python docs/demo_picture.py
"""

import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from elman.files import write_whole

TARGET = Path(__file__).with_name("demo.svg")
WIDTH = 100


def main() -> None:
    """Run the demo, and keep its colours."""
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(WIDTH)}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "elman.cli", "demo"]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=True
        )
    # where the package lies on this machine is nobody's business
    shown = re.sub(r"/\S+/(\w+\.\w+)", r"\1", done.stdout)
    # and how long it took belongs to this machine
    shown = re.sub(r"^.*\d s, including loading the model.*\n", "", shown, flags=re.MULTILINE)
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    console.print(Text("$ elman demo", style="bold"))
    console.print(Text.from_ansi(shown))
    picture = console.export_svg(title="elman demo")
    # fonts of a network are not fetched; every system has a monospaced one
    picture = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)
    write_whole(TARGET, picture)


if __name__ == "__main__":
    main()
