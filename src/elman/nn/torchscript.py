"""What torch's older exporters are told of Elman's layers, which they cannot write."""

from __future__ import annotations

from typing import Any, NoReturn

from elman.autograd import refuse_onnx_export
from elman.errors import ExportError


class NotForTorchScript:
    """A module that TorchScript's exporters refuse in one sentence, wherever it is in a model.

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

    def _slow_forward(self, *inputs: Any, **named: Any) -> Any:
        """torch's call of ``forward`` while it records a graph.

        ``torch.onnx.export(dynamo=False)`` gives a module its defaults by position, which a
        keyword cannot take, so a layer alone has to be refused before it is called.
        """
        refuse_onnx_export()
        return super()._slow_forward(*inputs, **named)  # type: ignore[misc]
