"""Music in the contract of all tasks."""

SETTINGS = {"hidden_size": 6, "choice_size": 6}
INPUTS = ("primer.mid",)
