"""Exports the models of the page and puts ONNX Runtime Web beside them.

npm install
python prepare.py
python -m http.server
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import onnx

import elman
from elman.tasks.music.data import known_form
from elman.tasks.music.form import draw_form
from elman.tasks.music.notes import NUM_PITCHES

HERE = Path(__file__).parent
#: what the page needs of ONNX Runtime Web
RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
FILES = {"sentiment": "sentiment.onnx", "music": "music.step.onnx"}
#: sixteenth notes of the page's chorale: about 12 bars
STEPS = 196


def main(folder: Path) -> None:
    """Write models/ and ort/ beside the page."""
    installed = folder / "node_modules" / "onnxruntime-web" / "dist"
    if not installed.is_dir():
        raise SystemExit(f"{installed}: ONNX Runtime Web is missing; run `npm install` first.")
    (folder / "ort").mkdir(exist_ok=True)
    for name in RUNTIME:
        shutil.copy(installed / name, folder / "ort")
    models = folder / "models"
    for task, file in FILES.items():
        command = [sys.executable, "-m", "elman.cli", "export", task, "--to", "onnx"]
        subprocess.run([*command, "--out", str(models)], check=True)
        # a page cannot read the metadata of a file
        said = {e.key: e.value for e in onnx.load(models / file).metadata_props}
        record = {name: json.loads(said[f"elman.{name}"]) for name in ("symbols", "options")}
        if task == "music":
            record |= {"pitches": NUM_PITCHES, **chorale()}
        (models / f"{task}.json").write_text(json.dumps(record), encoding="utf-8")


def chorale() -> dict[str, object]:
    """What the model is told of a chorale, step by step, and the order of its voices."""
    model = elman.load("music")
    form = draw_form(model.symbols.forms, STEPS, model.options.grid, model.options.bar, 0)
    known = known_form(form, 0, form.steps, model.options)
    return {"known": known.tolist(), "order": model.model.prediction.order}


if __name__ == "__main__":
    main(HERE)
