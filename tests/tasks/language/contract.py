"""Language in the contract of all tasks."""

SETTINGS = {"hidden_size": 6, "embedding_size": 6}
INPUTS = ("Day 7. The wind",)
STREAM = b"Day 7. "
