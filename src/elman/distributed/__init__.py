"""Batch inference on many machines, by Ray Data.

``predict(RUN, dataset)`` answers each row of a data set on the workers of a Ray cluster.
"""

from elman.distributed.ray_data import predict

__all__ = ["predict"]
