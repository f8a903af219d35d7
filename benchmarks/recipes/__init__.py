"""What makes the shipped models and the data that they and the benchmarks are trained on.

Run these from the folder ``benchmarks``, as in ``python -m recipes.ship``.
"""
