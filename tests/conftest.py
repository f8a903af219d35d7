"""A way to call the command line as a user does."""

import sys

import pytest

from elman import cli

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
