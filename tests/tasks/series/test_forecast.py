"""Forecasts of series: files, windows, distributions, scores, streams."""

import io
import json

import numpy as np
import pytest
import scipy.stats
import torch

import elman
from elman.errors import DataError, OptionError
from elman.tasks import TASKS, Data, train
from elman.tasks.series import data, reading, scores
from elman.tasks.series.arriving import Arriving
from elman.tasks.series.distributions import (
    Gaussian,
    NegativeBinomial,
    Quantiles,
    StudentT,
    count_quantile,
    student_quantile,
)
from elman.tasks.series.features import batch_of, filled_by_season, prepared, repeated
from elman.tasks.series.forecasting import forecast
from elman.tasks.series.options import SeriesOptions
from elman.tasks.series.series import Window
from elman.tasks.series.symbols import SeriesSymbols, symbols_of
from elman.tasks.series.times import Step
from elman.training.progress import Silence
from tasks.conftest import samples
from tasks.test_odd_paths import PATHS

series = TASKS["series"]
TINY = {"hidden_size": 8, "horizon": 7, "longest": 28, "stride": 4, "epochs": 2, "threads": 1}


def table(folder, text, name="a.csv"):
    path = folder / name
    path.write_text(text)
    return path


def rows(folder, text, **options):
    path = table(folder, text)
    return [row.value.series for row in data.read(path, SeriesOptions(horizon=1, **options))]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = samples(tmp_path_factory.mktemp("series"), "series")
    train(series, Data(folder / "train.csv"), folder / "run", TINY, progress=Silence())
    return folder / "run"


# ---- files


def test_rows_become_series_on_a_grid_with_missing_values(tmp_path):
    text = "date,group,value\n2024-01-03,a,3\n2024-01-01,a,1\n2024-01-05,a,\n2024-01-06,a,6\n"
    text += "2024-01-31,b,1\n2024-02-29,b,NA\n2024-03-31,b,3\n"
    a, b = rows(tmp_path, text)
    assert a.step == Step("seconds", 86400.0)
    assert np.array_equal(a.values[:, 0], [1, np.nan, 3, np.nan, np.nan, 6], equal_nan=True)
    assert a.dates(4, 8) == ["2024-01-05", "2024-01-06", "2024-01-07", "2024-01-08"]
    assert b.step == Step("months", 1)
    assert b.dates(2, 5) == ["2024-03-31", "2024-04-30", "2024-05-31"]


def test_a_wide_table_has_a_series_in_each_column(tmp_path):
    found = rows(tmp_path, "ds;x;y\n1;1;10\n2;2;20\n3;3;30\n4;;40\n", layout="wide")
    assert [(each.name, len(each), each.targets) for each in found] == [
        ("x", 3, ("value",)),
        ("y", 4, ("value",)),
    ]


def test_irregular_times_stay_as_they_are(tmp_path):
    [found] = rows(tmp_path, "t,time,value\n1,0,1\n1,1,2\n1,2.7,3\n1,3.1,4\n", static_columns="t")
    assert not found.regular
    assert found.times.tolist() == [0, 1, 2.7, 3.1]


BAD = {
    "two rows at one time": ("time,value\n1,2\n2,3\n2,4\n", 'line 4: the series has the time 2 twice'),
    "text": ("time,value\n" + "1,2\n" * 1 + "2,many\n3,1\n", 'line 3: the column "value" has "many"'),
    "an underscore": ("time,value\n" + "1,2\n" + "2,1_000\n3,1\n", 'the column "value" has "1_000"'),
    "an underscore in a time": ("time,value\n1_0,2\n1_1,2\n1_2,1\n", 'line 2: the time is "1_0"'),
    "no such date": ("date,value\n2024-02-30,1\n2024-03-01,2\n", "line 2: the time is"),
    "mixed offsets": ("date,value\n2024-02-01T00:00Z,1\n2024-02-02,2\n", "line 3: some times have an"),
    "nothing to forecast": ("date,name\n2024-02-01,x\n", "no column holds numbers to forecast"),
    "too short": ("time,value\n1,2\n2,3\n", "the series has 2 steps, but a forecast of 1 step (horizon) "),
    "a row too long": ("time,value\n1,2\n2,3,4\n", "line 3: the header has 2 columns but the row has 3"),
    "no values": ("time,value,k\n1,,1\n2,,2\n3,NA,1\n", "the series has no value"),
    "far away": ("time,value\n1,1\n2,2\n3,3\n900000,4\n", "span 900,000 steps"),
    "twice a name": ("time,value,value\n1,2,3\n", 'two columns are named "value"'),
}  # fmt: skip


