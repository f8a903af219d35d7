"""Measure the shipped model of Bach's chorales: four voices in sixteenth notes.

    python benchmarks/music_voices.py [--seeds 0 1 2]

The 382 chorales and split of ``music.py``, in their own keys and registers.  The model knows the
form of a piece: its length, key, bar, ends of phrases and repeat, which are derived from the notes;
so its ``nll`` is not comparable with ``music.py`` or with published figures.  ``music_tunes.py``
counts what its tunes are like.
"""

from pathlib import Path

from elman.tasks import TASKS
from job_figures import Configuration, measure
from recipes.real_data import chorales_in_voices

music = TASKS["music"]

DATA = chorales_in_voices(Path("runs") / "data")
TITLE = "Bach's chorales, four voices in sixteenth notes (Boulanger-Lewandowski et al. 2012)"
SETTINGS = {
    "prediction": "voices",
    "grid": 4,
    "hidden_size": 256,
    "choice_size": 192,
    "dropout": 0.4,
    "choice_dropout": 0.3,
    "longest": 640,
    "batch_size": 8,
    "epochs": 20,
    "schedule": "cosine",
    "warmup_steps": 30,
    "weight_decay": 0.1,
    "patience": 20,
    "max_minutes": 40,
}

if __name__ == "__main__":
    measure(
        "music_voices",
        music,
        "nll",
        [Configuration("voices", DATA, TITLE, SETTINGS, "", "public domain")],
        scale=1,
    )
