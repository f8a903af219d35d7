"""Series in other clothes: time zones, gaps of time, Parquet, folders, and what `check` says."""

import io
import json
import warnings

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch

import elman
from elman.errors import DataError, DataWarning, OptionError
from elman.tasks import TASKS, Data, train
from elman.tasks.diagnosed import diagnose_run
from elman.tasks.series import data, scores
from elman.tasks.series.options import SeriesOptions
from elman.tasks.series.symbols import Scale
from elman.training.progress import Silence

series = TASKS["series"]


def read(folder, text, **options):
    path = folder / "a.csv"
    path.write_text(text)
    return [row.value.series for row in data.read(path, SeriesOptions(horizon=1, **options))]


# ---- clocks


def test_an_hour_that_comes_twice_is_two_steps_and_days_keep_their_length(tmp_path):
    hours = ["00:00", "01:00", "02:00", "02:00", "03:00", "04:00"]
    text = "time,value\n" + "".join(f"2024-10-27 {h},{k}\n" for k, h in enumerate(hours))
    [found] = read(tmp_path, text, time_zone="Europe/Berlin")
    assert found.step.size == 3600
    assert np.array_equal(found.values[:, 0], range(6))
    assert found.dates(4, 8)[-1] == "2024-10-27 06:00:00"
    days = "date,value\n" + "".join(f"2024-10-{d},{d}\n" for d in range(25, 31))
    [found] = read(tmp_path, days, time_zone="Europe/Berlin")
    assert found.step.size == 86400
    assert found.dates(5, 7) == ["2024-10-30", "2024-10-31"]


def test_the_calendar_is_that_of_the_clocks(tmp_path):
    text = "time,value\n" + "".join(f"2024-06-01T{h:02d}:00Z,{h}\n" for h in range(20))
    [plain] = read(tmp_path, text)
    [local] = read(tmp_path, text, time_zone="America/New_York")
    assert (plain.clock(20) - local.clock(20) == 4 * 3600).all()
    assert local.dates(0, 2)[0] == "2024-05-31 20:00:00"


def test_times_that_the_clocks_skip_and_zones_that_do_not_exist_are_refused(tmp_path):
    text = "time,value\n2024-03-31 01:00,1\n2024-03-31 02:30,2\n2024-03-31 03:00,3\n"
    with pytest.raises(DataError, match=r"line 3: the clocks of Europe/Berlin skip the time"):
        read(tmp_path, text, time_zone="Europe/Berlin")
    with pytest.raises(OptionError, match='time_zone is "Berlin"; it must be a name'):
        read(tmp_path, text, time_zone="Berlin")


# ---- Parquet and folders


def test_parquet_and_folders_hold_what_tables_of_text_hold(tmp_path):
    text = "date,group,value\n" + "".join(
        f"2024-01-{d:02d},{g},{d if d != 4 else ''}\n" for g in "ab" for d in range(1, 9)
    )
    expected = read(tmp_path, text)
    rows = [line.split(",") for line in text.splitlines()[1:]]
    table = pyarrow.table(
        {
            "date": pyarrow.array(np.array([r[0] for r in rows], "datetime64[D]")),
            "group": [r[1] for r in rows],
            "value": [float(r[2]) if r[2] else None for r in rows],
        }
    )
    folder = tmp_path / "many"
    folder.mkdir()
    pyarrow.parquet.write_table(table, folder / "x.parquet")
    (folder / "y.csv").write_text(text)
    found = [row.value.series for row in data.read(folder, SeriesOptions(horizon=1))]
    assert len(found) == 4
    for ours, theirs in zip(found, [*expected, *expected], strict=True):
        assert np.array_equal(ours.values, theirs.values, equal_nan=True)
        assert np.array_equal(ours.times, theirs.times)


