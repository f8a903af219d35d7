"""Genes in the contract of all tasks."""

SETTINGS = {"hidden_size": 6, "num_layers": 1, "channels": 6, "longest": 300}
INPUTS = ("ACGTACGTAGGT",)
