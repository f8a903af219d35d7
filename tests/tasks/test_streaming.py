"""Streamed training: the same examples as unstreamed, each once an epoch, resumed exactly."""

import json
import random
import re
import shutil
import tracemalloc
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from elman.data.shards import Source
from elman.errors import DataError, DataWarning, RunError
from elman.tasks import TASKS, Data, train
from elman.tasks.corpus import Corpus, StreamedCorpus, read_corpus
from elman.tasks.reading import index
from elman.tasks.registry import OWN
from elman.tasks.streaming import Stream
from elman.training import LoopOptions, RunFolder
from elman.training.progress import Silence
from tasks.conftest import samples
from tasks.test_contract import LOOP, contract

SENTIMENT = TASKS["sentiment"]
TINY = {**LOOP, "hidden_size": 4, "embedding_size": 4, "min_count": 1, "batch_size": 8}


class Heard(Silence):
    def __init__(self):
        self.said = []

    def say(self, sentence):
        self.said.append(sentence)


def reviews(folder, *, files=3, each=60, bad=()):
    folder.mkdir(exist_ok=True)
    for file in range(files):
        lines = []
        for k in range(file * each, (file + 1) * each):
            record = {"text": f"word{k} " + "so " * (k % 7), "label": "ab"[k % 2]}
            lines.append(json.dumps({"text": ""} if k in bad else record) + "\n")
        (folder / f"{file}.jsonl").write_text("".join(lines))
    return folder / "*.jsonl"


