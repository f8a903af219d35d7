"""A trained model whose network is an ONNX file, run by ONNX Runtime instead of torch.

The metadata of the file describe how to build the model and what its indices stand for; its weights
are never read into torch.  Everything else a task does stays the same.  ``trained.py`` opens such
files.
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

#: metadata that a file must have
ENTRIES = ("elman.task", "elman.symbols", "elman.options", "elman.cell_graph", "elman.form")


def open_session(path: Path) -> Session:
    """Open the file in ONNX Runtime.

    Raises ``RunError`` if the file does not exist or does not hold a trained model.
    """
    reason = why_not_a_file(path)
    if reason is not None:
        raise RunError(f"{path}: {reason}")
    session = Session(path.read_bytes(), str(path))
    missing = [name for name in ENTRIES if name not in session.metadata]
    if missing:
        raise RunError(
            f"{path}: the metadata {missing[0]} are missing; give a file written by `elman export "
            "RUN --to onnx`."
        )
    return session


def run_by_onnx(model: nn.Module, session: Session) -> None:
    """Replace the model's ``forward`` by the file.

    Raises ``RunError`` if the model needs more of its network than the file has.
    """
    wanted = session.metadata["elman.form"]
    form = next((form for form in forms_of(model) if form.name == wanted), None)
    if form is None or form.answer is None or [*form.inputs] != session.inputs:
        raise RunError(
            f"{session.name}: ONNX files can predict only whole sequences of sentiment, ner and "
            "speech; use the run folder."
        )
    answer, names = form.answer, [*form.inputs]

    def forward(*tensors: Tensor, **named: Tensor) -> Any:
        given = {**dict(zip(names, tensors, strict=False)), **named}
        found = session.run({name: given[name].numpy() for name in names})
        return answer({name: torch.from_numpy(array) for name, array in found.items()})

    model.forward = forward  # on this instance only
