import math

import numpy as np
import pytest
import torch

import elman
from elman.errors import ExportError
from elman.export.check import largest_difference, write_checked
from elman.export.layers import layers_of


def test_files_within_the_bound_are_written(tmp_path):
    a, b = tmp_path / "a.c", tmp_path / "deep" / "a.h"
    done = write_checked({a: "one", b: b"two"}, 1e-6, 1e-5, "5 random steps")
    assert (a.read_text(), b.read_text()) == ("one", "two")
    said = f"wrote {a} and {b}; largest difference from Elman over 5 random steps: 1e-06"
    assert str(done) == said


def test_what_could_not_be_run_is_written_and_says_so(tmp_path):
    done = write_checked({tmp_path / "a.c": "one"}, None, 1e-5, "no C compiler was found")
    assert str(done) == f"wrote {tmp_path / 'a.c'}; not checked: no C compiler was found"


@pytest.mark.parametrize(
    ("difference", "sentence"),
    [(2e-5, "differ from Elman's by 2e-05, more than 1e-05"), (math.nan, "are not numbers")],
)
def test_above_the_bound_no_file_is_left(tmp_path, difference, sentence):
    with pytest.raises(ExportError, match=sentence):
        write_checked({tmp_path / "a.c": "x", tmp_path / "a.h": "y"}, difference, 1e-5, "5 steps")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("batch_first", [False, True])
def test_layers_are_read_with_their_weights_whoever_owns_them(batch_first):
    torch.manual_seed(0)
    theirs = elman.nn.GRU(3, 4, 2, bidirectional=True, batch_first=batch_first)
    ours = elman.Recurrent(elman.cells.lstm, 3, 4, 2, batch_first=batch_first)
    x = torch.randn(6, 2, 3)
    for module in (theirs, ours):
        y, state = layers_of(module).on_reference_engine(x)
        wanted, last = module(x.transpose(0, 1) if batch_first else x)
        wanted = wanted.transpose(0, 1) if batch_first else wanted
        assert torch.allclose(y, wanted, atol=1e-6)
        first = last if isinstance(last, torch.Tensor) else last[0]
        assert torch.allclose(state[0], first, atol=1e-6)


def test_a_module_without_equations_is_refused():
    with pytest.raises(ExportError, match=r"Linear is not a recurrent layer of Elman; pass an"):
        layers_of(torch.nn.Linear(2, 2))


def test_an_unknown_target_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"'elman\.export' has no attribute 'fortran'"):
        _ = elman.export.fortran


def test_infinities_agree_where_they_are_the_same():
    wanted = {"y": np.array([-np.inf, 2.0, 0.5])}
    assert largest_difference({"y": np.array([-np.inf, 2.0, 1.0])}, wanted) == 0.25
    assert largest_difference({"y": np.array([0.0, 2.0, 0.5])}, wanted) == np.inf
    assert largest_difference({"y": np.array([-np.inf, np.inf, 0.5])}, wanted) == np.inf
