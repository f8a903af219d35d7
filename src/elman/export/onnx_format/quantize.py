"""int8 weights by ONNX Runtime's dynamic quantisation.

Matrices, LSTMs and tables of vectors are stored as int8; what meets a matrix is quantised while the
model runs.  Weights take seven of the eight bits: a processor with AVX2 and without VNNI adds two
products in 16 bits, which full int8 weights overflow without a word (an LSTM of 96 units was wrong
by 0.3).  ONNX Runtime quantises no GRU and no RNN node, so that those cells are written out
as a ``Scan`` first, whose products it does quantise.
"""

from __future__ import annotations

import logging
import tempfile
from importlib import import_module
from pathlib import Path

from elman.export.onnx_format.libraries import onnx, onnxruntime

#: operators of ONNX that stay whole in a model that is to be quantised
NATIVE = frozenset({"LSTM"})
#: how far values may be from Elman's, as a fraction of the largest: seven bits have two digits
BOUND = 0.1


def quantized(content: bytes) -> bytes:
    """The model with int8 weights."""
    onnxruntime()
    tools = import_module("onnxruntime.quantization")
    entries = {entry.key: entry.value for entry in onnx().load_from_string(content).metadata_props}
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # it advises a preparation that these graphs do not need
    try:
        with tempfile.TemporaryDirectory() as folder:
            given, made = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
            given.write_bytes(content)
            tools.quantize_dynamic(
                given,
                made,
                op_types_to_quantize=["MatMul", "LSTM", "Gather"],
                weight_type=tools.QuantType.QInt8,
                per_channel=True,
                reduce_range=True,
                extra_options={"EnableSubgraph": True, "MatMulConstBOnly": True},
            )
            model = onnx().load(made)
    finally:
        logger.setLevel(level)
    onnx().helper.set_model_props(model, {**entries, "elman.quantized": "int8"})
    found: bytes = model.SerializeToString()
    return found
