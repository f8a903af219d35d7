"""The data and the rivals of ``series.py``, in an environment of their own.

    PYTHON benchmarks/series_rivals.py data FOLDER
    PYTHON benchmarks/series_rivals.py forecast FOLDER OUT.json
    PYTHON benchmarks/series_rivals.py classify FOLDER OUT.json

It needs statsmodels, aeon, sktime and neuralforecast, and not Elman.  The series are those that
ship with statsmodels, aeon and sktime; nothing is downloaded.  (The counts of PBS_dataset, which
ship too, end in three years of zeros, where no forecast can be scored.)
"""

from __future__ import annotations

import csv
import json
import logging
import sys
import time
import warnings
from pathlib import Path

import numpy as np

warnings.filterwarnings("ignore")

#: name: horizon, season; the last ORIGINS horizons are the test, VALID before them validation
FORECASTS = {
    "airline": (12, 12),
    "seatbelts": (12, 12),
    "elnino": (12, 12),
    "co2": (12, 12),
    "sunspots": (11, 11),
    "gdp": (8, 4),
}
ORIGINS, VALID = 3, 2
SEEDS = (0, 1, 2)
HIDDEN, STEPS = 48, 1000


def months(first: str, count: int) -> list[str]:
    start = np.datetime64(first)
    return [f"{start + k}" for k in range(count)]


def series() -> dict[str, tuple[list[str], list[float]]]:
    """Times and values of each series."""
    import sktime.datasets
    import statsmodels.api as sm
    from aeon.datasets import load_airline

    co2 = sm.datasets.co2.load_pandas().data["co2"].resample("MS").mean().interpolate()
    elnino = sm.datasets.elnino.load_pandas().data.drop(columns="YEAR").to_numpy().ravel()
    sunspots = sm.datasets.sunspots.load_pandas().data
    gdp = sm.datasets.macrodata.load_pandas().data
    place = Path(sktime.datasets.__file__).parent / "data" / "seatbelts" / "seatbelts.csv"
    with open(place, newline="") as file:
        killed = [float(row["KSI"]) for row in csv.DictReader(file)]
    airline = np.asarray(load_airline()).ravel()
    return {
        "airline": (months("1949-01", len(airline)), airline.tolist()),
        "seatbelts": (months("1969-01", len(killed)), killed),
        "elnino": (months("1950-01", len(elnino)), elnino.tolist()),
        "co2": ([f"{time:%Y-%m}" for time in co2.index], co2.tolist()),
        "sunspots": (
            [f"{int(year)}" for year in sunspots["YEAR"]],
            sunspots["SUNACTIVITY"].tolist(),
        ),
        "gdp": (
            [f"{int(y)}Q{int(q)}" for y, q in zip(gdp["year"], gdp["quarter"], strict=True)],
            gdp["realgdp"].tolist(),
        ),
    }


