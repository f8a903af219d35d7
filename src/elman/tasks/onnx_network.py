"""A trained model's ONNX files: ONNX Runtime computes what torch would.

A model has a file for each form, side by side (``tune.onnx``, ``tune.step.onnx``), and any of them
names it.  The files' metadata say how the model is built and what its indices stand for.  How a
model answers by its files is in ``onnx_models.py``; ``trained.py`` opens one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from elman.data.sources import why_not_a_file
from elman.errors import RunError
from elman.export.onnx_format.runtime import Session
from elman.nn import Recurrent
from elman.saved import parse_json

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


class Files:
    """The files of one model; those beside the first are opened when they are needed."""

    def __init__(self, path: Path) -> None:
        first = open_session(path)
        self.path = path
        self.metadata = first.metadata
        form = first.metadata["elman.form"]
        self._sessions = {form: first}
        self.name = path.stem.removesuffix(f".{form}")

    def run(self, form: str, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The outputs of a form by name.

        Raises ``RunError`` where its file is not there or is another model's, and ``ExportError``
        where ONNX Runtime refuses it.
        """
        session = self.session(form)
        missing = [name for name in session.inputs if name not in given]
        if missing:
            raise RunError(
                f"{session.name}: its input {missing[0]} is none that this model has; export the "
                "run again with this version of Elman."
            )
        found = session.run({name: given[name].contiguous().numpy() for name in session.inputs})
        return {name: torch.from_numpy(array) for name, array in found.items()}

    def session(self, form: str) -> Session:
        """The form's file in ONNX Runtime."""
        if form not in self._sessions:
            self._sessions[form] = self._open(form)
        return self._sessions[form]

    def _open(self, form: str) -> Session:
        own = "" if form == "sequence" else f".{form}"
        path = self.path.with_name(f"{self.name}{own}.onnx")
        if not path.is_file():
            raise RunError(
                f"{self.path}: this also needs {path.name} beside it; `elman export RUN --to onnx` "
                "without --step or --sequence writes every file of a model."
            )
        session = open_session(path)
        for name in ("elman.weights", *ENTRIES[:3]):
            if session.metadata.get(name) != self.metadata.get(name):
                raise RunError(
                    f"{path}: it is of another model than {self.path} ({name} differs); export "
                    "both from one run."
                )
        return session


def constants_of(model: nn.Module) -> dict[str, Tensor]:
    """What answers need and no graph holds: the model's ``constants``, and learned states."""
    found = {name: getattr(model, name) for name in getattr(model, "constants", ())}
    for name, layer in model.named_modules():
        if isinstance(layer, Recurrent) and layer.stack.between.learned_state:
            states = layer.initial_state.named_parameters(f"{name}.initial_state")
            found |= dict(states)
    return found


def put_constants(model: nn.Module, files: Files) -> None:
    """Give the model the numbers of the metadata that its graphs do not hold.

    Files of older versions have none; the model then keeps its own.  Raises ``RunError`` where they
    are others than the model's.
    """
    where = f"{files.path}, elman.constants"
    found = parse_json(files.metadata.get("elman.constants", "{}"), where)
    own_constants = constants_of(model)
    if not found and any([isinstance(each, nn.Parameter) for each in own_constants.values()]):
        raise RunError(f"{where}: the initial states are missing; export the run again.")
    for name, own in own_constants.items() if found else ():
        try:
            own.detach().copy_(torch.tensor(found[name], dtype=own.dtype).view_as(own))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise RunError(
                f"{where}: {name} must be {own.numel()} numbers; export the run again."
            ) from error
