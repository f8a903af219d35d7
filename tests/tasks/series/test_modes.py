"""Series that are classified, regressed on, labelled step by step, or searched for anomalies."""

import json
import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch

import elman
from elman.cli.export import export_to_onnx
from elman.errors import DataError, OptionError, RunError
from elman.tasks import TASKS, Data, train
from elman.tasks.series import detection
from elman.tasks.series.options import SeriesOptions
from elman.training.progress import Silence

series = TASKS["series"]
SMALL = {"hidden_size": 12, "threads": 1, "learning_rate": 0.02, "target_columns": "value"}


def waves(folder, name, count, seed, label):
    """Waves of two lengths: (series, time, value, label) rows."""
    draw = random.Random(seed)
    lines = ["series,time,value,label"]
    for k in range(count):
        slow, height, start = k % 2, draw.uniform(1, 3), draw.uniform(0, 6)
        for step in range(draw.randrange(15, 25)):
            value = height * math.sin(start + step * (0.3 if slow else 1.2))
            own = {"classify": ["fast", "slow"][slow], "regress": f"{height:.3f}"}.get(label)
            own = own or ("up" if math.cos(start + step * (0.3 if slow else 1.2)) > 0 else "down")
            lines.append(f"{k},{step},{value:.4f},{own}")
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A trained run and its validation file, for each mode that reads whole series."""
    found = {}
    for mode in ("classify", "regress", "label"):
        folder = tmp_path_factory.mktemp(mode)
        paths = [waves(folder, f"{seed}.csv", 40, seed, mode) for seed in (1, 2)]
        settings = {**SMALL, "mode": mode, "epochs": 8, "scaling": "none"}
        train(series, Data(*paths), folder / "run", settings, progress=Silence())
        found[mode] = folder / "run", paths[1]
    return found


@pytest.mark.parametrize(
    ("mode", "metric", "least"), [("classify", "accuracy", 0.9), ("label", "accuracy", 0.8)]
)
def test_classes_are_learned_and_told(mode, metric, least, models, command):
    run, path = models[mode]
    scores = elman.load(run).evaluate(path)
    assert scores[metric] > least
    assert scores.keys() >= {"accuracy", "f1", "loss"}
    status, out, err = command("predict", run, path, "--json")
    assert status == 0, err
    [answer] = json.loads(out)["predictions"]
    assert len(answer["series"]) == 40
    if mode == "classify":
        labels = [each["label"] for each in answer["series"]]
        right = np.mean([label == ["fast", "slow"][k % 2] for k, label in enumerate(labels)])
        assert right == pytest.approx(scores["accuracy"])
    else:
        spans = answer["series"][0]["spans"]
        assert [span["first"] for span in spans[1:]] == [span["last"] + 1 for span in spans[:-1]]
        assert {span["label"] for span in spans} == {"up", "down"}
    card = (run / "card.md").read_text()
    assert "always answering the most frequent label" in card


def test_a_number_is_regressed_on_better_than_the_mean(models):
    run, path = models["regress"]
    scores = elman.load(run).evaluate(path)
    assert scores["r2"] > 0.5
    assert scores["rmse"] >= scores["mae"]
    [answer] = elman.load(run)(path)
    assert all(0 < verdict.value < 4 for verdict in answer.verdicts)


@pytest.mark.parametrize("mode", ["classify", "regress", "label"])
def test_files_of_onnx_answer_as_the_run(mode, models, tmp_path):
    run, path = models[mode]
    own, other = [
        series.record(elman.load(name)(path)[0])["series"]
        for name in (run, export_to_onnx(str(run), tmp_path))
    ]
    for a, b in zip(own, other, strict=True):
        assert a.get("label") == b.get("label")
        assert a.get("spans") == b.get("spans")
        assert a.get("value", 0) == pytest.approx(b.get("value", 0), abs=1e-4)


def test_a_stream_ends_with_the_class_of_the_whole(models):
    for mode in ("classify", "label"):
        run, path = models[mode]
        model = elman.load(run)
        lines = [line for line in path.read_text().splitlines() if line[:2] in ("0,", "se")]
        content = "\n".join([",".join(line.split(",")[1:3]) for line in lines]).encode()
        records = [*model.stream_records([content])]
        [answer] = model(path)
        first = answer.verdicts[0]
        assert len(records) == len(lines) - 1
        last = first.label if mode == "classify" else first.spans[-1].label
        assert records[-1]["label"] == last


BAD = {
    "no column": ("series,value\na,1\na,2\nb,3\n", "classify", 'there is no column "label"'),
    "two labels": ("series,value,label\na,1,x\na,2,y\n", "classify", 'has the labels "x" and "y"'),
    "no label": ("series,value,label\na,1,\na,2,\n", "classify", 'the series "a" has no label'),
    "one label": ("series,value,label\na,1,x\nb,2,x\n", "classify", 'has the label "x"; provide'),
    "no number": ("series,value,label\na,1,x\nb,2,x\n", "regress", 'mode regress needs a number'),
}  # fmt: skip


@pytest.mark.parametrize(("text", "mode", "sentence"), BAD.values(), ids=BAD)
def test_labels_that_cannot_be_are_refused(text, mode, sentence, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=sentence):
        train(series, Data(path, path), tmp_path / "r", {**SMALL, "mode": mode}, progress=Silence())


def test_an_unknown_label_is_named_with_its_line(models, tmp_path):
    run, _ = models["classify"]
    path = tmp_path / "a.csv"
    path.write_text("series,value,label\na,1,fast\nb,1,middling\n")
    with pytest.raises(DataError, match=r'line 3: the model has no label "middling"'):
        elman.load(run).evaluate(path)


def test_forecasts_read_forwards_only(tmp_path):
    path = waves(tmp_path, "a.csv", 3, 1, "label")
    with pytest.raises(OptionError, match="mode forecast reads forwards only"):
        train(
            series, Data(path, path), tmp_path / "r",
            {**SMALL, "horizon": 2, "bidirectional": True, "target_columns": "value"},
            progress=Silence(),
        )  # fmt: skip


# ---- anomalies


def spoiled(folder, name, seed, places):
    draw = random.Random(seed)
    lines = ["time,value,label"]
    for k in range(300):
        wrong = any([start <= k < end for start, end in places])
        value = math.sin(k / 3) + draw.gauss(0, 0.05) + (2.5 if wrong else 0)
        lines.append(f"{k},{value:.4f},{int(wrong)}")
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("by", ["forecast", "reconstruction"])
def test_stretches_that_do_not_fit_are_found(by, tmp_path, command):
    good = spoiled(tmp_path, "good.csv", 1, [])
    bad = spoiled(tmp_path, "bad.csv", 2, [(100, 104), (230, 233)])
    settings = {
        **SMALL, "mode": "anomaly", "anomaly_by": by, "longest": 24, "horizon": 12, "stride": 3,
        "epochs": 6, "scaling": "training", "threshold": 0.99,
    }  # fmt: skip
    model, _ = train(series, Data(good), tmp_path / "run", settings, progress=Silence())
    assert float(model.model.threshold) > 0
    again = elman.load(tmp_path / "run")
    assert float(again.model.threshold) == float(model.model.threshold)
    scores = again.evaluate(bad)
    assert scores["recall"] > 0.5
    assert scores["f1"] > 0.3
    [answer] = again(bad)
    [verdict] = answer.verdicts
    best = sorted(verdict.spans, key=lambda span: -span.score)[:2]
    assert any(span.first <= 103 and span.last >= 100 for span in verdict.spans)
    assert all(span.score > verdict.threshold for span in best)
    assert len(verdict.scores) == 300
    status, out, _ = command("predict", tmp_path / "run", bad, "--csv", tmp_path / "a.csv")
    assert status == 0
    assert "anomaly" in out
    assert (tmp_path / "a.csv").read_text().startswith("file,series,label,value")
    content = bad.read_bytes()
    if by == "reconstruction":
        with pytest.raises(OptionError, match="reconstructs whole stretches"):
            [*again.stream_records([content])]
    else:
        records = [*again.stream_records([content])]
        assert records[101]["scores"][0] == pytest.approx(verdict.scores[101], rel=1e-4)
    with pytest.raises(RunError, match="threshold of anomalies is not in ONNX"):
        elman.load(export_to_onnx(str(tmp_path / "run"), tmp_path))


def test_a_score_is_the_error_in_units_of_the_expected_spread(tmp_path):
    good = spoiled(tmp_path, "good.csv", 1, [])
    settings = {
        **SMALL, "mode": "anomaly", "longest": 12, "stride": 20, "epochs": 1, "quantiles": "0.1 0.9",
    }  # fmt: skip
    model, _ = train(series, Data(good), tmp_path / "run", settings, progress=Silence())
    [window] = [row.value for row in series.read(good, model.options)]
    [scores] = detection.step_scores(model.fitted, [window])
    assert math.isnan(scores[0])
    from elman.tasks.series.forecasting import forecast

    [quantiles] = forecast(model.fitted, [window.at(50)])
    low, middle, high = quantiles[0, 0]
    assert scores[50] == pytest.approx(abs(window.series.values[50, 0] - middle) / (high - low))


def test_a_patch_joins_steps_and_the_median_series_decides_how_many(tmp_path):
    """The classifier reads the same numbers, in fewer and wider inputs; the last may be short."""
    draw = np.random.default_rng(0)
    lines = ["series,value,label"]
    for k in range(8):
        for _ in range(150 + k):
            lines.append(f"{k},{draw.normal() + k % 2:.3f},{'ab'[k % 2]}")
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    settings = {"mode": "classify", "hidden_size": 4, "epochs": 1, "threads": 1}
    model, _ = train(
        series, Data(tmp_path / "a.csv"), tmp_path / "run", settings, progress=Silence()
    )
    assert model.symbols.patch == 5
    rows = [row.value for row in series.read(tmp_path / "a.csv", model.options)]
    joined = series.collate(rows, model.symbols, model.options)
    single = series.collate(rows, replace(model.symbols, patch=1), model.options)
    assert (
        joined["lengths"].tolist()
        == [30] + [31] * 5 + [32] * 2
        == (-(-single["lengths"] // 5)).tolist()
    )
    for row, length in enumerate(single["lengths"].tolist()):
        steps = joined["x"][:, row].reshape(-1, 2)
        assert torch.equal(steps[:length], single["x"][:length, row])
        assert not steps[length:].any()
    loaded = elman.load(tmp_path / "run")
    assert loaded.symbols.patch == 5
    assert loaded.evaluate(tmp_path / "a.csv")["examples"] == 8
    with pytest.raises(OptionError, match="patch is 5, but mode label needs every step"):
        series.build_vocab([], SeriesOptions(mode="label", patch=5), 0)