def test_a_parquet_file_is_trained_on_by_its_name(tmp_path):
    values = np.sin(np.arange(80.0))
    table = pyarrow.table({"time": np.arange(80), "value": values})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    settings = {"hidden_size": 6, "horizon": 2, "longest": 12, "epochs": 1, "stride": 8}
    model, _ = train(
        series, Data(tmp_path / "a.parquet"), tmp_path / "run", {**settings, "threads": 1},
        progress=Silence(),
    )  # fmt: skip
    assert model.evaluate(tmp_path / "a.parquet")["examples"] > 1


def test_a_damaged_parquet_file_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1" + b"x" * 40)
    with pytest.raises(DataError, match="this is not a Parquet file"):
        data.read(path, SeriesOptions())


# ---- irregular steps


IRREGULAR = {"hidden_size": 8, "horizon": 2, "longest": 16, "epochs": 2, "stride": 4, "threads": 1}


def irregular(folder):
    """A wave at irregular times, a tenth of it missing."""
    draw = np.random.default_rng(0)
    times = np.cumsum(draw.choice([0.5, 1.0, 2.3], 200))
    values = [f"{v:.4f}" if draw.random() > 0.1 else "" for v in np.sin(times / 3)]
    lines = [f"{t:.3f},{v}" for t, v in zip(times, values, strict=True)]
    (folder / "a.csv").write_text("\n".join(["time,value", *lines]) + "\n")
    return folder / "a.csv"


@pytest.mark.parametrize("strategy", ["direct", "recursive"])
def test_gru_d_reads_irregular_steps_and_missing_values(tmp_path, strategy, capfd):
    path = irregular(tmp_path)
    settings = {**IRREGULAR, "cell": "gru_d", "strategy": strategy}
    model, _ = train(series, Data(path), tmp_path / "run", settings, progress=Silence())
    assert model.symbols.gaps
    encoder = model.model.encoder
    assert encoder.input_size == 3  # value, whether it is there, time since the last
    loaded = elman.load(tmp_path / "run")
    [answer] = loaded(path)
    assert np.isfinite(answer.forecasts[0].quantiles).all()
    x = torch.tensor([[0.7, 1.0, 0.0], [0.0, 0.0, np.log1p(2.0)], [0.0, 0.0, np.log1p(5.0)]])
    y, _ = loaded.model.encoder(x[:, None].float())
    wanted, _ = elman.Recurrent.forward(
        loaded.model.encoder,
        torch.tensor(
            [[[0.7, 1.0, 0.0]], [[0.7, 0.0, np.log1p(2.0)]], [[0.7, 0.0, np.log1p(5.0)]]]
        ).float(),
        m=torch.tensor([[[1.0, 1, 1]], [[0, 1, 1]], [[0, 1, 1]]]),
        d=torch.tensor([[[0.0, 0, 0]], [[2, 0, 0]], [[5, 0, 0]]]),
    )
    torch.testing.assert_close(y, wanted)
    if strategy == "direct":  # the recursive one is refused as such
        capfd.readouterr()
        assert elman.export.onnx(loaded.model, tmp_path / "a.onnx").difference < 1e-5
        found = diagnose_run(loaded, path, examples=2, exact=0)
        assert np.isfinite(found["encoder"].gradient["h"][0]).all()
        assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_a_program_reads_missing_values_as_gru_d_does(tmp_path):
    settings = {**IRREGULAR, "cell": "gru_d", "epochs": 1}
    model, _ = train(series, Data(irregular(tmp_path)), tmp_path / "run", settings)
    assert elman.export.torch_program(model.model, tmp_path / "a.pt2").difference < 1e-5


