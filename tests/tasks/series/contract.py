"""Series in the contract of all tasks."""

from elman.tasks.series.samples import VALID

SETTINGS = {"hidden_size": 6, "horizon": 5, "longest": 20, "stride": 4}
INPUTS = ("valid.csv",)
#: the first museum's rows, without the column of its name
STREAM = "".join(
    [line.replace(",art,", ",").replace(",group,", ",") + "\n" for line in VALID.split("\n")[:30]]
).encode()