@pytest.mark.parametrize(("text", "sentence"), BAD.values(), ids=BAD)
def test_a_bad_table_is_refused_with_its_place(text, sentence, tmp_path):
    options = SeriesOptions(horizon=1, target_columns="value" if ",value" in text else "")
    with pytest.raises(DataError) as caught:
        data.read(table(tmp_path, text), options)
    assert sentence in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/a.csv")
    assert series.check(tmp_path / "a.csv", options).problems[0] == str(caught.value)


def test_a_column_that_is_not_there_or_has_two_roles_is_named(tmp_path):
    path = table(tmp_path, "time,value,x\n1,2,3\n2,3,4\n3,4,5\n")
    for options, sentence in {
        "known_columns": ("z", 'there is no column "z", which the option known_columns names; the'),
        "past_columns": ("x, x", 'the column "x" is named by past_columns and by'),
        "static_columns": ("x", 'has "3" and "4" in the series'),
    }.items():
        with pytest.raises(DataError, match=sentence[1][:30]):
            data.read(path, SeriesOptions(horizon=1, **{options: sentence[0]}))


# ---- windows and features


def test_a_forecast_never_depends_on_what_it_forecasts(run, tmp_path):
    model = elman.load(run)
    lines = (run.parent / "valid.csv").read_text().splitlines()
    path = table(tmp_path, "\n".join(lines) + "\n")
    [window, _] = [row.value for row in data.read(path, model.options)]
    whole = forecast(model.fitted, [window.at(100)])[0]
    cut = forecast(model.fitted, [Window(window.series.until(100), 7, 1, origin=100)])[0]
    assert np.array_equal(whole, cut)
    changed = window.series.until(len(window.series))
    changed.values[100:] = 1e4
    assert np.array_equal(forecast(model.fitted, [Window(changed, 7, 1, origin=100)])[0], whole)


def test_scales_come_from_the_training_part_only(tmp_path):
    path = samples(tmp_path, "series") / "train.csv"
    train_rows, valid_rows = data.hold_out(data.read(path, SeriesOptions(horizon=7)), 0, 10)
    for kept, held in zip(train_rows, valid_rows, strict=True):
        assert len(kept.value.series) == held.value.first
        assert len(held.value.series) - held.value.first >= 7
    options = SeriesOptions(horizon=7)
    learned = data.build_vocab(data.cut([r.value for r in train_rows], 28), options, 0).symbols
    for row in valid_rows:
        row.value.series.values[row.value.first :] = 1e9
    again = data.build_vocab(data.cut([r.value for r in train_rows], 28), options, 0).symbols
    assert learned.to_json() == again.to_json()
    assert SeriesSymbols.from_json(learned.to_json()).to_json() == learned.to_json()


def test_features_have_the_sizes_that_the_model_is_built_for(tmp_path):
    text = "date,value,price,kind,where\n" + "".join(
        f"2024-01-{d:02d},{d},{d % 3},{'ab'[d % 2]},north\n" for d in range(1, 29)
    )
    options = SeriesOptions(
        horizon=3, longest=14, known_columns="price", past_columns="kind", static_columns="where",
        target_columns="value", lags="1 7",
    )  # fmt: skip
    path = table(tmp_path, text)
    windows = data.cut([row.value for row in data.read(path, options)], 14)
    symbols = data.build_vocab(windows, options, 0).symbols
    batch = batch_of(windows[:3], symbols, options)
    model = series.build(options, elman.cells.gru, data.build_vocab(windows, options, 0))
    assert batch.x.shape == (14, 3, model.encoder.input_size)
    assert batch.future.shape == (3, 3, model.decoder.input_size - model.encoder.output_size)
    assert torch.isfinite(batch.x).all()
    # the value of seven steps ago, in the scale of the window
    lag = batch.x[-1, -1, 3]
    end = windows[2].end
    expected = (windows[2].series.values[end - 8, 0] - float(batch.mean[-1])) / float(batch.std[-1])
    assert float(lag) == pytest.approx(expected, rel=1e-4)
    assert prepared(windows[0].series, symbols, options).ahead.shape[0] == 28 + 3


