"""Measure how often another language is noticed, and how often English is taken for one.

    python benchmarks/other_languages.py

Tatoeba's French and English sentences, and sentences of English novels, are given to the shipped
model of sentiment, which knows English.  The list of common words was made with a look at those
that occur in the novels and the English sentences, so the false alarms are a lower bound; on the
tweets of the Broad Twitter Corpus, every text that was noticed was read.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import elman
from elman.benchmark import machine
from elman.data import split_words
from elman.data.languages import notice
from elman.files import write_whole
from recipes.real_data import PARTS, SOURCE, tatoeba

#: sentences of the novels
MOST = 30_000
#: French sentences by their number of words
LENGTHS = ((1, 3), (4, 6), (7, 10), (11, 1000))
RESULT = Path(__file__).parent / "results" / "other_languages.json"


def main() -> None:
    known = elman.load("sentiment").symbols.languages
    paths = tatoeba(Path("runs") / "data")
    lines = [x for part in PARTS for x in paths[part].read_text("utf-8").splitlines()]
    french, english = zip(*[line.split("\t") for line in lines], strict=True)
    with gzip.open(SOURCE / "text" / "novels.txt.gz", "rt", encoding="utf-8") as file:
        novels = [line.strip() for line, _ in zip(file, range(MOST), strict=False)]
    groups = {"English, Tatoeba": sorted(set(english)), "English, novels": novels}
    words = {text: split_words(text) for text in sorted(set(french))}
    for low, high in LENGTHS:
        name = f"French, {low} to {high} words" if high < 1000 else f"French, {low} words or more"
        groups[name] = [text for text, each in words.items() if low <= len(each) <= high]
    rows = []
    for name, texts in groups.items():
        said = [notice(split_words(text), known) for text in texts]
        right = sum("French" in each for each in said)
        noticed = sum(map(bool, said))
        rows.append({"texts": name, "count": len(texts), "noticed": noticed, "as_french": right})
        print(rows[-1])
    record = {"command": "python benchmarks/other_languages.py", "machine": machine(), "rows": rows}
    write_whole(RESULT, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
