"""Measure a model of Bach's chorales in sixteenth notes that knows when a piece ends.

    python benchmarks/music_sixteenths.py [--seeds 0 1]

The same 382 chorales and split as in ``music.py``, each brought to C major or A minor.  The model's
input includes the beat and the distance to the end, so that tunes can close; its ``nll`` is not
comparable with ``music.py`` or with published figures.
"""

from pathlib import Path

from elman.tasks import TASKS
from job_figures import Configuration, measure
from recipes.real_data import chorales_in_sixteenths

music = TASKS["music"]

DATA = chorales_in_sixteenths(Path("runs") / "data")
TITLE = "Bach's chorales, sixteenth notes (Boulanger-Lewandowski et al. 2012)"
SETTINGS = {
    "grid": 4,
    "bar": 4,
    "ending": True,
    "common_key": "relative",
    "hidden_size": 256,
    "epochs": 50,
    "schedule": "cosine",
    "patience": 60,
    "longest": 640,
    "choice_size": 256,
    "dropout": 0.5,
    "choice_dropout": 0.4,
}

if __name__ == "__main__":
    measure(
        "music_sixteenths",
        music,
        "nll",
        [Configuration("sixteenths", DATA, TITLE, SETTINGS, "", "public domain")],
        scale=1,
    )