def test_the_seasonal_naive_repeats_the_last_season_over_gaps():
    values = np.array([[1.0], [2.0], [3.0], [4.0], [np.nan], [6.0]])
    filled = filled_by_season(values, 3)
    assert repeated(filled, 6, 4, 3).ravel().tolist() == [4.0, 2.0, 6.0, 4.0]
    assert repeated(filled, 6, 3, 3, back=1).ravel().tolist() == [1.0, 2.0, 3.0]
    assert repeated(filled, 2, 3, 3).ravel().tolist() == [2.0, 1.0, 2.0]


# ---- distributions, each against scipy


@pytest.mark.parametrize("level", [0.02, 0.3, 0.5, 0.9, 0.999])
def test_quantiles_agree_with_scipy(level):
    freedom = np.array([2.01, 3.5, 30.0, 1e4])
    np.testing.assert_allclose(
        student_quantile(level, freedom), scipy.stats.t.ppf(level, freedom), rtol=1e-6, atol=1e-9
    )
    mean = np.array([0.01, 0.7, 30.0, 4000.0])
    spread = np.array([0.5, 2.0, 0.01, 0.1])
    expected = scipy.stats.nbinom.ppf(level, 1 / spread, 1 / (1 + spread * mean))
    np.testing.assert_array_equal(count_quantile(level, mean, spread), expected)


def test_losses_are_the_negative_log_likelihoods_of_scipy():
    draw = torch.Generator().manual_seed(0)
    parameters = torch.randn((5, 2, 3), generator=draw)
    anchor, target = torch.randn((5, 2), generator=draw), torch.randn((5, 2), generator=draw)
    mean, std = torch.tensor([0.5, -1.0]), torch.tensor([2.0, 0.7])
    z = (target - mean) / std - anchor - parameters[..., 0]
    scale = torch.nn.functional.softplus(parameters[..., 1]) + 1e-3
    freedom = 2 + torch.nn.functional.softplus(parameters[..., 2])
    found = StudentT().loss(parameters, anchor, target, mean, std)
    expected = -scipy.stats.t.logpdf(z.numpy(), freedom.numpy(), scale=scale.numpy())
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4)
    found = Gaussian().loss(parameters[..., :2], anchor, target, mean, std)
    np.testing.assert_allclose(
        found.numpy(), -scipy.stats.norm.logpdf(z.numpy(), scale=scale.numpy()), rtol=1e-4
    )
    counts = torch.randint(0, 20, (5, 2), generator=draw).float()
    binomial, ones = NegativeBinomial(), torch.full((2,), 3.0)
    expected_count, dispersion = binomial._parts(parameters[..., :2], anchor, ones, ones)
    found = binomial.loss(parameters[..., :2], anchor, counts, ones, ones)
    r = 1 / dispersion.double().numpy()
    p = 1 / (1 + dispersion.double().numpy() * expected_count.double().numpy())
    np.testing.assert_allclose(
        found.numpy(), -scipy.stats.nbinom.logpmf(counts.numpy(), r, p), rtol=1e-3
    )
    at_anchor = torch.zeros((5, 2, 2))
    expected_count, _ = binomial._parts(at_anchor, anchor.abs() + 1, ones, ones)
    assert torch.allclose(expected_count, (anchor.abs() + 1) * 3 + 3, rtol=1e-4)


