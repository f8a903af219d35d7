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
        return dict(self._session.get_modelmeta().custom_metadata_map)

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs by name."""
        try:
            found = self._session.run(None, dict(feeds))
        except Exception as error:
            raise ExportError(
                f"{self.name}: ONNX Runtime cannot run it ({_first_line(error)})."
            ) from error
        return dict(zip(self.outputs, found, strict=True))


def largest_difference(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> float:
    """The largest difference between values of the same names, as a fraction of the largest value.

    Values up to 1 are compared as they are.  Infinite where shapes differ.

    >>> a, b = np.array([100.0, 0.0]), np.array([100.0, 1.0])
    >>> largest_difference({"y": a}, {"y": b})
    0.01
    """
    worst = 0.0
    for name, values in wanted.items():
        if found[name].shape != values.shape:
            return float("inf")
        if values.size:
            scale = max(1.0, float(np.abs(values).max()))
            difference = np.abs(found[name].astype(np.float64) - values).max() / scale
            worst = max(worst, float(difference))
    return worst


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else "no reason"
