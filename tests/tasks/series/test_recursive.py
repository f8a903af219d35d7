"""Recursive forecasts: each step reads the one before it."""

import numpy as np
import pytest
import torch

import elman
from elman.errors import ExportError, OptionError
from elman.tasks import TASKS, Data, train
from elman.tasks.series.distributions import distribution_of
from elman.tasks.series.features import batch_of
from elman.tasks.series.fitting import windows_of_file
from elman.tasks.series.options import SeriesOptions
from elman.tasks.series.recursive import quantiles_of
from elman.training.progress import Silence

series = TASKS["series"]
SETTINGS = {
    "strategy": "recursive", "horizon": 4, "longest": 12, "hidden_size": 8, "epochs": 2,
    "stride": 6, "threads": 1, "known_columns": "open",
}  # fmt: skip


def walk(count=90, future=4):
    draw = np.random.default_rng(0)
    values = 5 + np.cumsum(draw.normal(size=count))
    lines = ["value,open", *[f"{value:.4f},{k % 2}" for k, value in enumerate(values)]]
    return "\n".join(lines + [f",{k % 2}" for k in range(count, count + future)]) + "\n"


@pytest.fixture(scope="module", params=["season", "last"])
def model(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("recursive")
    (folder / "a.csv").write_text(walk())
    settings = {**SETTINGS, "anchor": request.param}
    train(series, Data(folder / "a.csv"), folder / "run", settings, progress=Silence())
    return elman.load(folder / "run"), folder


def test_feeding_back_is_the_pass_of_training_over_the_values_that_were_fed(model):
    """Each step's parameters are those that training would compute, had its values come true."""
    trained, folder = model
    network = trained.model
    fitted = trained.fitted
    windows = windows_of_file(folder / "a.csv", fitted)
    batch = batch_of(windows, fitted.symbols, fitted.options)
    seen = []

    def sample(parameters, anchor, mean, std, draws):
        seen.append((parameters, anchor))
        return mean + std * (0.3 * len(seen) - 0.5)

    network.distribution.sample = sample
    try:
        with torch.no_grad():
            paths = network.paths(batch, 1, 0)
    finally:
        del network.distribution.sample
    target = paths[:, :, 0]
    told = []

    def loss(parameters, anchor, *rest):
        told.append((parameters, anchor))
        return torch.zeros(parameters.shape[:-1])

    network.distribution.loss = loss
    try:
        with torch.no_grad():
            network.losses(**{**vars(batch), "target": target})
    finally:
        del network.distribution.loss
    [(parameters, anchor)] = told
    for k, (own, its_anchor) in enumerate(seen):
        torch.testing.assert_close(own, parameters[k])
        torch.testing.assert_close(its_anchor, anchor[k])


def test_the_answer_of_a_window_depends_on_no_other_and_the_seed_decides(model):
    trained, folder = model
    path = folder / "a.csv"
    short = folder / "b.csv"
    short.write_text(walk(60))
    [alone], [_, beside] = trained([path], paths=20), trained([short, path], paths=20)
    assert np.array_equal(alone.forecasts[0].quantiles, beside.forecasts[0].quantiles)
    [other] = trained([path], paths=20, seed=1)
    assert not np.array_equal(alone.forecasts[0].quantiles, other.forecasts[0].quantiles)


def test_the_first_step_of_many_paths_is_that_of_the_medians(model):
    """Both read the same past; sampling 4,000 paths moves quantiles by some hundredths."""
    trained, folder = model
    [many] = trained([folder / "a.csv"], paths=4000)
    [medians] = trained([folder / "a.csv"], feedback="median")
    found, expected = [each.forecasts[0].quantiles[0, 0] for each in (many, medians)]
    assert np.allclose(found, expected, atol=0.1 * (expected[-1] - expected[0]))


def test_what_is_known_in_advance_is_read_at_every_step(model):
    trained, folder = model
    [before] = trained([folder / "a.csv"])
    changed = folder / "c.csv"
    changed.write_text(walk()[: -len(",0\n,1\n")] + ",1\n,1\n")
    [after] = trained([changed])
    same = np.isclose(before.forecasts[0].quantiles, after.forecasts[0].quantiles).all((1, 2))
    assert same.tolist() == [True, True, False, False]


def test_a_backtest_scores_and_an_export_is_refused(model, tmp_path):
    trained, folder = model
    scores = trained.evaluate(folder / "a.csv", paths=20, origins=2)
    assert scores["examples"] == 2
    assert scores["mase"] != trained.evaluate(folder / "a.csv", paths=20, origins=2, seed=1)["mase"]
    with pytest.raises(ExportError, match="a recursive forecast feeds its samples back"):
        elman.export.onnx(trained.model, tmp_path / "a.onnx")
    with pytest.raises(OptionError, match="strategy recursive is for mode forecast"):
        series.build_vocab([], SeriesOptions(mode="anomaly", strategy="recursive"), 0)


def test_a_stream_is_answered_step_by_step(tmp_path):
    text = walk(future=0).replace(",open", "")
    (tmp_path / "a.csv").write_text(text.replace(",0\n", "\n").replace(",1\n", "\n"))
    settings = {**SETTINGS, "known_columns": ""}
    run, _ = train(series, Data(tmp_path / "a.csv"), tmp_path / "run", settings, progress=Silence())
    lines = (tmp_path / "a.csv").read_bytes()
    *_, last = run.stream_records([lines], paths=10)
    [whole] = run([tmp_path / "a.csv"], paths=10)
    assert last["forecast"]["value"] == whole.forecasts[0].record()["forecast"]["value"]


@pytest.mark.parametrize("name", ["quantiles", "gaussian", "student_t", "negative_binomial"])
def test_samples_have_the_quantiles_of_their_distribution(name):
    levels = (0.1, 0.25, 0.5, 0.75, 0.9)
    distribution = distribution_of(name, levels)
    parameters = torch.tensor([*distribution.start])[None, None]
    anchor, mean, std = [torch.full((1, 1), value) for value in (0.5, 6.0, 3.0)]
    count = 20_000
    many = [each.expand(count, *each.shape[1:]) for each in (parameters, anchor, mean, std)]
    drawn = distribution.sample(*many, [np.random.default_rng(0)])
    found = quantiles_of(drawn[None, None], levels)[0, 0, 0]
    expected = distribution.quantiles(parameters, anchor, mean, std, levels)[0, 0]
    # a quantile of 20,000 draws is off by some hundredths of the spread; one of counts by 1
    assert np.allclose(found, expected, atol=1.0 if name == "negative_binomial" else 0.1)
