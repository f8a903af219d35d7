"""Where the validations of a training are logged beside ``history.jsonl``.

``--log tensorboard`` writes event files to the folder ``tensorboard`` of the run, ``--log mlflow``
logs to the MLflow tracking server that the environment names.  Both use their own libraries, which
are imported only then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, Protocol

from elman.extras import extra
from elman.training.options import LoopOptions
from elman.training.run_folder import RunFolder

#: the id of the MLflow run, so that a resumed training continues it
MLFLOW_ID = "mlflow_run_id"


class Logger(Protocol):
    """What the training loop reports to."""

    def validated(self, line: Mapping[str, Any]) -> None:
        """Log one line of ``history.jsonl``."""

    def close(self) -> None:
        """Write what is left."""


class NoLogger:
    """Logs nothing."""

    def validated(self, line: Mapping[str, Any]) -> None: ...
    def close(self) -> None: ...


class TensorBoardLogger:
    """Writes event files; on resume, later events of the interrupted run are hidden."""

    def __init__(self, options: LoopOptions, folder: RunFolder, history: int, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        place = folder.path / "tensorboard"
        if not history:
            for file in place.glob("events.out.tfevents.*"):
                file.unlink()
        self._writer = SummaryWriter(str(place), purge_step=step + 1 if history else None)

    def validated(self, line: Mapping[str, Any]) -> None:
        for name, value in _numbers(line):
            self._writer.add_scalar(name, value, line["step"])
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class MLflowLogger:
    """Logs to a run of MLflow with the name of the run folder."""

    def __init__(self, options: LoopOptions, folder: RunFolder, history: int, step: int) -> None:
        import mlflow

        self._mlflow = mlflow
        known = folder.read_text(MLFLOW_ID) if history and _has_id(folder) else None
        run = mlflow.start_run(run_id=known, run_name=None if known else folder.path.name)
        if known is None:
            folder.write_file(MLFLOW_ID, run.info.run_id)
            mlflow.log_params(asdict(options))

    def validated(self, line: Mapping[str, Any]) -> None:
        self._mlflow.log_metrics(dict(_numbers(line)), step=line["step"])

    def close(self) -> None:
        self._mlflow.end_run()


_LOGGERS: Mapping[str, Callable[[LoopOptions, RunFolder, int, int], Logger]] = {
    "none": lambda *_: NoLogger(),
    "tensorboard": TensorBoardLogger,
    "mlflow": MLflowLogger,
}


def make_logger(options: LoopOptions, folder: RunFolder, history: int, step: int) -> Logger:
    """The logger that ``options.log`` names; ``history`` lines were logged up to ``step``."""
    return _LOGGERS[options.log](options, folder, history, step)


def check_logger(options: LoopOptions) -> None:
    """Raise ``OptionError`` if the library of ``options.log`` is not installed."""
    if options.log == "tensorboard":
        with extra("tensorboard", "--log tensorboard"):
            import tensorboard  # noqa: F401
    elif options.log == "mlflow":
        with extra("mlflow", "--log mlflow"):
            import mlflow  # noqa: F401


def _has_id(folder: RunFolder) -> bool:
    return (folder.path / MLFLOW_ID).exists()


def _numbers(line: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers of a line of history by the names under which they are logged."""
    for name in ("epoch", "learning_rate", "train_loss", "seconds"):
        yield f"train/{name.removeprefix('train_')}", line[name]
    for name, value in line["valid"].items():
        if value is not None and math.isfinite(value):
            yield f"valid/{name}", value
