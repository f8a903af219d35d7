"""What an exporter cannot write is said in a sentence, and no file is left."""

import numpy as np
import pytest
import torch

import elman
from elman import tanh
from elman.errors import CellError, ElmanError, ExportError, OptionError, RunError
from elman.export.check import largest_difference

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
EXPORTERS = {
    "x.onnx": elman.export.onnx,
    "x.pt2": elman.export.torch_program,
    "x.c": elman.export.c,
}
each_exporter = pytest.mark.parametrize("name", EXPORTERS)


@elman.cell(gates="a")
def named_as_a_method(x, h, *, W, double):
    return tanh(W.a @ [h, x] + double.a)


@elman.cell(gates="a")
def with_a_huge_constant(x, h, *, W, b):
    return tanh(1e40 * (W.a @ [h, x]) + b.a)


def gru():
    return elman.Recurrent(elman.cells.gru, 2, 5)


def test_a_value_that_is_no_number_differs_from_one_that_is():
    numbers, mixed = np.array([1.0, 2.0]), np.array([np.nan, 2.0])
    assert largest_difference({"y": mixed}, {"y": numbers}) == np.inf
    assert largest_difference({"y": numbers}, {"y": mixed}) == np.inf
    assert largest_difference({"y": mixed}, {"y": mixed}) == 0
    assert largest_difference({"y": np.array([np.nan, 3.0])}, {"y": mixed}) == 0.5


@each_exporter
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path, name, value):
    layer = gru()
    next(layer.parameters()).data[0, 0] = value
    with pytest.raises(ExportError, match="holds a number that is not finite"):
        EXPORTERS[name](layer, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@each_exporter
def test_weights_without_values_are_refused(tmp_path, name):
    with pytest.raises(ExportError, match="device meta"):
        EXPORTERS[name](elman.Recurrent(elman.cells.gru, 2, 5, device="meta"), tmp_path / name)


@each_exporter
def test_torch_is_left_as_it_was(tmp_path, name):
    layer, before = gru(), torch.random.get_rng_state()
    torch.set_default_dtype(torch.float64)
    try:
        EXPORTERS[name](layer, tmp_path / name)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(torch.random.get_rng_state(), before)


@each_exporter
def test_a_path_with_another_ending_is_refused(tmp_path, name):
    with pytest.raises(OptionError, match="give one that ends in"):
        EXPORTERS[name](gru(), tmp_path / "x.txt")


@pytest.mark.parametrize("name", ["x.onnx", "x.c"])
def test_a_family_may_have_the_name_of_a_method_of_modules(tmp_path, name):
    EXPORTERS[name](elman.Recurrent(named_as_a_method, 2, 7), tmp_path / name)


@each_exporter
def test_a_constant_beyond_float32_is_refused(tmp_path, name):
    layer = elman.Recurrent(with_a_huge_constant, 1, 3)
    with pytest.raises(ElmanError), np.errstate(over="ignore"):
        EXPORTERS[name](layer, tmp_path / name)
    with pytest.raises(CellError, match="larger than a float32 can be"):
        layer(torch.zeros(2, 1, 1))


def test_c_writes_both_files_or_none(tmp_path):
    (tmp_path / "x.h").mkdir()
    with pytest.raises(RunError, match=r"x\.h: this is a folder"):
        elman.export.c(gru(), tmp_path / "x.c")
    assert [path.name for path in tmp_path.iterdir()] == ["x.h"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"output": torch.nn.Linear(7, 1)}, "output reads 7 numbers, but the layer gives 5"),
        ({"output": torch.nn.Tanh()}, "output is a Tanh"),
        ({"steps": 0}, "steps is 0"),
    ],
)
def test_options_of_c_that_cannot_be_are_told(tmp_path, options, said):
    with pytest.raises(OptionError, match=said):
        elman.export.c(gru(), tmp_path / "x.c", **options)


def test_metadata_are_texts(tmp_path):
    with pytest.raises(OptionError, match="metadata are texts"):
        elman.export.onnx(gru(), tmp_path / "x.onnx", metadata={"a": 3})


def test_weights_are_read_from_a_module_and_no_other_cell_is_taken_for_theirs():
    theirs = torch.nn.LSTM(2, 3)
    x = torch.randn(4, 1, 2)
    ours = elman.import_weights(theirs)
    torch.testing.assert_close(ours(x)[0], theirs(x)[0])
    with pytest.raises(OptionError, match="are those of lstm, not of gru"):
        elman.import_weights(theirs, cell=elman.cells.gru)
    whole = {key: tensor.to(torch.int8) for key, tensor in theirs.state_dict().items()}
    with pytest.raises(OptionError, match="its weights are integers"):
        elman.import_weights(whole)
