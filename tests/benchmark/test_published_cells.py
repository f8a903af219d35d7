"""Published cells compute what loops written from their papers compute, gradients too."""

import pytest

import published_cells
import tables
from published import PUBLISHED, differences
from thorough import few

RIVALS = [(one, name) for one in PUBLISHED for name in one.rivals]


# both are float64: what differs is the order of sums
@pytest.mark.parametrize("backend", few(["native", "reference"], keep="native".__eq__))
@pytest.mark.parametrize("one", PUBLISHED, ids=lambda one: one.title)
def test_values_and_gradients_are_those_of_the_paper(one, backend):
    found = differences(one, one.loop, backend)
    assert max(found.values()) < 1e-10, found
    assert {"y", "d x"} < found.keys()


@pytest.mark.parametrize(("one", "name"), RIVALS, ids=[f"{o.title}: {n}" for o, n in RIVALS])
def test_faster_rivals_compute_the_same(one, name):
    found = differences(one, one.rivals[name], "reference", from_zero=True)
    assert max(found.values()) < 1e-10, found


def test_every_cell_was_measured_and_compared():
    record = tables.read("published_cells")
    assert [row["cell"] for row in record["rows"]] == [one.title for one in PUBLISHED]
    assert record["command"] == "python benchmarks/published_cells.py"
    table = tables.published_cells()
    for row in record["rows"]:
        assert row["largest_error"] < 1e-10
        assert len(row["shapes"]) == len(published_cells.SHAPES)
        assert f"\n| {row['cell']} (" in table


def test_the_ratios_before_are_those_of_known_cells():
    assert published_cells.BEFORE.keys() <= {one.title for one in PUBLISHED}