def write_data(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, (times, values) in series().items():
        with open(folder / f"{name}.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["time", "value"])
            writer.writerows(zip(times, values, strict=True))
    for name, (x, y) in classified().items():
        for part in ("train", "test"):
            with open(folder / f"{name}.{part}.csv", "w", newline="") as file:
                writer = csv.writer(file)
                dims = len(x[part][0])
                writer.writerow(["series", *[f"x{k}" for k in range(dims)], "label"])
                for case, (values, label) in enumerate(zip(x[part], y[part], strict=True)):
                    for step in np.asarray(values).T:
                        writer.writerow([case, *[f"{v:.9g}" for v in step], label])


def classified() -> dict[str, tuple[dict, dict]]:
    """The cases and labels of each part."""
    from aeon.datasets import (
        load_arrow_head,
        load_basic_motions,
        load_italy_power_demand,
        load_japanese_vowels,
    )

    loaders = {
        "BasicMotions": load_basic_motions,
        "ItalyPowerDemand": load_italy_power_demand,
        "ArrowHead": load_arrow_head,
        "JapaneseVowels": load_japanese_vowels,
    }
    found = {}
    for name, load in loaders.items():
        parts = {part: load(split=part) for part in ("train", "test")}
        found[name] = ({p: x for p, (x, _) in parts.items()}, {p: y for p, (_, y) in parts.items()})
    return found


def read(path: Path) -> np.ndarray:
    with open(path, newline="") as file:
        return np.array([float(row["value"]) for row in csv.DictReader(file)])


def mase(actual: np.ndarray, found: np.ndarray, past: np.ndarray, season: int) -> float:
    """The definition of Hyndman and Koehler (2006), on the past before the first origin."""
    scale = np.abs(past[season:] - past[:-season]).mean()
    return float(np.abs(actual - found).mean() / scale)


def forecasts(folder: Path) -> dict[str, dict]:
    """The MASE of seasonal naive, ETS and an LSTM on the last origins of each series."""
    results: dict[str, dict] = {}
    for name, (horizon, season) in FORECASTS.items():
        values = read(folder / f"{name}.csv")
        first = len(values) - ORIGINS * horizon
        origins = [first + k * horizon for k in range(ORIGINS)]
        actual = np.concatenate([values[o : o + horizon] for o in origins])
        past = values[:first]
        naive = np.concatenate([values[o - season + np.arange(horizon) % season] for o in origins])
        row: dict = {"seasonal naive": [mase(actual, naive, past, season)]}
        begun = time.process_time()
        row["ets"] = [mase(actual, ets(values, origins, horizon, season), past, season)]
        row["ets seconds"] = time.process_time() - begun
        begun = time.process_time()
        row["lstm"] = [
            mase(actual, lstm(values, horizon, season, seed), past, season) for seed in SEEDS
        ]
        row["lstm seconds"] = (time.process_time() - begun) / len(SEEDS)
        results[name] = row
        print(name, row, file=sys.stderr, flush=True)
    return results


def ets(values: np.ndarray, origins: list[int], horizon: int, season: int) -> np.ndarray:
    """Exponential smoothing whose form is chosen by the AIC, fitted anew at every origin."""
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    found = []
    for origin in origins:
        past = values[:origin]
        best = None
        kinds = ["add"] + (["mul"] if past.min() > 0 else [])
        for error in kinds:
            for trend, damped in ((None, False), ("add", False), ("add", True)):
                for seasonal in [None, *kinds]:
                    try:
                        fit = ETSModel(
                            past, error=error, trend=trend, damped_trend=damped,
                            seasonal=seasonal, seasonal_periods=season if seasonal else None,
                        ).fit(disp=False, maxiter=200)  # fmt: skip
                    except Exception:
                        continue
                    if np.isfinite(fit.aic) and (best is None or fit.aic < best.aic):
                        best = fit
        found.append(best.forecast(horizon))
    return np.concatenate(found)


def lstm(values: np.ndarray, horizon: int, season: int, seed: int) -> np.ndarray:
    """The LSTM of neuralforecast, stopped early on the validation part."""
    import pandas as pd
    from neuralforecast import NeuralForecast
    from neuralforecast.losses.pytorch import MAE
    from neuralforecast.models import LSTM

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    model = LSTM(
        h=horizon, input_size=longest(season), encoder_hidden_size=HIDDEN, encoder_n_layers=1,
        decoder_hidden_size=HIDDEN, loss=MAE(), max_steps=STEPS, batch_size=1,
        windows_batch_size=32, learning_rate=3e-3, scaler_type="standard", random_seed=seed,
        val_check_steps=25, early_stop_patience_steps=8, accelerator="cpu",
        enable_progress_bar=False, enable_model_summary=False, logger=False,
    )  # fmt: skip
    frame = pd.DataFrame({"unique_id": "a", "ds": np.arange(len(values)), "y": values})
    run = NeuralForecast(models=[model], freq=1)
    found = run.cross_validation(
        frame, n_windows=ORIGINS, step_size=horizon, val_size=VALID * horizon, refit=False
    )
    return found.sort_values("ds")["LSTM"].to_numpy()


def longest(season: int) -> int:
    """The steps of the past that the networks read: three seasons."""
    return 3 * season


def classifications(folder: Path) -> dict[str, dict]:
    """The test accuracy of MiniRocket and of one nearest neighbour by dynamic time warping."""
    from aeon.classification.convolution_based import MiniRocketClassifier
    from aeon.classification.distance_based import KNeighborsTimeSeriesClassifier

    results: dict[str, dict] = {}
    for name, (x, y) in classified().items():
        if isinstance(x["train"], list):  # of different lengths: padded, as MiniRocket needs
            most = max([each.shape[1] for part in x.values() for each in part])
            padded = {
                part: np.stack([np.pad(e, ((0, 0), (0, most - e.shape[1]))) for e in cases])
                for part, cases in x.items()
            }
        else:
            padded = x
        begun = time.process_time()
        rocket = [
            MiniRocketClassifier(random_state=seed).fit(padded["train"], y["train"])
            .score(padded["test"], y["test"])
            for seed in SEEDS
        ]  # fmt: skip
        seconds = (time.process_time() - begun) / len(SEEDS)
        begun = time.process_time()
        nearest = KNeighborsTimeSeriesClassifier(n_neighbors=1, distance="dtw")
        nearest.fit(x["train"], y["train"])
        results[name] = {
            "minirocket": rocket,
            "minirocket seconds": seconds,
            "dtw": [nearest.score(x["test"], y["test"])],
            "dtw seconds": time.process_time() - begun,
        }
        print(name, results[name], file=sys.stderr, flush=True)
    return results


if __name__ == "__main__":
    what, folder = sys.argv[1], Path(sys.argv[2])
    if what == "data":
        write_data(folder)
    else:
        found = forecasts(folder) if what == "forecast" else classifications(folder)
        Path(sys.argv[3]).write_text(json.dumps(found, indent=1) + "\n")
