"""Torch programs: a layer or a model as a ``.pt2`` of plain torch operators, without Elman's.

``equations.py`` says what Elman's operator is in terms of others; ``exporter.py`` is
``elman.export.torch_program``.
"""
