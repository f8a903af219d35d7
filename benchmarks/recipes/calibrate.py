"""Calibrate the shipped model of sentiment on its validation data, and say so on its card.

    python -m recipes.calibrate

Training does the same at its end; this is for models that were trained before it did.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import elman
from elman.files import write_whole
from elman.tasks import Trained
from elman.tasks.calibration import calibrate
from recipes.real_data import sentence_polarity

RUNS = Path("runs")
DATA: dict[str, Callable[[Path], dict[str, Path]]] = {
    "sentiment": sentence_polarity,
}


def main() -> None:
    for name, data in DATA.items():
        paths = data(RUNS / "data")
        model = elman.load(name)
        valid = [row.value for row in model.task.read(paths["valid"], model.options)]
        before = figures(model, paths)
        temperature = calibrate(model.task, model.fitted, valid)
        model.folder.save_weights(model.model, half=True)
        after = figures(elman.load(name), paths)
        assert abs(before["test"][model.task.metric] - after["test"][model.task.metric]) < 2e-3
        rows = "".join(
            [
                f"| {metric} | {after['valid'][metric]:.3f} | {after['test'][metric]:.3f} |\n"
                for metric in ("loss", "calibration_error")
            ]
        )
        card = model.folder.path / "card.md"
        table, rest = card.read_text(encoding="utf-8").split("\n\nTest ", 1)
        was = {part: before[part]["calibration_error"] for part in before}
        sentence = (
            f"Scores of labels were divided by the temperature {temperature:.2f}, fitted on the "
            f"validation data; before, the calibration error was {was['valid']:.3f} and "
            f"{was['test']:.3f}.\n\n"
        )
        write_whole(card, f"{table}\n{rows}\n{sentence}Test {rest}")
        print(name, temperature, before, after)


def figures(model: Trained, paths: dict[str, Path]) -> dict[str, dict[str, Any]]:
    return {part: model.evaluate(paths[part]) for part in ("valid", "test")}


if __name__ == "__main__":
    main()
