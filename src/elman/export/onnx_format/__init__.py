"""ONNX files: a cell's equations in ONNX's operators, held to Elman by ONNX Runtime.

``passes/recognise.py`` sees whether ONNX has a cell, ``equations.py`` writes out any other,
``recurrent.py`` puts layers into a graph and ``layers.py`` makes them a model.  A whole model says
in ``forms.py`` what goes in and out; ``program.py`` and ``operators.py`` translate what torch
traces of it.  ``exporter.py`` is ``elman.export.onnx``.
"""