def test_quantile_loss_is_least_at_the_quantiles():
    values = torch.randn(4000, generator=torch.Generator().manual_seed(0))
    levels = (0.1, 0.5, 0.9)
    there = torch.quantile(values, torch.tensor(levels))

    def loss(parameters):
        zero, one = torch.zeros(4000, 1), torch.ones(1)
        wide = parameters.expand(4000, 1, 3)
        return float(Quantiles(levels).loss(wide, zero, values[:, None], one * 0, one).mean())

    best = loss(there)
    for k in range(3):
        for change in (-0.05, 0.05):
            moved = there.clone()
            moved[k] += change
            assert loss(moved) > best


# ---- scores


def test_scores_by_hand():
    values = np.arange(20.0)[:, None]
    values[1::2] += 10  # a season of two
    whole = reading.Series("a", "", ("v",), Step("number", 1.0), True, np.arange(20.0), values)
    window = Window(whole, 2, 1, origin=10)
    quantiles = np.stack([np.full((2, 1), q) for q in (5.0, 12.0, 25.0)], -1)
    errors = scores.Errors(window, quantiles, (0.1, 0.5, 0.9))
    assert errors.error.ravel().tolist() == [-2.0, 9.0]
    assert errors.inside.ravel().tolist() == [1.0, 1.0]
    assert errors.relative.ravel().tolist() == pytest.approx([200 * 2 / 22, 200 * 9 / 33])
    assert scores.mase([window], [errors.error], 2) == pytest.approx(5.5 / 2)
    assert scores.mase([window], [scores.seasonal_naive(window, 2)], 2) == 1.0


def test_a_series_that_changes_by_rounding_only_does_not_count():
    flat = 3 + np.where(np.arange(12.0) % 2, 4.4e-16, 0.0)[:, None]
    grows = np.arange(12.0)[:, None]
    windows = [
        Window(reading.Series("a", "", ("v",), Step("number", 1.0), True, np.arange(12.0), v), 2, 1)
        for v in (flat, grows)
    ]
    windows = [each.at(10) for each in windows]
    errors = [np.full((2, 1), 5.0), np.full((2, 1), 2.0)]
    assert scores.mase(windows, errors, 1) == 2.0
    assert np.isnan(scores.mase(windows[:1], errors[:1], 1))
    assert scores.hydrology(windows, errors) == scores.hydrology(windows[1:], errors[1:])
    assert np.isnan(scores.hydrology(windows[:1], errors[:1])["nse"])
    # the mean of the values is 0 up to rounding
    _, kge = scores.efficiencies(np.array([0.1, 0.2, -0.3]), np.array([0.2, 0.2, -0.3]))
    assert kge > -1


def test_without_a_defined_mase_the_best_epoch_is_that_of_the_least_mae(tmp_path):
    lines = [f"{day},{0.1 * 3}" for day in range(40)]
    path = table(tmp_path, "\n".join(["time,value", *lines]) + "\n", "train.csv")
    settings = {**TINY, "horizon": 4, "longest": 8}
    model, outcome = train(series, Data(path), tmp_path / "run", settings, progress=Silence())
    history = [
        json.loads(line) for line in (tmp_path / "run/history.jsonl").read_text().splitlines()
    ]
    assert outcome.best_metric == min(line["valid"]["mae"] for line in history)
    assert not {"mase", "seasonal_naive_mase", "nse", "kge"} & set(model.evaluate(path))
    card = (tmp_path / "run/card.md").read_text()
    assert "- mase" not in card
    assert "- validated on: the last tenth of each series, " in card
    assert "Baselines on the validation data (mae)" in card


def test_crps_of_many_quantiles_is_that_of_the_normal_distribution():
    levels = tuple(np.linspace(0.005, 0.995, 199).tolist())
    quantiles = scipy.stats.norm.ppf(levels)[None, None]
    found = scores.crps(np.array([[0.7]]), quantiles, levels)
    z = 0.7
    exact = z * (2 * scipy.stats.norm.cdf(z) - 1) + 2 * scipy.stats.norm.pdf(z) - np.pi**-0.5
    assert found.item() == pytest.approx(exact, abs=2e-3)


