import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import elman
from floors import broken_arrows, cycles, foreign_imports, foreign_tasks, imported_parts, modules
from thorough import few

ROOT = Path(elman.__file__).parent
FILES = [path for _, path in modules(ROOT)]


def test_imports_go_down_only():
    assert broken_arrows(ROOT) == []


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("graph/node.py", "from elman.nn import Recurrent", "graph (floor 1) imports nn (floor 6)"),
        ("models/a.py", "import elman.training.loop", "models (floor 7) imports training"),
        ("data/a.py", "def f():\n    from elman.decode import viterbi", "data (floor 7) imports"),
        ("files.py", "from elman import graph", "files (floor 0.5) imports graph (floor 1)"),
        ("attic/a.py", "", "attic is on no floor"),
        ("nn/a.py", "from . import b", "imports ., which is on no floor"),
    ],
)
def test_an_arrow_that_goes_up_is_found(tmp_path, file, text, sentence):
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    [found] = broken_arrows(tmp_path)
    assert sentence in found


def test_an_arrow_that_goes_down_is_allowed(tmp_path):
    (tmp_path / "nn").mkdir()
    (tmp_path / "nn" / "a.py").write_text("from elman.errors import ShapeError\nimport torch")
    assert broken_arrows(tmp_path) == []


def test_the_language_of_cells_knows_neither_torch_nor_llvmlite():
    for part in ("graph", "cells", "passes", "errors", "files"):
        assert not foreign_imports(ROOT, part) & {"torch", "llvmlite", "numpy"}


def test_no_pass_and_no_engine_names_a_cell():
    names = set(elman.cells.CATALOGUE)
    for part in ("passes", "backends"):
        for owner, path in modules(ROOT):
            if owner != part:
                continue
            tree = ast.parse(path.read_text(encoding="utf-8"))
            words = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
            words |= {
                node.value
                for node in ast.walk(tree)
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
            assert not names & words, path


def test_no_exporter_reads_an_engine():
    for owner, path in modules(ROOT):
        if owner == "export":
            parts = {part for _, part in imported_parts(path)}
            assert not parts & {"backends", "autograd", "tasks"}, path


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is_and_no_file_is_a_drawer(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{path} does not open with what it is"
    assert path.stem not in {"utils", "util", "helpers", "helper", "misc", "common"}
    imported = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for name in [alias.name for alias in node.names]
    }
    assert "pickle" not in imported
    for call in [node for node in ast.walk(tree) if isinstance(node, ast.Call)]:
        if ast.unparse(call.func) == "torch.load":
            # torch's own files of weights are read as tensors only, where they are imported
            assert path.parent.name == "importing", path
            assert "weights_only=True" in [ast.unparse(keyword) for keyword in call.keywords], path


def test_importing_elman_imports_little_beside_torch():
    heavy = {"gensim", "matplotlib", "accelerate", "typer", "rich", "onnx", "sklearn", "scipy"}
    program = (
        "import sys, torch; before = set(sys.modules); import elman;"
        f"print(sorted({heavy!r} & (set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    "module",
    few(
        [
            "autograd",
            "backends",
            "backends.native.engine",
            "data",
            "diagnose",
            "export",
            "models",
            "nn",
        ],
        keep=lambda module: module in {"backends.native.engine", "nn"},
    ),
)
def test_any_part_can_be_imported_first(module):
    program = f"import elman.{module}; import elman; elman.nn.LSTM(2, 3)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_version_is_that_of_the_package():
    project = tomllib.loads((ROOT.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    assert elman.__version__ == project["project"]["version"]
    with pytest.raises(AttributeError, match="no attribute 'versoin'"):
        _ = elman.versoin


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_python_file_that_a_docstring_names_exists(path):
    folders = [folder for folder in path.parents if folder.is_relative_to(ROOT)]
    folders += [ROOT.parents[1]]
    for name in re.findall(r"``([\w/]+\.py)``", path.read_text(encoding="utf-8")):
        assert any((folder / name).exists() for folder in folders), name


def test_no_task_package_imports_another():
    assert foreign_tasks(ROOT) == []


def test_an_import_of_another_task_is_found(tmp_path):
    for task in ("speech", "music"):
        (tmp_path / "tasks" / task).mkdir(parents=True)
        (tmp_path / "tasks" / task / "__init__.py").write_text("")
    (tmp_path / "tasks" / "train.py").write_text("from elman.tasks.speech import audio")
    assert foreign_tasks(tmp_path) == ["tasks/train.py, line 1: imports the task speech"]
    (tmp_path / "tasks" / "train.py").write_text("")
    (tmp_path / "tasks" / "music" / "a.py").write_text("from elman.tasks import speech")
    assert foreign_tasks(tmp_path) == ["tasks/music/a.py, line 1: imports the task speech"]


def test_files_form_no_cycle():
    assert cycles(ROOT) == []


def test_a_cycle_is_found(tmp_path):
    for name, text in {
        "a": "import house.b",
        "b": "def f():\n    from house import c",
        "c": "from house.a import x",
        "d": "from house import a",
        "e": "if TYPE_CHECKING:\n    import house.f",
        "f": "import house.e",
    }.items():
        path = tmp_path / "house" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (tmp_path / "house" / "__init__.py").write_text("")
    assert cycles(tmp_path / "house") == [["house.a", "house.b", "house.c"]]
