"""Scripts that make the shipped models and the data of models and benchmarks.

Run them from the folder ``benchmarks``, for example ``python -m recipes.ship``.
"""
