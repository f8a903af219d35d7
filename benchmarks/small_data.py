"""Measure trainings without options on small real data, beside simple rivals of each field.

    python benchmarks/small_data.py --tunes FOLDER [--seeds 0 1 2] [--only NAME ...]

Every model has the default options; only the grid of sixteenths for tunes is given.  A tenth of the
training data is held out, as without ``--valid``, and the test data are scored once.  ``--minutes``
bounds each training, so that the figures are those of "a model of your own in a minute".

- sentiment: 3,000 sentences of film reviews; the rival is TF-IDF with logistic regression, tuned by
  five-fold cross-validation.
- ner: 1,200 tweets of the Broad Twitter Corpus; the rival is a CRF with hand features (CRFsuite),
  if python-crfsuite is installed.
- music: 168 folk tunes from the ABC files in FOLDER, such as O'Neill's in the corpus of music21;
  the rival is a 4-gram of sixteenths.
- video: 265 clips of the CMU database, seen from one side; the rival is one nearest neighbour.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import symusic

import elman
from elman.benchmark.machine import machine
from elman.files import write_whole
from elman.tasks import TASKS, Data, train
from elman.tasks.music.baselines import baselines as tune_baselines
from elman.tasks.video.baselines import baselines as video_baselines
from elman.training.progress import Silence
from recipes.real_data import broad_twitter, motion_clips, sentence_polarity

FOLDER = Path("runs") / "data" / "small"
RESULT = Path(__file__).parent / "results" / "small_data.json"
SENTENCES, TWEETS, TUNES, TEST_TUNES = 3_000, 1_200, 168, 100
#: notes that a tune must have
NOTES = 20

Rival = Callable[[Path, Path], float | None]


@dataclass(frozen=True)
class SmallSet:
    """Training and test data of a task, and the rival that is fitted to the same data."""

    name: str
    task: str
    metric: str
    train: Path
    test: Path
    rival: str
    fit_rival: Rival
    settings: dict[str, object] = field(default_factory=dict)


def sentences() -> SmallSet:
    paths = sentence_polarity(FOLDER)
    [head, *rows] = csv.reader(paths["train"].read_text().splitlines())
    random.Random(0).shuffle(rows)
    few = FOLDER / "sentences.csv"
    with few.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([head, *rows[:SENTENCES]])
    rival = "TF-IDF and logistic regression, tuned"
    return SmallSet("3,000 sentences", "sentiment", "accuracy", few, paths["test"], rival, _tfidf)


def tweets() -> SmallSet:
    paths = broad_twitter(FOLDER)
    blocks = paths["train"].read_text(encoding="utf-8").strip().split("\n\n")
    random.Random(0).shuffle(blocks)
    few = FOLDER / "tweets.conll"
    write_whole(few, "\n\n".join(blocks[:TWEETS]) + "\n")
    return SmallSet("1,200 tweets", "ner", "f1", few, paths["test"], "CRF, hand features", _crf)


def tunes(place: Path) -> SmallSet:
    """168 tunes for training and 100 others for the test."""
    blocks = []
    for path in sorted(place.glob("*.abc")):
        text = path.read_text(encoding="utf-8", errors="replace")
        blocks += [block for block in re.split(r"(?m)^(?=X:)", text) if block.startswith("X:")]
    random.Random(0).shuffle(blocks)
    paths = {"test": FOLDER / "tunes-test", "train": FOLDER / "tunes-train"}
    wanted = {"test": TEST_TUNES, "train": TUNES}
    scores = (score for block in blocks if (score := _melody(block)) is not None)
    for part, folder in paths.items():
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(wanted[part]):
            next(scores).dump_midi(str(folder / f"{number:03d}.mid"))
    return SmallSet(
        "168 folk tunes", "music", "nll", paths["train"], paths["test"], "4-gram", _four_gram,
        {"grid": 4},
    )  # fmt: skip


def videos() -> SmallSet:
    paths = motion_clips(FOLDER, "cmu", views=1)
    train, test = paths["train"], paths["test"]
    return SmallSet("265 videos", "video", "f1", train, test, "one nearest neighbour", _neighbour)


def _melody(block: str) -> Any:
    """The tune of an ABC text, if it has one voice and enough notes."""
    try:
        score = symusic.Score.from_abc(block)
    except (RuntimeError, ValueError):
        return None
    one = len(score.tracks) == 1 and len(score.tracks[0].notes) >= NOTES
    return score if one else None


# ---- rivals, each fitted to all training data


def _tfidf(train: Path, test: Path) -> float:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline

    parts = [list(csv.reader(path.read_text().splitlines()))[1:] for path in (train, test)]
    (texts, labels), (others, expected) = [list(zip(*rows, strict=True)) for rows in parts]
    space = {
        "tfidfvectorizer__ngram_range": [(1, 1), (1, 2)],
        "tfidfvectorizer__min_df": [1, 2],
        "logisticregression__C": [0.3, 1, 3, 10, 30],
    }
    pipeline = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(max_iter=500))
    found = GridSearchCV(pipeline, space, cv=5).fit(texts, labels)
    return float(found.score(others, expected))


def _crf(train: Path, test: Path) -> float | None:
    try:
        import pycrfsuite
    except ImportError:
        return None
    from elman.tasks.ner.tag_schemes import spans_of
    from elman.training.metrics import span_scores

    options = TASKS["ner"].Options()
    parts = [[row.value for row in TASKS["ner"].read(path, options)] for path in (train, test)]
    trainer = pycrfsuite.Trainer(verbose=False)
    for sentence in parts[0]:
        trainer.append(_features(sentence.words), list(sentence.tags))
    trainer.set_params(
        {"c1": 0.05, "c2": 0.05, "max_iterations": 100, "feature.possible_transitions": True}
    )
    trainer.train(str(FOLDER / "crf.model"))
    tagger = pycrfsuite.Tagger()
    tagger.open(str(FOLDER / "crf.model"))
    found = [spans_of(tagger.tag(_features(sentence.words))) for sentence in parts[1]]
    return span_scores([spans_of(sentence.tags) for sentence in parts[1]], found).f1


def _features(words: Sequence[str]) -> list[list[str]]:
    """The usual features of a CRF for names: words, affixes and shapes of a window."""
    return [_window(words, place) for place in range(len(words))]


def _window(words: Sequence[str], place: int) -> list[str]:
    found = ["bias"]
    for by in range(-2, 3):
        if not 0 <= place + by < len(words):
            found.append(f"{by}:edge")
            continue
        word = words[place + by]
        low = word.lower()
        shape = "".join(
            [
                "X" if c.isupper() else "x" if c.islower() else "d" if c.isdigit() else c
                for c in word
            ]
        )
        found += [f"{by}:w={low}", f"{by}:shape={shape[:6]}"]
        found += [f"{by}:title={word.istitle()}", f"{by}:upper={word.isupper()}"]
        if abs(by) <= 1:
            found += [f"{by}:s3={low[-3:]}", f"{by}:p3={low[:3]}"]
        if by == 0:
            found += [f"word={word}", f"s2={low[-2:]}", f"p2={low[:2]}", f"s4={low[-4:]}"]
            found += [f"p4={low[:4]}", f"digit={word.isdigit()}", f"first={word[:1]}"]
    if place:
        found.append(f"pair={words[place - 1].lower()}|{words[place].lower()}")
    return found


def _four_gram(train: Path, test: Path) -> float:
    task = TASKS["music"]
    options = task.Options(grid=4)
    parts = [[row.value for row in task.read(path, options)] for path in (train, test)]
    return tune_baselines(parts[0], parts[1], options)[-1].score


def _neighbour(train: Path, test: Path) -> float:
    task = TASKS["video"]
    parts = [[row.value for row in task.read(path, task.Options())] for path in (train, test)]
    return video_baselines(*parts)[-1].score


# ---- the measurement


def measure(one: SmallSet, seeds: Sequence[int], minutes: float) -> dict[str, Any]:
    """A row of the result: the scores of all seeds, and of the rival."""
    runs = []
    for seed in seeds:
        folder = Path("runs") / "small_data" / f"{one.task}-{seed}"
        settings = {"threads": 1, "max_minutes": minutes, **one.settings, "seed": seed}
        started = time.process_time()
        trained, outcome = train(
            TASKS[one.task], Data(one.train), folder, settings, overwrite=True, progress=Silence()
        )
        seconds = time.process_time() - started
        runs.append(
            {
                "seed": seed,
                "processor_seconds": round(seconds, 1),
                "epochs": outcome.epochs,
                "stopped_because": outcome.stopped_because,
                "test": elman.load(folder).evaluate(one.test),
            }
        )
        print(one.name, seed, runs[-1]["test"][one.metric], round(seconds), flush=True)
    started = time.process_time()
    rival = one.fit_rival(one.train, one.test)
    metric = TASKS[one.task].metric_for(TASKS[one.task].Options())
    found = {
        "name": one.name,
        "task": one.task,
        "metric": one.metric,
        "unit": metric.unit,
        "higher_is_better": one.metric != "nll",
        "chosen": {name: vars(trained.options)[name] for name in _scaled(trained)},
        "rival": one.rival,
        "rival_score": rival,
        "rival_seconds": round(time.process_time() - started, 1),
        "runs": runs,
    }
    print(one.name, statistics.mean([run["test"][one.metric] for run in runs]), rival, flush=True)
    return found


def _scaled(trained: Any) -> list[str]:
    """The options whose default depends on the amount of data."""
    return [name for name in trained.task.small_data if name in vars(trained.options)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--tunes", type=Path, required=True, help="a folder of ABC files")
    parser.add_argument("--only", nargs="+", default=["sentiment", "music", "video", "ner"])
    asked = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    made: dict[str, Callable[[], SmallSet]] = {
        "sentiment": sentences,
        "music": lambda: tunes(asked.tunes),
        "video": videos,
        "ner": tweets,
    }
    known = json.loads(RESULT.read_text())["rows"] if RESULT.exists() else []
    rows = {row["task"]: row for row in known}
    for name in asked.only:
        rows[name] = measure(made[name](), asked.seeds, asked.minutes)
        record = {
            "command": "python benchmarks/small_data.py --tunes FOLDER",
            "minutes": asked.minutes,
            "machine": machine(),
            "rows": [rows[each] for each in made if each in rows],
        }
        write_whole(RESULT, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
