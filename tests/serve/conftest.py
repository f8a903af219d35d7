"""A service in this process, and a way to speak to it."""

import os
import re
import subprocess
import sys

import pytest

pytest.importorskip("starlette", reason="needs starlette: pip install 'elman[serve]'")

from starlette.testclient import TestClient

from elman.serve import Limits
from elman.serve.service import Service


class LocalClient(TestClient):
    """A client on this machine; starlette's WebSockets ask for another host otherwise."""

    def websocket_connect(self, url, *arguments, **named):
        return super().websocket_connect(f"ws://127.0.0.1{url}", *arguments, **named)


@pytest.fixture
def client():
    """`client()` speaks to all shipped models; `client("ner", token=..., max_inputs=2)` to some."""
    services, clients = [], []

    def make(*runs, token=None, **limits):
        service = Service(runs, limits=Limits(**limits), token=token)
        services.append(service)
        made = LocalClient(service.app, base_url="http://127.0.0.1")
        made.__enter__()
        clients.append(made)
        made.service = service
        return made

    yield make
    for each in clients:
        each.__exit__(None, None, None)
    for each in services:
        each.close()


@pytest.fixture
def serve():
    """`serve(...)` starts the command on a free port; gives the process and its port."""
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", "elman.cli", "serve", *arguments, "--port", "0"],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        started.append(process)
        line = process.stderr.readline()
        while line.startswith("note"):
            line = process.stderr.readline()
        found = re.search(r"http://[^ ]*:(\d+)", line)
        assert found, line + process.stderr.read()
        return process, int(found[1])

    yield start
    for process in started:
        process.kill()
        if not process.stderr.closed:  # a test may have read it to its end
            process.communicate()
