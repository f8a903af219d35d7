"""The tables of series that ``test_mutants.py`` damages."""

import io
import warnings
from pathlib import Path

import pyarrow
import pyarrow.parquet

from elman.errors import DataWarning
from elman.tasks.series.data import read
from elman.tasks.series.options import SeriesOptions
from elman.tasks.series.report import check_series
from tasks.mutating import refusal_of

OPTIONS = SeriesOptions(horizon=2)
LONG = "time,group,value,price\n" + "".join(
    f"2024-01-{day:02d},{name},{day * k},{day % 3}\n"
    for k, name in enumerate(("a", "b"), 1)
    for day in range(1, 13)
)
WIDE = "ds;north;south\n" + "".join(f"{2000 + k};{k / 2};{k * k}\n" for k in range(12))
HOURS = "timestamp\ty\n" + "".join(
    f"2024-03-31T{hour:02d}:00:00+01:00\t{hour}\n" for hour in range(12)
)


def parquet() -> bytes:
    days = [f"2024-01-{day:02d}" for day in range(1, 13)]
    table = pyarrow.table({"date": days, "value": [float(k) for k in range(12)]})
    stream = io.BytesIO()
    pyarrow.parquet.write_table(table, stream)
    return stream.getvalue()


def reader(options: SeriesOptions):
    def read_series(path: Path) -> str:
        with warnings.catch_warnings():  # a hole is named, and the file is read all the same
            warnings.simplefilter("ignore", DataWarning)
            problems = check_series(path, options).problems
            refusal = refusal_of(lambda: read(path, options))
        assert problems[:1] == ((refusal,) if refusal else ())
        return refusal

    return read_series


READERS = {
    "series long": ("a.csv", LONG, reader(SeriesOptions(horizon=2, known_columns="price"))),
    "series wide": ("a.csv", WIDE, reader(SeriesOptions(horizon=2, layout="wide"))),
    "series parquet": ("a.parquet", parquet(), reader(OPTIONS)),
    "series hours": ("a.tsv", HOURS, reader(OPTIONS)),
}
#: for ``test_any_bytes.py``: characters that matter, the reader, its check
ANY_BYTES = {
    "a.csv": (
        '0123456789.,;-:TtimeZvalue "\n\r\0x',
        lambda path: read(path, OPTIONS),
        lambda path: check_series(path, OPTIONS),
    )
}