def test_the_onnx_files_of_gru_d_give_the_same_forecasts(tmp_path, command):
    path = irregular(tmp_path)
    train(series, Data(path), tmp_path / "run", {**IRREGULAR, "cell": "gru_d"}, progress=Silence())
    status, _, said = command("export", tmp_path / "run", "--to", "onnx", "--out", tmp_path / "to")
    assert status == 0, said
    [expected], [found] = [
        elman.load(p)(path) for p in (tmp_path / "run", tmp_path / "to/run.onnx")
    ]
    for ours, theirs in zip(found.forecasts, expected.forecasts, strict=True):
        np.testing.assert_allclose(ours.quantiles, theirs.quantiles, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("task", "settings", "sentence"),
    [
        ("series", {"mode": "label", "bidirectional": True}, "reads one step after the other"),
        ("series", {"num_layers": 2}, "m has the size of x"),
        ("series", {"cell": "cfc"}, "cfc takes the input dt beside x, which series does not give"),
        ("sentiment", {}, "gru_d takes the inputs m, d beside x, which sentiment does not give"),
    ],
)
def test_cells_that_do_not_fit_are_refused(tmp_path, task, settings, sentence):
    path = irregular(tmp_path)
    if "mode" in settings:
        path.write_text("time,value,label\n" + "".join(f"{k},{k % 5},{k % 2}\n" for k in range(80)))
    if task == "sentiment":
        path.write_text("text,label\n" + "good film,good\nbad film,bad\n" * 20)
    settings = {**(IRREGULAR if task == "series" else {"threads": 1}), "cell": "gru_d", **settings}
    with pytest.raises(OptionError, match=sentence):
        train(TASKS[task], Data(path), tmp_path / "run", settings, progress=Silence())
    assert not (tmp_path / "run" / "run.toml").exists()


# ---- what check says


def said(command, folder, text, *flags):
    path = folder / "a.csv"
    path.write_text(text)
    status, out, _ = command("check", "series", path, "--json", "--horizon", 2, *flags)
    return status, " ".join(json.loads(out)["warnings"])


def test_check_names_gaps_copies_and_short_series(tmp_path, command):
    days = [d for d in range(1, 29) if not 10 <= d <= 16]
    text = "date,group,value\n"
    for name in "ab":
        text += "".join(f"2024-02-{d:02d},{name},{d * d % 7}\n" for d in days)
    text += "2024-02-01,c,1\n2024-02-02,c,2\n2024-02-03,c,3\n2024-02-04,c,4\n"
    status, warnings = said(command, tmp_path, text)
    assert status == 0
    assert '"value" of "a", 2024-02-10 to 2024-02-16' in warnings
    assert "1 pair (" in warnings
    assert "1 group (" in warnings
    assert "too short to hold out 2 steps" in warnings


def test_check_finds_columns_that_tell_the_future(tmp_path, command):
    values = np.random.default_rng(0).normal(size=60).round(3)
    rows = [
        f"{k},{values[k]},{values[k + 2] * 3 + 1:.4f},{values[k - 1]},{k % 7}" for k in range(1, 58)
    ]
    text = "time,value,later,before,other\n" + "\n".join(rows) + "\n"
    status, warnings = said(
        command, tmp_path, text, "--past-columns", "later,before,other", "--target-columns", "value"
    )
    assert status == 0
    assert '"later" is "value" 2 steps later' in warnings
    assert '"before" is' not in warnings
    assert '"other" is' not in warnings
    _, warnings = said(
        command, tmp_path, text, "--known-columns", "before", "--target-columns", "value"
    )
    assert "is " not in warnings.replace("is not", "")


# ---- scores of hydrology


def test_efficiencies_by_hand():
    actual, found = np.array([1.0, 2.0, 4.0, 3.0]), np.array([1.5, 2.0, 3.0, 3.5])
    nse, kge = scores.efficiencies(actual, found)
    assert nse == pytest.approx(1 - 1.5 / 5)
    r = np.corrcoef(actual, found)[0, 1]
    alpha = found.std() / actual.std()
    assert kge == pytest.approx(1 - np.sqrt((r - 1) ** 2 + (alpha - 1) ** 2 + 0))
    constant = scores.efficiencies(actual, np.full(4, 2.5))
    assert constant == (0.0, pytest.approx(1 - np.sqrt(2)))


def test_a_scale_of_nothing_and_of_a_constant_is_one():
    assert Scale.of(np.array([np.nan])) == Scale(0.0, 1.0)
    assert Scale.of(np.array([3.0, 3.0])) == Scale(3.0, 1.0)