def stream_of(path, *, processes=1, number=0, buffer=40, seed=0, options=None):
    together = SimpleNamespace(count=processes, number=number, gather=lambda value: [value])
    options = options or SENTIMENT.Options()
    training = LoopOptions(buffer_examples=buffer, seed=seed)
    sources = index(SENTIMENT, path, options, per_shard=max(1, buffer // 16))
    stream = Stream(SENTIMENT, options, training, sources, together, path)
    symbols = SimpleNamespace(labels=("a", "b"))
    stream.begin(symbols, "spare")
    return stream


def texts(stream, plan):
    return [[stream.example(k).text for k in plan[b].here] for b in range(len(plan))]


@pytest.mark.parametrize("name", sorted(OWN))
def test_every_task_trains_on_a_stream(name, tmp_path, monkeypatch):
    task = TASKS[name]
    folder = samples(tmp_path, name)
    file = folder / task.valid_file
    if file.is_dir():  # labels are names of folders, so a table lists the videos
        lines = [
            f"{each.relative_to(folder)},{each.parent.name}" for each in sorted(file.rglob("*.mp4"))
        ]
        file = folder / "videos.csv"
        file.write_text("\n".join(["file,label", *lines]) + "\n")
    if name in ("dna", "series"):  # a file is a shard, and these samples are one file or pair
        for number in (1, 2):
            for each in (file, *[file.with_suffix(s) for s in (".gff3", ".gff", ".gtf")]):
                if each.exists():
                    shutil.copy(each, tmp_path / f"copy{number}{each.suffix}")
        file = tmp_path / f"copy*{file.suffix}"
    elif name == "music":
        file = file.with_name(f"{file.stem}*{file.suffix}")
    heard = Heard()
    settings = {**LOOP, **contract(name).SETTINGS, "buffer_examples": 2, "stream_above": 0}
    valid = folder / task.valid_file
    _, outcome = train(task, Data(file, valid), tmp_path / "run", settings, progress=heard)
    assert outcome.epochs == 1
    assert any([said.startswith("Streaming") for said in heard.said]), heard.said
    assert any([said.startswith("Peak memory of the training") for said in heard.said])


def test_an_epoch_has_each_example_once_and_each_epoch_another_order(tmp_path):
    path = reviews(tmp_path / "d")
    stream = stream_of(path)
    first, second = [texts(stream, stream.plan(epoch, 8)) for epoch in (1, 2)]
    expected = sorted(f"word{k} " + "so " * (k % 7) for k in range(180))
    for epoch in (first, second):
        assert sorted(text for batch in epoch for text in batch) == expected
        assert {len(batch) for batch in epoch} <= {6, 7, 8}
    assert first != second
    again = stream_of(path)
    assert texts(again, again.plan(1, 8)) == first
    other = stream_of(path, seed=1)
    assert texts(other, other.plan(1, 8)) != first


def test_any_batch_can_be_the_first_that_is_read(tmp_path):
    path = reviews(tmp_path / "d")
    stream = stream_of(path)
    plan = stream.plan(2, 8)
    whole = texts(stream, plan)
    for batch in (len(plan) - 1, 11, 0, 12, 3):
        fresh = stream_of(path)
        later = fresh.plan(2, 8)
        assert [fresh.example(k).text for k in later[batch].here] == whole[batch]
    with pytest.raises(IndexError):
        plan[len(plan)]


@pytest.mark.parametrize("count", [2, 3])
def test_processes_divide_each_window_among_them(tmp_path, count):
    path = reviews(tmp_path / "d")
    streams = [stream_of(path, processes=count, number=n) for n in range(count)]
    plans = [stream.plan(1, 8 * count) for stream in streams]
    assert len({len(plan) for plan in plans}) == 1
    found, rows = [], 0
    for batch in range(len(plans[0])):
        shares = [plan[batch] for plan in plans]
        assert sum(share.weight for share in shares) == pytest.approx(count)
        assert len({len(share) for share in shares}) == 1
        rows += len(shares[0])
        for stream, share in zip(streams, shares, strict=True):
            found += [stream.example(k).text for k in share.here]
    assert sorted(found) == sorted(f"word{k} " + "so " * (k % 7) for k in range(180))
    assert rows == 180
    # each process reads about its part of the records, and nothing else
    assert all(len(stream._current[1].examples) < 60 for stream in streams)


def test_no_more_than_two_windows_are_in_memory(tmp_path, monkeypatch):
    alive, most = weakref.WeakSet(), []
    read = Stream._read

    def counted(self, plan, window):
        found = read(self, plan, window)
        alive.add(found)
        most.append(len(alive))
        return found

    monkeypatch.setattr("elman.tasks.streaming._Window.__hash__", object.__hash__)
    monkeypatch.setattr(Stream, "_read", counted)
    stream = stream_of(reviews(tmp_path / "d"))
    plan = stream.plan(1, 8)
    assert len(plan.windows) > 4
    texts(stream, plan)
    stream.close()
    assert len(most) == len(plan.windows)
    assert max(most) <= 2


def made_up(counts):
    """A source with shards of so many records, and no file."""
    rows = np.array([[1, count, 0, 0] for count in counts], np.int64)
    return Source((Path("made.jsonl"),), "text", 0, rows)


def unread(sources, buffer=40, processes=1):
    together = SimpleNamespace(count=processes, number=0, gather=lambda value: [value])
    training = LoopOptions(buffer_examples=buffer)
    return Stream(SENTIMENT, SENTIMENT.Options(), training, sources, together, Path("made.jsonl"))


@pytest.mark.parametrize("processes", [1, 2])
def test_a_window_has_as_many_shards_as_fit_into_the_buffers(processes):
    draw = random.Random(2)
    counts = [draw.choice([0, 1, 5, 13, 39, 40, 41, 90]) for _ in range(200)]
    stream = unread([made_up(counts[:70]), made_up(counts[70:])], processes=processes)
    windows = list(stream.plan(3, 8).windows)
    order = [int(shard) for window in windows for shard in window]
    assert sorted(order) == list(range(200))
    sums = [sum([counts[k] for k in window]) for window in windows]
    for window, total, following in zip(windows, sums, windows[1:], strict=False):
        assert len(window) == 1 or total <= 40 * processes
        assert total + counts[following[0]] > 40 * processes


def test_a_shard_costs_only_a_few_numbers():
    source = made_up([1024] * 200_000)
    tracemalloc.start()
    try:
        stream = unread([source], buffer=16_384)
        plan = stream.plan(1, 64)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(plan) > 3_000_000
    # a few arrays of 8 bytes a shard; tuples and lists of integers had over 200
    assert peak / 200_000 < 80


def test_a_scan_keeps_only_numbers_of_the_shards(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("1\n" * 300_000)
    tracemalloc.start()
    try:
        [source] = index(SENTIMENT, path, SENTIMENT.Options(), per_shard=2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(source.shards) == 150_000
    # the text (600 KB) as one chunk with the places of its lines, and arrays of 32 bytes a shard
    assert peak < 600_000 + 300_000 * 8 * 2 + 150_000 * 32 * 4


def test_small_collections_train_like_the_file(tmp_path):
    folder = samples(tmp_path, "sentiment")
    lines = (folder / "train.csv").read_text().splitlines(keepends=True)
    (tmp_path / "parts").mkdir()
    for k, (start, end) in enumerate(((1, 9), (9, 20), (20, len(lines)))):
        (tmp_path / "parts" / f"{k}.csv").write_text("".join([lines[0], *lines[start:end]]))
    runs = []
    for number, path in enumerate((folder / "train.csv", tmp_path / "parts" / "*.csv")):
        run = tmp_path / f"run{number}"
        train(SENTIMENT, Data(path), run, TINY, progress=Silence())
        runs.append((run / "model.safetensors").read_bytes())
    assert runs[0] == runs[1]


def test_a_sample_of_everything_has_the_vocabulary_of_the_file(tmp_path):
    path = reviews(tmp_path / "d")
    whole = tmp_path / "all.jsonl"
    whole.write_text("".join(each.read_text() for each in sorted((tmp_path / "d").iterdir())))
    options, valid = SENTIMENT.Options(), whole
    small = LoopOptions(buffer_examples=40)
    stream = read_corpus(SENTIMENT, Data(path, valid), options, small)
    memory = read_corpus(SENTIMENT, Data(whole, valid), options, LoopOptions())
    assert isinstance(stream, StreamedCorpus)
    assert type(memory) is Corpus
    assert stream.size == memory.size == 180
    symbols = [SENTIMENT.build_vocab(c.examples, options, 0).symbols for c in (stream, memory)]
    assert symbols[0].to_json() == symbols[1].to_json()
    assert "two buffers of about 40 examples" in stream.begin(symbols[0])
    few = read_corpus(SENTIMENT, Data(path, valid), options, LoopOptions(buffer_examples=40, vocabulary_examples=50))  # fmt: skip
    assert 50 <= len(few.train) < 60
    large = read_corpus(SENTIMENT, Data(whole, valid), options, LoopOptions(buffer_examples=40, stream_above=0.001))  # fmt: skip
    assert isinstance(large, StreamedCorpus)


class Stop(Exception):
    pass


def test_a_run_that_was_stopped_anywhere_resumes_to_the_same_bits(tmp_path, monkeypatch):
    path = reviews(tmp_path / "d")
    settings = {**TINY, "epochs": 2, "buffer_examples": 40, "checkpoint_seconds": 0}
    train(SENTIMENT, Data(path), tmp_path / "whole", settings, progress=Silence())
    collate = StreamedCorpus.collate
    batches = 0

    def failing(self, rows, generator):
        nonlocal batches
        batches += 1
        if batches in (4, 20, 21, 33):  # in the first window, in later ones, in the second epoch
            raise Stop
        return collate(self, rows, generator)

    monkeypatch.setattr(StreamedCorpus, "collate", failing)
    for attempt in range(5):
        try:
            train(
                SENTIMENT, Data(path), tmp_path / "parts", settings, resume=attempt > 0,
                progress=Silence(),
            )  # fmt: skip
        except Stop:
            continue
    assert attempt == 4
    assert RunFolder(tmp_path / "parts").history()[-1]["epoch"] == 2
    weights = [(tmp_path / run / "model.safetensors").read_bytes() for run in ("whole", "parts")]
    assert weights[0] == weights[1]


def _vanish(folder):
    (folder / "2.jsonl").unlink()


def _add(folder):
    shutil.copy(folder / "2.jsonl", folder / "new.jsonl")


def _change(folder):
    path = folder / "1.jsonl"
    path.write_text(path.read_text().replace("word60 ", "word99 ", 1))


def _rename(folder):
    (folder / "0.jsonl").rename(folder / "zero.jsonl")


def _change_all(folder):
    for path in sorted(folder.iterdir()):
        path.write_text(path.read_text() + path.read_text())


@pytest.mark.parametrize("buffer", [40, 8192])  # a stream, and a collection that fits into memory
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_vanish, "2.jsonl is missing"),
        (_add, "new.jsonl is new"),
        (_change, "1.jsonl has changed"),
        (_rename, "0.jsonl is missing, zero.jsonl is new"),
        (_change_all, "0.jsonl, 1.jsonl, 2.jsonl and 2 more have changed"),
    ],
)
def test_resuming_names_the_files_that_are_others(tmp_path, damage, said, buffer):
    path = reviews(tmp_path / "d", files=5 if damage is _change_all else 3)
    settings = {**TINY, "buffer_examples": buffer}
    train(SENTIMENT, Data(path), tmp_path / "run", settings, progress=Silence())
    shutil.move(tmp_path / "d", tmp_path / "moved")  # which is no change
    damage(tmp_path / "moved")
    moved = Data(tmp_path / "moved" / "*.jsonl")
    with pytest.raises(RunError) as caught:
        train(SENTIMENT, moved, tmp_path / "run", {"epochs": 2}, resume=True, progress=Silence())
    assert str(caught.value) == (
        f"{tmp_path / 'run'}: the training data ({path}) are not those that this run was started "
        f"with: {said}; restore them, or train in another folder."
    )


def test_files_of_one_name_in_several_folders_are_told_apart(tmp_path):
    (tmp_path / "d").mkdir()
    for name in ("a", "b"):
        reviews(tmp_path / "d" / name, files=1)
    path = tmp_path / "d" / "*" / "*.jsonl"
    settings = {**TINY, "buffer_examples": 40}
    train(SENTIMENT, Data(path), tmp_path / "run", settings, progress=Silence())
    with open(tmp_path / "d" / "b" / "0.jsonl", "a") as file:
        file.write('{"text": "one more", "label": "a"}\n')
    with pytest.raises(RunError, match=r": b/0\.jsonl has changed; restore"):
        train(SENTIMENT, Data(path), tmp_path / "run", {}, resume=True, progress=Silence())


def test_a_run_that_lists_no_files_is_still_told_that_the_data_are_others(tmp_path):
    path = reviews(tmp_path / "d")
    settings = {**TINY, "buffer_examples": 40}
    train(SENTIMENT, Data(path), tmp_path / "run", settings, progress=Silence())
    run_file = tmp_path / "run" / "run.toml"
    text = run_file.read_text()
    table = re.search(r"\[data\.files\]\n(.+\n)+", text).group()
    run_file.write_text(text.replace(table, ""))
    (tmp_path / "d" / "2.jsonl").unlink()
    with pytest.raises(RunError, match="started with other training data"):
        train(SENTIMENT, Data(path), tmp_path / "run", {}, resume=True, progress=Silence())


def test_held_out_shards_are_not_trained_on(tmp_path):
    path = reviews(tmp_path / "d")
    corpus = read_corpus(
        SENTIMENT, Data(path), SENTIMENT.Options(), LoopOptions(buffer_examples=40)
    )
    held = {row.value.text for row in corpus.valid}
    corpus.begin(SimpleNamespace(labels=("a", "b")))
    seen = {text for batch in texts(corpus._stream, corpus.batches(1, 8)) for text in batch}
    assert held
    assert not held & seen
    assert len(held | seen) == 180


def test_a_single_shard_cannot_be_divided(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet")
    rows = [{"text": f"film {k}", "label": "ab"[k % 2]} for k in range(9)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet: this is a single shard.* with --valid"):
        read_corpus(
            SENTIMENT,
            Data(tmp_path / "a.parquet"),
            SENTIMENT.Options(),
            LoopOptions(buffer_examples=4),
        )


def test_a_label_outside_the_sample_is_reported_with_its_line(tmp_path):
    path = reviews(tmp_path / "d")
    text = (tmp_path / "d" / "1.jsonl").read_text().splitlines()
    text[7] = '{"text": "odd", "label": "c"}'
    (tmp_path / "d" / "1.jsonl").write_text("\n".join(text) + "\n")
    stream = stream_of(path)
    with pytest.raises(
        DataError, match=r'1\.jsonl, line 8: the model has no label "c".*vocabulary_ex'
    ):
        texts(stream, stream.plan(1, 8))


def test_bad_examples_are_left_out_with_skip_bad(tmp_path):
    path = reviews(tmp_path / "d", bad={3, 4, 5, 70, 171})
    stream = stream_of(path)
    with pytest.raises(DataError, match=r"\.jsonl, line \d+: there is no column \"label\""):
        texts(stream, stream.plan(1, 8))
    stream = stream_of(path, options=SENTIMENT.Options(skip_bad=True), buffer=100)
    with pytest.warns(DataWarning, match=r"left out \(skip_bad\), such as .*line"):
        found = texts(stream, stream.plan(1, 8))
    assert sum([len(batch) for batch in found]) == 175


def test_resuming_finds_patterns_where_the_run_was_started(tmp_path, command, monkeypatch):
    reviews(tmp_path / "d")
    monkeypatch.chdir(tmp_path)
    small = [f"--{name.replace('_', '-')}={value}" for name, value in TINY.items()]
    start = ("train", "sentiment", "--train", "d/*.jsonl", "--buffer-examples", 40, "--out", "run")
    status, _, err = command(*start, *small)
    assert status == 0, err
    assert "Streaming 162 examples of 3 files" in err
    monkeypatch.chdir(Path("/"))
    status, _, err = command(
        "train", "sentiment", "--out", tmp_path / "run", "--resume", "--epochs", 2
    )
    assert status == 0, err
    assert "epoch 2 of 2" in err
    status, out, err = command("evaluate", tmp_path / "run", tmp_path / "d" / "*.jsonl", "--json")
    assert status == 0, err
    assert json.loads(out)["examples"] == 180
