"""The template of a task in a package of its own: installed by pip, it works like Elman's own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "tutorials" / "own_task.md"
MOST_LINES = 60  # that are not blank


def files() -> dict[str, str]:
    text = PAGE.read_text(encoding="utf-8")
    blocks = r'^```\w+ title="([^"]+)"\n(.*?)^```$'
    return dict(re.findall(blocks, text, re.MULTILINE | re.DOTALL))


def test_the_template_is_short():
    assert files().keys() == {"pyproject.toml", "majority.py"}
    lines = [line for text in files().values() for line in text.splitlines() if line.strip()]
    assert len(lines) <= MOST_LINES


@pytest.mark.thorough
@pytest.mark.slow
def test_the_template_is_installed_and_works_by_its_name(tmp_path):
    package, place = tmp_path / "package", tmp_path / "site"
    package.mkdir()
    for name, text in files().items():
        (package / name).write_text(text)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # nothing is downloaded: Elman and setuptools are here
    done = subprocess.run(
        [*pip, "--no-deps", "--no-build-isolation", "--no-index", "--target", place, package],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    paths = [str(place), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}

    def elman(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "elman.cli", *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    elman("new", "majority", "d")
    elman(
        "train", "majority", "--train", "d/bits.txt", "--valid", "d/bits.txt", "--out", "run",
        "--epochs", "8", "--threads", "1", "--learning-rate", "0.02",
    )  # fmt: skip
    assert json.loads(elman("evaluate", "run", "d/bits.txt", "--json"))["accuracy"] > 0.9
    assert elman("predict", "run", "1011101", "0001000").split() == ["1", "0"]
