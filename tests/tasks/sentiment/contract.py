"""Sentiment in the contract of all tasks."""

SETTINGS = {"hidden_size": 6, "embedding_size": 6}
INPUTS = ("A wonderful film .",)