def test_check_and_train_refuse_the_same(tmp_path, command):
    """What is missing for training is a problem of the check, of any task."""
    (tmp_path / "waves.csv").write_text(
        "series,value,label\n" + "".join(f"{k},{k + s},a\n" for k in range(8) for s in range(4))
    )
    (tmp_path / "one.txt").write_text("A text of one section.\n")
    for task, file, *flags, sentence in (
        ("series", "waves.csv", "--mode", "classify", "--group-column", "series", 'the label "a"'),
        ("language", "one.txt", "one example is too few to train on"),
    ):
        path = tmp_path / file
        status, out, _ = command("check", task, path, *flags, "--json")
        assert status == 1
        report = json.loads(out)
        assert sentence in report["problems"][0]
        assert report["facts"].get("problems", 1) == 1
        status, _, err = command("train", task, "--train", path, "--out", tmp_path / "r", *flags)
        assert status == 1
        assert report["problems"][0] in " ".join(err.split("\n"))


# ---- covariates with holes, and categories that are new


def shops(holes=(), kind="a", days=40, future=0):
    lines = ["date,value,open,kind"]
    for day in range(days + future):
        date = np.datetime64("2024-01-01") + day
        value = f"{day % 7}" if day < days else ""
        lines.append(f"{date},{value},{'' if day in holes else day % 2},{kind}")
    return "\n".join(lines) + "\n"


