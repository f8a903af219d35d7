"""The page of ``examples/browser`` in Chromium: its models answer as Elman does."""

import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from urllib.request import urlopen

import pytest
import torch

import elman

EXAMPLE = Path(__file__).parents[2] / "examples" / "browser"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The address of the page, served from a copy with its models."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("browser") / "page"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("models", "ort"))
    if not (folder / "node_modules").exists():
        done = subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund"],
            cwd=folder, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        if done.returncode:
            pytest.skip("npm cannot install onnxruntime-web")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "prepare.py"], cwd=folder, check=True, env=environment)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        extensions_map = {".html": "text/html", ".mjs": "text/javascript", ".js": "text/javascript"}  # noqa: RUF012

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def page(site):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        faults = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(site)
        page.wait_for_function("!document.getElementById('compose').disabled", timeout=120_000)
        yield page
        assert faults == []
        browser.close()


def test_the_sentiment_of_a_text_is_elman_s(page):
    model = elman.load("sentiment")
    for text in ("A warm and funny film.", "There is nothing to like in this movie.", "dull"):
        script = "async (text) => (await (await import('./app.js')).classifier())(text)"
        found = page.evaluate(script, text)
        [expected] = model([text])
        assert max(found, key=found.get) == expected.label
        assert found[expected.label] == pytest.approx(expected.probability, abs=1e-5)


def test_the_likeliest_tune_is_elman_s(page, site):
    script = """async (count) => {
        const { composer, likeliest } = await import("./app.js");
        const steps = [];
        for await (const step of (await composer())(likeliest, count)) steps.push(step);
        return steps;
    }"""
    found = page.evaluate(script, 48)
    with urlopen(f"{site}models/music.json") as answer:
        known = torch.tensor(json.load(answer)["known"])
    model = elman.load("music").model
    last, state, expected = torch.full((1, 4), -1), None, []
    with torch.no_grad():
        for row in known[:48]:
            x = torch.cat([last, torch.full((1, 4), -2), row[None]], -1)
            features, state = model.step(x, state)
            last = model.draw(features, lambda logits: logits.argmax(-1))
            expected.append(last[0].tolist())
    assert found == expected
    assert len({tuple(step) for step in expected}) > 5


def test_the_page_rates_what_is_typed_and_shows_a_tune(page, tmp_path):
    page.fill("#text", "There is nothing to like in this movie.")
    page.wait_for_function("document.getElementById('rating').value.startsWith('negative')")
    page.click("#compose")
    page.wait_for_function("document.getElementById('tune').value.endsWith(' steps')")
    assert page.is_enabled("#play")
    place = os.environ.get("ELMAN_SCREENSHOT", str(tmp_path / "page.png"))
    page.screenshot(path=place)
    assert Path(place).stat().st_size > 5_000
