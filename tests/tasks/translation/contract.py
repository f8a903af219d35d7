"""Translation in the contract of all tasks."""

SETTINGS = {"hidden_size": 6, "embedding_size": 6, "vocabulary": 300}
INPUTS = ("Je chante .",)