COLUMNS = {"known_columns": "open", "static_columns": "kind", "horizon": 3, "longest": 10}
TINY = {"hidden_size": 4, "epochs": 1, "stride": 8, "threads": 1}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A model that has seen no hole, and one that has."""
    folder = tmp_path_factory.mktemp("shops")
    models = []
    for name, text in (("whole", shops()), ("holes", shops(holes=(4, 5)) + shops(kind="")[32:])):
        (folder / f"{name}.csv").write_text(shops(holes=(4, 5)) if name == "holes" else text)
        data = Data(folder / f"{name}.csv")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            model, _ = train(series, data, folder / name, {**COLUMNS, **TINY}, progress=Silence())
        models.append(model)
    return models


def test_holes_of_columns_that_are_known_in_advance_are_named(shop, tmp_path, command):
    whole, holes = shop
    path = tmp_path / "a.csv"
    path.write_text(shops(holes=(4, 5)))
    said = (
        r'the column "open" is known in advance, but has no value at 2 steps \(.*a.csv: '
        r"2024-01-05; .*a.csv: 2024-01-06\); these are read as missing."
    )
    flags = ("--known-columns", "open", "--static-columns", "kind", "--horizon", 3)
    _, out, _ = command("check", "series", path, *flags)
    assert "2024-01-05" in out
    with pytest.warns(DataWarning, match=said):
        train(series, Data(path), tmp_path / "run", {**COLUMNS, **TINY}, progress=Silence())
    with pytest.warns(DataWarning, match=said):
        whole.evaluate(path)
    path.write_text(shops(holes=(4, 5), future=3))
    with pytest.warns(DataWarning, match=said):
        whole(path)
    # within the forecast: refused by a model that has never seen one
    path.write_text(shops(holes=(41,), future=3))
    with pytest.raises(
        DataError, match=r'"open" is known in advance, but has no value at 2024-02-11'
    ):
        whole(path)
    with pytest.warns(DataWarning, match="has no value at 1 step "):
        holes(path)


def test_categories_that_training_did_not_have_are_named(shop, tmp_path):
    whole, _ = shop
    path = tmp_path / "a.csv"
    path.write_text(shops(kind="b", future=3))
    said = r'the column "kind" has "b", which the training data do not have \(a\)'
    for use in (whole, whole.evaluate):
        with pytest.raises(DataError, match=said):
            use(path)
    train_on = Data(tmp_path / "t.csv", path)
    train_on.train.write_text(shops())
    with pytest.raises(DataError, match=said):
        train(series, train_on, tmp_path / "run", {**COLUMNS, **TINY}, progress=Silence())
    path.write_text(shops(kind="", future=3))
    with pytest.raises(DataError, match='the column "kind" has no value, but has one throughout'):
        whole(path)


def test_a_stream_names_categories_that_training_did_not_have(tmp_path):
    rows = [(day, "ab"[day % 2] if day % 5 else "") for day in range(40)]
    for name, there in (("full", [(d, k or "a") for d, k in rows]), ("gaps", rows)):
        path = tmp_path / f"{name}.csv"
        path.write_text("value,kind\n" + "".join(f"{d % 7},{k}\n" for d, k in there))
        settings = {"past_columns": "kind", "horizon": 3, "longest": 10, "calendar": False, **TINY}
        model, _ = train(series, Data(path), tmp_path / name, settings, progress=Silence())
        lines = io.BytesIO(b"value,kind\n1,a\n2,c\n3,c\n")
        if name == "full":
            with pytest.raises(
                DataError, match='standard input: line 3: the column "kind" has "c"'
            ):
                list(model.stream(lines))
        else:
            with pytest.warns(DataWarning, match='"kind" has "c", which') as found:
                assert len(list(model.stream(lines))) == 3
            assert len(found) == 1


def test_bare_numbers_are_answered_with_the_columns_that_a_stream_needs(shop, tmp_path):
    (tmp_path / "a.csv").write_text(
        "date,value\n" + shops().replace(",0,a", "").replace(",1,a", "").partition("\n")[2]
    )
    settings = {"horizon": 3, "longest": 10, **TINY}
    model, _ = train(
        series, Data(tmp_path / "a.csv"), tmp_path / "run", settings, progress=Silence()
    )
    with pytest.raises(
        DataError,
        match=r'line 1: it has only numbers, but the model also reads time; .* "time,value"',
    ):
        list(model.stream(io.BytesIO(b"412\n")))


# ---- several files


def test_files_whose_steps_have_other_seasons_need_a_chosen_one(tmp_path, command):
    folder = tmp_path / "many"
    folder.mkdir()
    for name, text in (("days", "2024-01-01"), ("hours", "2024-01-01T00")):
        times = np.datetime64(text) + np.arange(60)
        lines = [f"{time},{k % 7}" for k, time in enumerate(times)]
        (folder / f"{name}.csv").write_text("\n".join(["date,value", *lines]) + "\n")
    said = r"days.csv has steps of 1 day, whose season has 7 steps, and .*hours.csv has steps of 1 hour"
    settings = {"horizon": 3, "longest": 10, **TINY}
    with pytest.raises(DataError, match=said):
        train(series, Data(folder), tmp_path / "run", settings, progress=Silence())
    status, out, _ = command("check", "series", folder, "--horizon", 3)
    assert status == 1
    assert "whose season has 7 steps" in out
    model, _ = train(
        series, Data(folder), tmp_path / "run", {**settings, "season": 7}, progress=Silence()
    )
    assert model.symbols.season == 7
    assert model.symbols.calendar == ("day", "week", "year")


@pytest.mark.parametrize("option", ["known_columns", "target_columns"])
def test_a_remedy_names_no_option_that_the_command_lacks(option, tmp_path, command):
    path = tmp_path / "a.csv"
    path.write_text("value,open\n" + "".join(f"{k % 5},{k % 2}\n" for k in range(40)))
    settings = {
        "horizon": 3,
        "longest": 10,
        **TINY,
        option: {"known_columns": "open"}.get(option, "value"),
    }
    train(series, Data(path), tmp_path / "run", settings, progress=Silence())
    path.write_text("a,b\n" + "1,2\n" * 40)
    _, _, err = command("predict", tmp_path / "run", path)
    assert f"which the option {option} names; the columns are" in err
    assert "--" not in err


@pytest.mark.parametrize("times", ["2020-01", "2020Q1", "2020-01-01", "2020-01-01T00", "0"])
def test_a_run_of_any_step_is_loaded(times, tmp_path):
    """Months are counted in integers, which a saved file must hold as any other step."""
    rows = []
    for k in range(36):
        months = f"{2020 + k // 12}-{k % 12 + 1:02d}"
        quarters = f"{2020 + k // 4}Q{k % 4 + 1}"
        date = {"2020-01": months, "2020Q1": quarters, "0": str(k)}.get(times)
        rows.append(f"{date or np.datetime64(times) + k},{k % 5}")
    (tmp_path / "a.csv").write_text("\n".join(["time,value", *rows]) + "\n")
    settings = {"horizon": 2, "longest": 6, **TINY}
    model, _ = train(
        series, Data(tmp_path / "a.csv"), tmp_path / "run", settings, progress=Silence()
    )
    assert elman.load(tmp_path / "run").symbols.steps == model.symbols.steps


STRANGE = {
    "text": ("yesterday", 'line 5: the time is "yesterday", but most times are numbers'),
    "nan": ("nan", 'line 5: the time is "nan", but most times are numbers'),
    "empty": ("", "line 5: the time is empty"),
    "large": ("1e300", r"line 5: the time is 1e300; numbers must be at most 1e\+15"),
}


@pytest.mark.parametrize(("time", "sentence"), STRANGE.values(), ids=STRANGE)
def test_of_times_that_are_numbers_only_the_strange_one_is_named(time, sentence, tmp_path):
    rows = [f"{time if k == 3 else k},{k % 5}" for k in range(9)]
    with pytest.raises(DataError, match=sentence) as raised:
        read(tmp_path, "\n".join(["time,value", *rows]) + "\n")
    assert "more" not in str(raised.value)


def test_a_time_after_which_no_forecast_can_be_dated_is_refused(tmp_path):
    text = "time,value\n" + "".join(f"9999-12-{day},{day}\n" for day in range(10, 32))
    with pytest.raises(
        DataError, match="line 2: the time is 9999-12-10; dates must not be after the year 9000"
    ):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("cell", "advice"),
    [
        ('"1,5"', "write decimals with a point, and thousands without a separator"),
        ('"12,500.75"', "write decimals with a point, and thousands without a separator"),
        ("1e300", r"values must be below 1e\+30; give them in a larger unit"),
        ("inf", "write a number, or nothing where a value is missing"),
        ("high", "write a number, or nothing where a value is missing"),
    ],
)
def test_a_value_that_is_no_number_is_named_with_what_to_do(cell, advice, tmp_path):
    shown = cell.strip('"')
    with pytest.raises(DataError, match=f'line 3: the column "value" has "{shown}".*{advice}'):
        read(tmp_path, f"time,value\n1,2\n2,{cell}\n3,4\n", target_columns="value")


def test_check_names_the_cell_that_turns_numbers_into_categories(tmp_path, command):
    def text(strange):
        rows = [f"{k},{k * k % 7},{strange if k == 30 else k * 5 % 11}\n" for k in range(60)]
        return "time,value,rain\n" + "".join(rows)

    flags = ("--past-columns", "rain", "--target-columns", "value")
    status, warnings = said(command, tmp_path, text("wet"), *flags)
    assert status == 0
    assert 'line 32: the column "rain" is read as names of categories' in warnings
    assert 'it has "wet"; write a number' in warnings
    _, warnings = said(command, tmp_path, text("NA"), *flags)
    assert "categories" not in warnings


def test_check_names_the_columns_of_a_wide_table_that_are_the_same(tmp_path, command):
    text = "time,one,two\n" + "".join(f"{k},{k * k % 7},{k * k % 7}\n" for k in range(20))
    _, warnings = said(command, tmp_path, text, "--layout", "wide")
    assert 'a.csv, line 2 ("one") and' in warnings
    assert 'a.csv, line 2 ("two")) of series with the same values' in warnings