def test_a_backtest_scores_the_last_origins_only(run):
    model = elman.load(run)
    valid = run.parent / "valid.csv"
    assert model.evaluate(valid, origins=3)["examples"] == 6
    found = model.evaluate(valid)
    assert found["examples"] > 6
    assert found.keys() >= {
        "mase", "seasonal_naive_mase", "mae", "rmse", "smape", "crps", "coverage", "interval",
    }  # fmt: skip


# ---- training and answers


@pytest.mark.parametrize("likelihood", ["gaussian", "student_t", "negative_binomial"])
def test_every_likelihood_is_trained_and_forecasts_in_order(likelihood, tmp_path):
    folder = samples(tmp_path, "series")
    settings = {**TINY, "likelihood": likelihood, "longest": 14, "stride": 20}
    model, _ = train(series, Data(folder / "train.csv"), folder / "r", settings, progress=Silence())
    [answer] = model(folder / "valid.csv")
    for each in answer.forecasts:
        assert (np.diff(each.quantiles, axis=-1) >= 0).all()
        assert each.quantiles.shape == (7, 1, 9)
    again = series.record(elman.load(folder / "r")(folder / "valid.csv")[0])
    assert again == series.record(answer)


def test_options_that_do_not_go_with_values_are_refused(tmp_path):
    text = "time,value\n" + "".join(f"{k},{-k}\n" for k in range(40))
    path = table(tmp_path, text)
    for settings, sentence in [
        (
            {"transform": "log"},
            'line 3: the column "value": the value -1 is negative, but transform log',
        ),
        ({"likelihood": "negative_binomial"}, "but likelihood negative_binomial needs"),
        ({"season": 100}, "season is 100, but the longest training series has 33 steps; lower"),
        ({"lags": "1 33"}, "lags is 33, but the longest training series has 33 steps; lower"),
    ]:
        with pytest.raises(DataError, match=sentence):
            train(series, Data(path), tmp_path / "r", {**TINY, **settings}, progress=Silence())
    fractions = table(tmp_path, "time,value\n1,3\n2,4.5\n3,2\n4,1\n", "b.csv")
    with pytest.raises(
        DataError, match=r'line 3: the column "value": the value 4\.5 is no integer'
    ):
        data.read(fractions, SeriesOptions(horizon=1, likelihood="negative_binomial"))
    with pytest.raises(OptionError, match=r"quantiles is '0\.1 2'"):
        train(
            series, Data(path), tmp_path / "r", {**TINY, "quantiles": "0.1 2"}, progress=Silence()
        )
    with pytest.raises(OptionError, match="lags is 'x'"):
        train(series, Data(path), tmp_path / "r", {**TINY, "lags": "x"}, progress=Silence())


def test_a_season_that_is_longer_than_the_series_is_none(tmp_path, command):
    path = table(tmp_path, "time,value\n" + "".join(f"2024-01-0{k},{k}\n" for k in range(1, 8)))
    [week] = data.read(path, SeriesOptions(horizon=1))
    assert symbols_of([week.value.series], SeriesOptions(horizon=1)).season == 1
    assert symbols_of([week.value.series], SeriesOptions(horizon=1, season=6)).season == 6
    status, out, _ = command("check", "series", path, "--horizon", 1, "--season", 7)
    assert status == 1
    assert "season is 7, but the longest training series has 7 steps" in " ".join(out.split())


def test_a_file_of_other_steps_than_those_of_the_training_is_refused(run, tmp_path):
    model = elman.load(run)
    months = [f"20{y}-{m:02d}-01,{m}\n" for y in (22, 23) for m in range(1, 13)]
    path = table(tmp_path, "time,value\n" + "".join(months))
    for answer in (model, model.evaluate):
        with pytest.raises(DataError, match=r"a step is 1 month, but .* trained on steps of 1 day"):
            answer(path)


def test_a_stream_has_the_steps_of_the_training(run):
    model = elman.load(run)
    text = b"time,value\n2023-01-05,1\n2023-01-07,2\n"
    assert [each["times"][0] for each in model.stream_records([text])] == [
        "2023-01-06",
        "2023-01-08",
    ]
    arriving = Arriving(model.symbols, model.options)
    *_, found = [arriving.accept(line) for line in text.splitlines()]
    assert np.array_equal(found.values[:, 0], [1, np.nan, 2], equal_nan=True)
    for time, sentence in [
        (b"2023-01-08T12:00", "line 4: its time is not a whole number of steps after the first"),
        (b"2223-01-08", "line 4: the times so far span 73,"),
    ]:
        with pytest.raises(DataError, match=sentence):
            list(model.stream_records([text + time + b",3\n"]))


