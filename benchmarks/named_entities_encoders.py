"""Measure what language models as encoders gain in named entity recognition.

    python benchmarks/named_entities_encoders.py [--seeds 0 1 2]

WNUT-17 (Derczynski et al. 2017) in the split of ``recipes/real_data.py`` with 50-dimensional GloVe
vectors, with and without two character language models (``recipes/language_encoders.py``) of the
training tweets of WNUT-17 and the Broad Twitter Corpus and Tatoeba's English sentences.
"""

from pathlib import Path

from elman.tasks import TASKS
from job_figures import Configuration, measure
from named_entities import EAGER, WNUT_TITLE
from recipes.language_encoders import everyday, language_models, tweets
from recipes.real_data import broad_twitter, wnut17

FOLDER = Path("runs") / "data"

if __name__ == "__main__":
    data = wnut17(FOLDER)
    own = tweets(data["train"]) + tweets(broad_twitter(FOLDER)["train"])
    encoders = language_models(FOLDER, "tweets", own, everyday())
    measure(
        "named_entities_encoders",
        TASKS["ner"],
        "f1",
        [
            Configuration("recurrent", data, WNUT_TITLE, EAGER),
            Configuration(
                "recurrent, language models",
                data,
                WNUT_TITLE,
                {**EAGER, "max_minutes": 30},
                encoders=encoders,
            ),
        ],
    )
