"""A way to call the command line as a user does, and which tests ``make test`` leaves out."""

import sys

import pytest

from elman import cli
from elman.cells import ALL

#: one cell of each kind; without ``--thorough`` most tests over all cells run with these
KINDS = {
    "rnn", "gru_reset_after", "gru", "lstm", "layer_norm_lstm", "peephole_lstm", "min_lstm", "qrnn",
    "rhn", "slstm", "lru", "orthogonal_rnn", "cfc", "gru_d", "lstmp", "mlstm", "delta_net",
}  # fmt: skip

#: makes files for a test with a library that the tests do not need
collect_ignore = ["export/keras/make.py"]


class CommandLine:
    """`command("predict", run, "text")` gives (exit status, standard output, standard error)."""

    def __init__(self, capfd, monkeypatch):
        self.capfd, self.monkeypatch = capfd, monkeypatch

    def __call__(self, *arguments):
        self.monkeypatch.setattr(sys, "argv", ["elman", *[str(each) for each in arguments]])
        self.capfd.readouterr()
        try:
            cli.main()
            status = 0
        except SystemExit as stop:
            status = stop.code or 0
        out, err = self.capfd.readouterr()
        return status, out, err


@pytest.fixture
def command(capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    return CommandLine(capfd, monkeypatch)


def pytest_addoption(parser):
    parser.addoption(
        "--thorough", action="store_true", help="all cells in all tests, and those marked thorough"
    )


def pytest_collection_modifyitems(config, items):
    """Leave out what is thorough, unless files or tests are named."""
    named = config.getoption("keyword") or any([".py" in argument for argument in config.args])
    if named or config.getoption("--thorough"):
        return
    kept, left_out = [], []
    for item in items:
        repeats = item.get_closest_marker("every_cell") is None and bool(cells_of(item) - KINDS)
        thorough = item.get_closest_marker("thorough") is not None
        (left_out if repeats or thorough else kept).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


def cells_of(item):
    """The names of the catalogue's cells among a test's parameters."""
    values = (getattr(item, "callspec", None) and item.callspec.params.values()) or ()
    names = [getattr(value, "name", value) for value in values]
    return {name for name in names if isinstance(name, str) and name in ALL}
