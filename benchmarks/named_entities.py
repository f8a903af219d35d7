"""Measure named entity recognition, compared with a fixed window of words.

    python benchmarks/named_entities.py [--seeds 0 1 2]

The Broad Twitter Corpus (Derczynski et al. 2016) and WNUT-17 (Derczynski et al. 2017) in the splits
of ``recipes/real_data.py``, with 50-dimensional GloVe vectors: the recurrent tagger, and the
one-to-one baseline with a window of two words on each side; both with a conditional random field.
One WNUT-17 model is initialised from the model of the Broad Twitter Corpus, whose entity types
differ.
"""

from pathlib import Path

from elman.tasks import TASKS
from job_figures import Configuration, measure
from recipes.real_data import GLOVE, broad_twitter, wnut17

ner = TASKS["ner"]

DATA = Path("runs") / "data"
BTC, WNUT = broad_twitter(DATA), wnut17(DATA)
BTC_TITLE = "Broad Twitter Corpus (Derczynski, Bontcheva and Roberts 2016)"
WNUT_TITLE = "WNUT-17 (Derczynski et al. 2017)"
VECTORS = {"vectors": str(GLOVE)}
#: WNUT-17 has half as many sentences; after the default 25 epochs, validation still improved
LONG = {**VECTORS, "epochs": 40}
#: a constant learning rate, because a plateau would halve it too early
STEADY = {**VECTORS, "epochs": 30, "patience": 30, "schedule": "constant"}
#: its names are new, so the model predicts too few; 1 to 1.5 was best on validation data
EAGER = {**STEADY, "outside_penalty": 1.25}
#: the initial weights include word vectors; 1 was best on validation data
FURTHER = {"epochs": 30, "patience": 30, "schedule": "constant", "outside_penalty": 1.0}

if __name__ == "__main__":
    measure(
        "named_entities",
        ner,
        "f1",
        [
            Configuration("BTC, recurrent", BTC, BTC_TITLE, VECTORS, "70"),
            Configuration("BTC, window", BTC, BTC_TITLE, {**VECTORS, "model": "window"}),
            Configuration("WNUT-17, recurrent", WNUT, WNUT_TITLE, EAGER, "30"),
            Configuration(
                "WNUT-17, recurrent, begun with BTC",
                WNUT,
                WNUT_TITLE,
                FURTHER,
                "30",
                start="BTC, recurrent",
            ),
            Configuration("WNUT-17, window", WNUT, WNUT_TITLE, {**LONG, "model": "window"}),
        ],
    )
