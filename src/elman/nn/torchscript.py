"""What ``torch.jit.script`` is told of Elman's layers, which it cannot compile."""

from __future__ import annotations

from typing import NoReturn

from elman.errors import ExportError


class NotForTorchScript:
    """A module that ``torch.jit.script`` refuses in one sentence, wherever it is in a model.

    >>> import elman, torch
    >>> NotForTorchScript.__prepare_scriptable__(elman.nn.GRU(2, 3))
    Traceback (most recent call last):
        ...
    elman.errors.ExportError: GRU: torch.jit.script cannot compile a recurrent layer of Elman; use \
elman.export.torch_program(model, path), whose file torch.export.load runs without Elman.
    """

    def __prepare_scriptable__(self) -> NoReturn:
        raise ExportError(
            f"{type(self).__name__}: torch.jit.script cannot compile a recurrent layer of Elman; "
            "use elman.export.torch_program(model, path), whose file torch.export.load runs "
            "without Elman."
        )
