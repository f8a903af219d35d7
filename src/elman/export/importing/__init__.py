"""Weights of other libraries' recurrent layers, as ``Recurrent`` layers.

``importer.py`` is ``elman.import_weights``; ``torch_state.py``, ``keras_file.py`` and
``onnx_file.py`` each read one library's weights, and ``layer_file.py`` Elman's own file of a layer.
Orders of gates, biases and what the update gate weighs differ between them: each file says what
its library computes.  What no cell can express is refused, never dropped.
"""
