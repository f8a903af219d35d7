"""Named entities in the contract of all tasks."""

SETTINGS = {"hidden_size": 6, "embedding_size": 6, "character_units": 4}
INPUTS = ("Anna went to Rome .",)
