"""C files: a cell's equations as loops that a compiler vectorises, held to Elman by running them.

``plan.py`` orders a step, ``layer.py`` writes a layer's tables and loops, ``ends.py`` what stands
before and after the layers, ``program.py`` the whole file, ``text.py`` names and expressions;
``numbers.py`` computes what follows from weights alone, ``check.py`` compiles and compares, and
``exporter.py`` is ``elman.export.c``.
"""
