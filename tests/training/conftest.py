"""The small task and the drivers beside it can be imported by their own names."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def quick_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than these trainings; one test of the loop draws, see test_curves.py."""
    monkeypatch.setattr("elman.training.loop.draw_curves", lambda history, metric: b"curves")
