"""Tasks by name: imported when they are asked for, those of other packages by entry points."""

import subprocess
import sys
from importlib import metadata

import pytest

from elman.errors import OptionError
from elman.tasks.registry import OWN, TASKS, Registry, task_of

GROUP = "elman.tasks"
MODULE = """
from elman.tasks.task import Task


class Tagging(Task):
    name = "tagging"
    read = build_vocab = load_symbols = build = collate = score = predict = None


nothing = 1
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package that brings tasks, as pip would install it; some of them cannot be had."""
    (tmp_path / "my_tasks.py").write_text(MODULE)
    about = tmp_path / "my_tasks-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-tasks\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        f"[{GROUP}]\ntagging = my_tasks:Tagging\nbroken = my_tasks:absent\n"
        "wrong = my_tasks:nothing\nner = my_tasks:Tagging\n"
    )
    list(TASKS)  # the one registry of the process has looked before, and keeps what it found
    monkeypatch.syspath_prepend(tmp_path)
    assert metadata.entry_points(group=GROUP)
    return Registry(OWN, GROUP)


def test_a_task_of_another_package_is_found_and_hides_none_of_ours(installed):
    assert [*installed] == [*OWN, "tagging", "broken", "wrong"]
    assert installed["tagging"].name == "tagging"
    assert installed["tagging"] is installed["tagging"]
    assert type(installed["ner"]).__module__ == "elman.tasks.ner"


def test_a_task_that_cannot_be_had_is_one_sentence(installed):
    with pytest.raises(OptionError, match="the task broken cannot be imported from my_tasks:abs"):
        installed["broken"]
    with pytest.raises(OptionError, match=r"the task wrong: .* not a class derived from"):
        installed["wrong"]
    with pytest.raises(KeyError):
        installed["absent"]
    first = next(iter(OWN))
    with pytest.raises(OptionError, match=f'there is no task "absent"; choose from {first}, '):
        task_of("absent")


def test_the_names_are_known_without_importing_a_task():
    program = (
        "import sys; from elman.tasks import TASKS; assert 'ner' in TASKS; names = list(TASKS);"
        "print(len(names), [m for m in sys.modules if m.startswith('elman.tasks.ner')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == f"{len(TASKS)} []", done.stderr


def test_an_unknown_task_is_named_with_those_there_are():
    with pytest.raises(KeyError, match=r'^there is no task "nerr"; choose from speech, music, '):
        TASKS["nerr"]
    assert TASKS.get("nerr") is None
    with pytest.raises(OptionError, match="choose from speech"):
        task_of("nerr")
