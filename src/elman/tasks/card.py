"""``card.md``: what a trained model is, what it was trained on, and its scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from elman.tasks.task import Task
from elman.training import RunFolder, TrainingResult
from elman.training.baselines import Baseline, Metric, verdict


def write_card(
    run: RunFolder,
    task: Task,
    options: Any,
    outcome: TrainingResult,
    scores: dict[str, Any],
    model: nn.Module,
    metric: Metric,
    baselines: Sequence[Baseline] = (),
) -> None:
    """Write the card of a finished run."""
    data = run.settings()["data"]
    parameters = sum([parameter.numel() for parameter in model.parameters()])
    kind = getattr(options, "model", "recurrent")
    reader = f"recurrent, cell {options.cell}" if kind == "recurrent" else kind
    lines = [
        f"# {task.name}: {task.title}",
        "",
        f"Model: {reader}; {parameters:,} parameters. Every option is in `run.toml`.",
        "",
        "## Data",
        f"- trained on: {data['title'] or data['train']}, {data['train_examples']} examples",
        *([f"- initial weights: {data['start']}"] if data.get("start") else []),
        f"- validated on: {data['valid'] or task.held_out(options)}, "
        f"{data['valid_examples']} examples",
        f"- licence: {data['licence'] or 'not stated'}",
        "",
        "## Scores on the validation data",
        *[f"- {name}: {value:.4f}" for name, value in scores.items() if isinstance(value, float)],
        "",
        *_baselines(metric, scores.get(metric.name), baselines),
        *_problems(outcome.findings),
        f"Trained for {outcome.epochs:g} epochs in {outcome.seconds:.0f} s with "
        f"{outcome.threads} {'thread' if outcome.threads == 1 else 'threads'}, seed "
        f"{run.settings()['training']['seed']}; the best epoch was {outcome.best_epoch:g}. The "
        "best weights were selected on these data, so expect slightly lower scores on other data; "
        "measure them with `elman evaluate`.",
        "",
    ]
    run.write_file("card.md", "\n".join(lines))


def _baselines(metric: Metric, score: Any, baselines: Sequence[Baseline]) -> list[str]:
    if not baselines:
        return []
    return [
        f"## Baselines on the validation data ({metric.name})",
        *[f"- {each.name}: {metric.text(each.score)}" for each in baselines],
        "",
        *([verdict(metric, score, baselines), ""] if isinstance(score, float) else []),
    ]


def _problems(findings: Sequence[str]) -> list[str]:
    if not findings:
        return []
    return ["## Problems of the training", *[f"- {each}" for each in findings], ""]
