"""A way to call the command line as a user does, and which tests ``make test`` leaves out."""

import sys

import hypothesis
import pytest

from cells.variants import VARIANTS
from elman import cli
from elman.cells import ALL

#: one cell of each kind; without ``--thorough`` most tests over all cells run with these
KINDS = {
    "rnn", "gru_reset_after", "gru", "lstm", "layer_norm_lstm", "peephole_lstm", "qrnn",
    "rhn", "slstm", "lru", "orthogonal_rnn", "cfc", "gru_d", "lstmp", "mlstm", "delta_net",
    # of the variants in cells/variants.py
    "full_gate_recurrence", "exponential_gates", "gated_decay",
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
        "--thorough",
        action="store_true",
        help="all cells and combinations, and those marked thorough",
    )


def is_whole(config):
    """Whether nothing is left out: all is asked for, or files or tests are named."""
    named = config.getoption("keyword") or any([".py" in argument for argument in config.args])
    return bool(named or config.getoption("--thorough"))


def pytest_configure(config):
    """Draw fewer random examples where tests are left out."""
    if not is_whole(config):
        hypothesis.settings.register_profile("few", max_examples=40)
        hypothesis.settings.load_profile("few")


def pytest_collection_modifyitems(config, items):
    """Leave out what is thorough, unless files or tests are named."""
    if is_whole(config):
        return
    kept, left_out, lists = [], [], {}
    for item in items:
        repeats = item.get_closest_marker("every_cell") is None and bool(cells_of(item) - KINDS)
        thorough = item.get_closest_marker("thorough") is not None
        left = repeats or thorough or is_thinned_out(item, lists)
        (left_out if left else kept).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


def is_thinned_out(item, lists):
    """Whether a test marked ``thinned(n)`` is not in the n-th part that is kept.

    Kept is where the places of all parameters in their lists sum to a multiple of n, so every two
    parameters still meet while the other lists are long enough to make up the sum.  ``lists`` has
    the places of the parameters of each test so far.
    """
    mark = item.get_closest_marker("thinned")
    if mark is None:
        return False
    names = item.callspec._idlist  # a name from each list
    known = lists.setdefault(item.nodeid.partition("[")[0], [{} for _ in names])
    places = [own.setdefault(name, len(own)) for own, name in zip(known, names, strict=True)]
    return sum(places) % mark.args[0] != 0


def cells_of(item):
    """The names of cells of the catalogue, and of variants, among a test's parameters."""
    values = (getattr(item, "callspec", None) and item.callspec.params.values()) or ()
    names = [getattr(value, "name", value) for value in values]
    return {name for name in names if isinstance(name, str) and name in {*ALL, *VARIANTS}}