def test_predict_needs_what_is_known_in_advance(tmp_path):
    known = "".join(f"2024-01-{d:02d},{d % 5},{d % 2}\n" for d in range(1, 29))
    path = table(tmp_path, "date,value,open\n" + known)
    settings = {**TINY, "horizon": 2, "longest": 7, "known_columns": "open"}
    model, _ = train(series, Data(path), tmp_path / "r", settings, progress=Silence())
    with pytest.raises(
        DataError, match=r'the column "open" is known in advance.*2 steps too early'
    ):
        model(path)
    later = table(tmp_path, "date,value,open\n" + known + "2024-01-29,,1\n2024-01-30,,0\n", "b.csv")
    [answer] = model(later)
    assert answer.forecasts[0].dates == ("2024-01-29", "2024-01-30")


def test_predict_writes_a_picture_and_a_table(run, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = command(
        "predict", run, run.parent / "valid.csv", "--png", "f.png", "--csv", "f.csv"
    )
    assert status == 0, err
    assert "2024-10-27" in out
    assert (tmp_path / "f.png").read_bytes()[:4] == b"\x89PNG"
    lines = (tmp_path / "f.csv").read_text().splitlines()
    assert lines[0].startswith("file,series,target,time,forecast,0.1,")
    assert len(lines) == 1 + 2 * 7


def test_a_stream_ends_with_the_forecast_of_the_file(run, tmp_path):
    model = elman.load(run)
    lines = [
        line.replace(",art,", ",").replace(",group,", ",")
        for line in (run.parent / "valid.csv").read_text().splitlines()
        if ",science," not in line
    ]
    path = table(tmp_path, "\n".join(lines) + "\n")
    [answer] = model(path)
    content = path.read_bytes()
    pieces = [content[k : k + 100] for k in range(0, len(content), 100)]
    records = [*model.stream_records(pieces)]
    assert len(records) == len(lines) - 1
    [whole] = answer.forecasts
    streamed = records[-1]["forecast"]["value"]
    assert streamed == pytest.approx([float(v) for v in whole.median[:, 0]], rel=1e-5)
    assert records[-1]["times"] == [*whole.dates]
    shown = [*model.stream(io.BytesIO(content))]
    assert len(shown) == len(records)


def test_bad_lines_of_a_stream_are_named(run):
    model = elman.load(run)
    for content, sentence in [
        (b"value\n1\n", "line 1: the model reads the calendar, but no column holds the time"),
        (b"time,value\n2024-01-01,1\n2024-01-01,2\n", "line 3: its time is not after"),
        (b"time,value\n2024-01-01,x\n", 'line 2: the column "value" has "x"'),
        (b"time,value\n2024-01-01\n", "line 2: it has 1 value, but the first line names 2 columns"),
    ]:
        with pytest.raises(DataError, match=sentence):
            [*model.stream_records([content])]


def test_check_names_constant_targets_and_counts_what_is_missing(tmp_path, command):
    text = "time,group,value\n" + "".join(f"{k},a,5\n{k},b,{k % 3 or ''}\n" for k in range(20))
    status, out, _ = command("check", "series", table(tmp_path, text), "--json", "--horizon", 3)
    found = json.loads(out)
    assert status == 0
    assert "1 column (" in found["warnings"][0]
    assert found["facts"]["missing_values"] == 7
    assert found["facts"]["examples"] == 2


@pytest.mark.parametrize("kind", PATHS)
def test_predict_says_what_is_wrong_with_a_path(kind, run, tmp_path):
    with pytest.raises(DataError) as caught:
        elman.load(run).predict_file(PATHS[kind](tmp_path))
    assert str(caught.value).startswith(str(tmp_path))
    assert "\n" not in str(caught.value)
