"""Train a character language model of Shakespeare's plays, the one that ships.

    python benchmarks/shakespeare.py [--seeds 0]

Tiny Shakespeare; the last tenth is test data, the tenth before it validation data.
"""

from pathlib import Path

from elman.tasks import TASKS
from job_figures import Configuration, measure
from recipes.real_data import tiny_shakespeare

SETTINGS = {
    "hidden_size": 256,
    "dropout": 0.1,
    "epochs": 10,
    "patience": 10,
    "schedule": "cosine",
    "learning_rate": 4e-3,
    "max_minutes": 90,
}

if __name__ == "__main__":
    data = tiny_shakespeare(Path("runs") / "data")
    title = "Tiny Shakespeare, last tenth"
    measure(
        "shakespeare",
        TASKS["language"],
        "bits_per_character",
        [Configuration("lstm", data, title, SETTINGS, "", "public domain")],
        scale=1,
    )
