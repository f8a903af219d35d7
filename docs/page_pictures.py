"""Take the pictures of the page of `elman serve` that are in README and docs.

    python docs/page_pictures.py

Needs Chromium and playwright; writes docs/page.png, docs/page_cell.png and docs/page_phone.png.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

DOCS = Path(__file__).parent
#: milliseconds for an answer with loading the model
WAIT = 120_000


def main() -> None:
    """Serve the shipped models, use the page, and take its pictures."""
    command = [sys.executable, "-m", "elman.cli", "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as service:
        assert service.stderr is not None
        found = re.search(r"http://\S+", service.stderr.readline())
        assert found
        try:
            _take(found.group())
        finally:
            service.terminate()


def _take(place: str) -> None:
    with sync_playwright() as started:
        chromium = started.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = chromium.new_page(viewport={"width": 1400, "height": 2130})
        page.goto(place)
        _press(page, "#card-speech", "Sample: fox.flac", ".words li")
        _press(page, "#card-translation", "Translate", ".token")
        _press(page, "#card-video", "Sample: runner.mp4", ".bars")
        page.wait_for_selector("#card-ner mark", timeout=WAIT)
        page.wait_for_selector("#card-sentiment .word", timeout=WAIT)
        page.locator("#card-music").get_by_role("button", name="Compose and play").click()
        page.get_by_role("button", name="Download MIDI").wait_for(timeout=WAIT)
        page.evaluate("scrollTo(0, 0)")
        page.wait_for_timeout(5000)
        _save(page, "page.png", 1000)
        page.set_viewport_size({"width": 1400, "height": 1600})
        page.goto(f"{place}/cell")
        _press(page, "#card-equations", "Measure", "textarea")
        page.wait_for_selector("#card-speed .bars", timeout=WAIT)
        _save(page, "page_cell.png", 1000)
        phone = chromium.new_context(
            viewport={"width": 375, "height": 812}, device_scale_factor=2, color_scheme="dark"
        ).new_page()
        phone.goto(place)
        _press(phone, "#card-translation", "Translate", ".token")
        phone.locator("#card-translation .translated").scroll_into_view_if_needed()
        phone.evaluate("scrollTo(0, document.querySelector('#card-translation').offsetTop - 70)")
        phone.wait_for_timeout(500)
        _save(phone, "page_phone.png", 375)
        chromium.close()


def _press(page: Page, card: str, name: str, shown: str) -> None:
    page.locator(card).get_by_role("button", name=name, exact=True).click(timeout=WAIT)
    page.locator(card).locator(shown).first.wait_for(timeout=WAIT)


def _save(page: Page, name: str, width: int) -> None:
    """Save what is seen, ``width`` pixels wide and in 256 colours."""
    with Image.open(io.BytesIO(page.screenshot())) as whole:
        small = whole.convert("RGB").resize(
            (width, round(whole.height * width / whole.width)), Image.Resampling.LANCZOS
        )
    small.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        DOCS / name, optimize=True
    )


if __name__ == "__main__":
    main()
