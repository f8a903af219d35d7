"""ONNX files run by ONNX Runtime, and every reason that it refuses one as a sentence."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from elman.errors import ExportError
from elman.export.onnx_format.libraries import onnxruntime


class Session:
    """A model in ONNX Runtime, on one thread of the CPU; ``name`` is how errors call it."""

    def __init__(self, model: bytes, name: str) -> None:
        library = onnxruntime()
        options = library.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4  # what is wrong is raised
        self.name = name
        try:
            self._session = library.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions have no class in common
            raise ExportError(
                f"{name}: ONNX Runtime {library.__version__} cannot load it ({_first_line(error)})."
            ) from error
        self.outputs = [output.name for output in self._session.get_outputs()]
        self.inputs = [value.name for value in self._session.get_inputs()]

    @property
    def metadata(self) -> dict[str, str]:
        """What the file says of itself."""
        try:
            return dict(self._session.get_modelmeta().custom_metadata_map)
        except UnicodeDecodeError as error:
            raise ExportError(f"{self.name}: it is damaged; copy it again.") from error

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs by name."""
        try:
            found = self._session.run(None, dict(feeds))
        except Exception as error:
            raise ExportError(
                f"{self.name}: ONNX Runtime cannot run it ({_first_line(error)})."
            ) from error
        return dict(zip(self.outputs, found, strict=True))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else "no reason"
