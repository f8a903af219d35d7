"""Measure base and exon accuracy on small genes, with and without the grammar.

    python benchmarks/dna.py [--seeds 0 1 2]

smallgenes: 1,045 genes of C. elegans; genes whose number ends in 0 are the test set, in 1 the
validation set.  In these files, almost every gene has exactly 100 bases before and after it, which
a model can exploit by counting; so each model is also measured on the same genes with 5 to 95 bases
on each side, and one is trained on random fragments of the sequences.
"""

import json
from pathlib import Path

import elman
from elman.files import write_whole
from elman.tasks import TASKS
from job_figures import Configuration, measure
from recipes.real_data import smallgenes, smallgenes_cut

dna = TASKS["dna"]

RUNS = Path("runs")
DATA = smallgenes(RUNS / "data")
TITLE = "smallgenes (C. elegans, WormBase WS282)"
LICENCE = "MIT"
WHOLE = Configuration("grammar", DATA, TITLE, {}, "60", LICENCE)
#: the shipped model, which must not depend on where a sequence begins
PIECES = Configuration(
    "grammar, pieces",
    DATA,
    TITLE,
    {"fragments": 0.7, "epochs": 30, "hidden_size": 96},
    "60",
    LICENCE,
)
PLAIN = Configuration("softmax", DATA, TITLE, {"grammar": False}, "", LICENCE)

if __name__ == "__main__":
    measure("dna", dna, "exon_f1", [WHOLE, PIECES, PLAIN])
    path = Path(__file__).parent / "results" / "dna.json"
    record = json.loads(path.read_text())
    cut = smallgenes_cut(RUNS / "data", "test")
    for row in record["rows"]:
        slug = row["name"].replace(" ", "-")
        for run in row["runs"]:
            saved = RUNS / "dna" / f"{slug}-{run['seed']}" / "cut.json"
            if not saved.exists():
                write_whole(saved, json.dumps(elman.load(saved.parent).evaluate(cut)))
            run["test_cut"] = json.loads(saved.read_text())
            shown = {
                part: {k: f"{100 * run[part][k]:.1f}" for k in ("base_accuracy", "exon_f1")}
                for part in ("valid", "test", "test_cut")
            }
            print(row["name"], run["seed"], shown)
    write_whole(path, json.dumps(record, indent=1) + "\n")
