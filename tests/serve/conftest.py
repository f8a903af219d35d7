"""A service in this process, and a way to speak to it."""

import pytest

pytest.importorskip("starlette", reason="needs starlette: pip install 'elman[serve]'")

from starlette.testclient import TestClient

from elman.serve import Limits
from elman.serve.service import Service


@pytest.fixture
def client():
    """`client()` speaks to all shipped models; `client("ner", token=..., max_inputs=2)` to some."""
    services, clients = [], []

    def make(*runs, token=None, **limits):
        service = Service(runs, limits=Limits(**limits), token=token)
        services.append(service)
        made = TestClient(service.app, base_url="http://127.0.0.1")
        made.__enter__()
        clients.append(made)
        made.service = service
        return made

    yield make
    for each in clients:
        each.__exit__(None, None, None)
    for each in services:
        each.served.stop()
