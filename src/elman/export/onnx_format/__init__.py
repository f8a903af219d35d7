"""ONNX files: a cell's equations in ONNX's operators, held to Elman by ONNX Runtime.

``recognise.py`` sees whether ONNX has a cell, ``equations.py`` writes out any other,
``recurrent.py`` puts layers into a graph, ``layers.py`` makes them a model, and ``exporter.py``
is ``elman.export.onnx``.
"""
