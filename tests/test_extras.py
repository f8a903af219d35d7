"""Without the package of an extra, one sentence says what to install, and all else works."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from elman.diagnose.problems import _images
from elman.errors import OptionError
from elman.tasks import TASKS
from tasks.conftest import samples

#: run a command as if some packages were not installed
PROGRAM = """
import sys
from importlib.abc import MetaPathFinder

class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

absent = set(sys.argv[1].split(","))
sys.meta_path.insert(0, Absent())
del sys.argv[1]
from elman.cli import main
main()
"""
EXTRAS = tomllib.loads(Path("pyproject.toml").read_text())["project"]["optional-dependencies"]
#: by the name that is imported, what is not called so
IMPORTED = {"kaldi_native_fbank": "kaldi-native-fbank", "sklearn": "scikit-learn"}


def run(absent: str, folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, absent, *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


CASES = [
    ("gensim", "vectors", None, None),
    ("soundfile", "speech", "speech", ("check", "speech", "train.jsonl")),
    ("soxr", "speech", "speech", ("check", "speech", "train.jsonl")),
    ("kaldi_native_fbank", "speech", "speech",
     ("train", "speech", "--train", "train.jsonl", "--out", "run")),
    ("jiwer", "speech", "speech", ("train", "speech", "--train", "train.jsonl", "--out", "run")),
    ("symusic", "music", None, ("predict", "music", "--out", "a.mid", "--seconds", 1)),
    ("soundfile", "music", None, ("predict", "music", "--wav", "a.wav", "--seconds", 1)),
    ("sacrebleu", "translation", "translation",
     ("train", "translation", "--train", "train.tsv", "--out", "run")),
    ("tokenizers", "translation", None, ("predict", "translation", "Bonjour .")),
    ("av", "video", None, ("new", "video", "videos")),
    ("optuna", "select", "sentiment",
     ("select", "sentiment", "--train", "train.csv", "--out", "run")),
    ("sklearn", "diagnose", None, None),
]  # fmt: skip


#: a case whose task has been removed is left out with it
KNOWN = [case for case in CASES if not case[3] or case[3][1] in TASKS]


@pytest.mark.parametrize(
    ("package", "extra", "task", "arguments"),
    [
        case
        if case[0] in {"gensim", "soxr", "av"}
        else pytest.param(*case, marks=pytest.mark.thorough)
        for case in KNOWN
    ],
)
def test_a_missing_package_is_a_sentence_with_the_command(
    package, extra, task, arguments, tmp_path
):
    wanted = [re.split("[>=]", each)[0] for each in EXTRAS[extra]]
    assert IMPORTED.get(package, package) in wanted, "the extra does not bring the package"
    if arguments is None:  # asked for from Python, see below and test_vectors.py
        return
    if task is not None:
        samples(tmp_path, task)
    before = sorted(path.name for path in tmp_path.iterdir())
    done = run(package, tmp_path, *arguments)
    assert done.returncode == 1, done.stdout + done.stderr
    said = done.stdout + done.stderr
    expected = f"needs {package}, which is not installed: pip install 'elman[{extra}]'"
    assert expected in " ".join(said.split())
    assert "Traceback" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == before, "nothing was begun"


def test_the_digits_need_a_package(monkeypatch):
    _images.cache_clear()
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(OptionError, match=r"needs sklearn, which .*'elman\[diagnose\]'$"):
        _images()


def test_what_needs_no_extra_works_without_any(tmp_path):
    every = {"gensim", "soundfile", "soxr", "kaldi_native_fbank", "jiwer", "symusic", "sacrebleu",
             "tokenizers", "av", "optuna", "sklearn", "pyfaidx", "onnx", "onnxruntime"}  # fmt: skip
    done = run(
        ",".join(every), tmp_path, "predict", "sentiment", "A warm and funny film.", "--json"
    )
    assert done.returncode == 0, done.stderr
    assert '"positive"' in done.stdout


def test_every_import_of_an_extra_is_inside_extra():
    """No place is left from which a bare ImportError can come."""
    packages = "gensim|soundfile|soxr|kaldi_native_fbank|jiwer|symusic|sacrebleu|tokenizers|av|sklearn|pyfaidx"
    bare = []
    for path in Path("src/elman").rglob("*.py"):
        lines = path.read_text(encoding="utf-8").splitlines()
        for k, line in enumerate(lines):
            if re.match(rf"\s*(import|from) ({packages})\b", line):
                above = next(
                    b for b in reversed(lines[:k]) if not b.strip().startswith(("import", "from"))
                )
                if "with extra(" not in above and "TYPE_CHECKING" not in above:
                    bare.append(str(path))
    assert bare == ["src/elman/tasks/video/decoding.py"], "PyAV has opened the video by then"
