"""A trained model whose network is an ONNX file: ONNX Runtime computes what torch would.

The file's metadata say how the model is built and what its indices stand for; its weights are never
read into torch.  What a task does around its network stays the same.  Opening one is in
``trained.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from elman.data.sources import why_not_a_file
from elman.errors import RunError
from elman.export.onnx_format.forms import forms_of
from elman.export.onnx_format.runtime import Session

#: what a file must say of itself
ENTRIES = ("elman.task", "elman.symbols", "elman.options", "elman.cell_graph", "elman.form")


def open_session(path: Path) -> Session:
    """The file in ONNX Runtime.

    Raises ``RunError`` for a file that is not there or does not hold a trained model.
    """
    reason = why_not_a_file(path)
    if reason is not None:
        raise RunError(f"{path}: {reason}")
    session = Session(path.read_bytes(), str(path))
    missing = [name for name in ENTRIES if name not in session.metadata]
    if missing:
        raise RunError(
            f"{path}: it does not say {missing[0]}; give a file that `elman export RUN --to onnx` "
            "wrote."
        )
    return session


def run_by_onnx(model: nn.Module, session: Session) -> None:
    """Let the model's ``forward`` be the file.

    Raises ``RunError`` where the model needs more of its network than the file has.
    """
    wanted = session.metadata["elman.form"]
    form = next((form for form in forms_of(model) if form.name == wanted), None)
    if form is None or form.answer is None or [*form.inputs] != session.inputs:
        raise RunError(
            f"{session.name}: predictions from ONNX files are there for whole sequences of "
            "sentiment, ner and speech; use the run folder."
        )
    answer, names = form.answer, [*form.inputs]

    def forward(*tensors: Tensor, **named: Tensor) -> Any:
        given = {**dict(zip(names, tensors, strict=False)), **named}
        found = session.run({name: given[name].numpy() for name in names})
        return answer({name: torch.from_numpy(array) for name, array in found.items()})

    model.forward = forward  # the instance's own
