"""Every block of code in README and on the pages runs, and prints what stands beneath it."""

from pathlib import Path

import pytest

from elman_server import serving
from pages import INSTALLED, blocks, run_page
from thorough import few

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "docs" / "index.md",
    ROOT / "docs" / "formats.md",
    *sorted(ROOT.glob("docs/tutorials/*.md")),
]
#: pages that train models for a while
LONG = {
    "dna", "language", "onnx", "selection", "sentiment", "series", "speech", "training",
    "translation", "video",
}  # fmt: skip

#: files that a reader of a page has already
FILES = {
    "cell": {
        "my_cells.py": "from elman import cell, sigmoid, tanh\n\n@cell(gates='f g')\n"
        "def minimal_gated_unit(x, h, *, W, b):\n"
        "    f = sigmoid(W.f @ [h, x] + b.f)\n"
        "    g = tanh(W.g @ [f * h, x] + b.g)\n"
        "    return (1 - f) * h + f * g\n"
    },
    "words": {"glove.txt": "film 0.5 -1.5\nwonderful 2 3\n"},
}


@pytest.fixture(scope="module")
def forked():
    """A folder with ``elman`` in processes that need not import anything."""
    with serving() as programs:
        yield programs


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", few(PAGES, keep=lambda page: page.stem not in LONG), ids=lambda page: page.stem
)
def test_the_code_of_a_page_runs_and_prints_what_the_page_says(page, tmp_path, monkeypatch, forked):
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.get(page.stem, {}).items():
        (tmp_path / name).write_text(content)
    # the first page's commands run in processes of their own, as a reader's do
    assert run_page(page, INSTALLED if page.stem == "index" else forked) == []


def test_a_page_that_says_something_else_is_found(tmp_path, monkeypatch, forked):
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "wrong.md"
    page.write_text(
        "```python\nprint(2)\n```\n\n```text\n3\n```\n\n"
        "```console\n$ elman cells lstn\n$ elman cells rnn\na' = something else\n```\n"
    )
    first, second, third = run_page(page, forked)
    assert "line 2: expected\n3\nbut it printed\n2" in first
    assert "elman cells lstn ended with 1" in second
    assert "expected\na' = something else" in third


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_has_code(page):
    assert list(blocks(page.read_text(encoding="utf-8")))


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        place = page.relative_to(ROOT / "docs")
        if place.parts[0] != "generated":
            assert f": {place.as_posix()}\n" in navigation
