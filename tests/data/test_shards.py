"""Shards of a file, read one after another, are the file: the same examples at the same lines."""

import random
from pathlib import Path

import fsspec
import pytest

from elman.data.excerpts import reading
from elman.data.shards import (
    END,
    RECORDS,
    START,
    fingerprint,
    index_source,
    is_collection,
    named_sources,
)
from elman.data.text import text_rows
from elman.errors import DataError
from elman.tasks import TASKS
from elman.tasks.reading import index, read_rows, read_shard

REVIEWS = {
    "plain.csv": "text,label\n" + "".join(f"film {k},good\n" for k in range(23)),
    "quoted.csv": "text;label\r\n" + "".join(f'"a ""dud"";\r\n\r\nnumber {k}";bad\r\n' for k in range(23)),
    "sep.csv": "sep=;\ntext;label\n" + "".join(f"film {k};good\n\n" for k in range(23)),
    "inch.csv": "text,label\n" + "".join(f'a 5" disk {k},good\n"x, {k}",bad\n' for k in range(12)),
    "bom.tsv": "\ufefftext\tlabel\n" + "".join(f"film {k}\tgood\n" for k in range(23)),
    # one stray quote decides for the whole file that quotes are ordinary
    "stray.tsv": "text\tlabel\n" + "".join(f'"film {k}"\tgood\n' for k in range(22)) + 'a "dud\tbad\n',
    "enclosed.tsv": "text\tlabel\n" + "".join(f'"film ""{k}"""\tgood\nfine {k}\tbad\n' for k in range(9)),
    "lines.jsonl": "".join(f'{{"text": "film {k}", "label": {k % 2}}}\n' for k in range(23)),
    "blank.jsonl": "".join(f'\n{{"text": "film {k}", "label": "a"}}\r\n' for k in range(23)),
    "no_end.jsonl": "\n".join(f'{{"text": "film {k}", "label": "a"}}' for k in range(23)),
    "array.json": "[" + ",\n".join(f'{{"text": "film {k}", "label": "a"}}' for k in range(5)) + "]",
}  # fmt: skip
PAIRS = {
    "pairs.tsv": "".join(f"le film {k}\tthe film {k}\n" for k in range(23)),
    "header.tsv": "source\ttarget\n" + "".join(f"le film {k}\tthe film {k}\n" for k in range(23)),
    "quotes.tsv": "".join(f'"le ""film"" {k}"\t"the film {k}"\n' for k in range(23)),
}
NAMES = {
    "names.conll": "".join(f"Anna{k} I-PER\nsmiled O\n\n" for k in range(23)),
    "documents.conll": "-DOCSTART- O\n\n"
    + "".join(f"\nAda B-PER\n\n\nleft{k} O\n" for k in range(9)),
    "windows.conll": "".join(f"Anna{k}\tB-PER\r\nsmiled\tO\r\n\r\n" for k in range(23)),
}


def sources(task, path, per_shard):
    return index(task, path, task.Options(), per_shard=per_shard)


def in_shards(task, path, per_shard):
    return [
        row
        for source in sources(task, path, per_shard)
        for k in range(len(source.shards))
        for row in read_shard(task, source, k, task.Options())
    ]


@pytest.mark.parametrize("per_shard", [1, 4, 1000])
@pytest.mark.parametrize(
    ("task", "name", "text"),
    [
        (task, name, text)
        for task, files in (("sentiment", REVIEWS), ("translation", PAIRS), ("ner", NAMES))
        for name, text in files.items()
    ],
)
def test_shards_read_one_after_another_are_the_file(task, name, text, per_shard, tmp_path):
    task, path = TASKS[task], tmp_path / name
    path.write_bytes(text.encode())
    whole = task.read(path, task.Options())
    assert len(whole) > 4
    found = in_shards(task, path, per_shard)
    strip = (lambda pair: (pair.source, pair.target)) if task.name == "translation" else repr
    assert [strip(row.value) for row in found] == [strip(row.value) for row in whole]
    assert [row.place for row in found] == [row.place for row in whole]


def test_shards_have_a_bounded_number_of_records_and_cover_the_file(tmp_path):
    path = tmp_path / "quoted.csv"
    path.write_bytes(REVIEWS["quoted.csv"].encode())
    [source] = sources(TASKS["sentiment"], path, 4)
    assert source.shards[:, RECORDS].tolist() == [4, 4, 4, 4, 4, 3]
    assert source.shards[1:, START].tolist() == source.shards[:-1, END].tolist()
    assert source.shards[-1, END] == path.stat().st_size
    assert source.shards[0, START] == len("text;label\r\n")


def test_random_tables_are_the_same_in_shards(tmp_path):
    draw = random.Random(5)
    pieces = ["a", " ", '""', ",", "\n", "\r\n", "é", "b c"]
    for number in range(30):
        rows = []
        for _ in range(draw.randint(2, 30)):
            text = "".join(draw.choices(pieces, k=draw.randint(1, 6))) + "x"
            plain = not set(text) & set('",\n\r')
            rows.append(
                f"{text if plain else chr(34) + text + chr(34)},good\n" + "\n" * draw.randint(0, 1)
            )
        path = tmp_path / f"{number}.csv"
        path.write_bytes(("text,label\n" + "".join(rows)).encode())
        task = TASKS["sentiment"]
        assert in_shards(task, path, draw.randint(1, 9)) == task.read(path, task.Options())


def test_two_aligned_files_are_cut_at_the_same_lines(tmp_path):
    (tmp_path / "a.fr").write_text("".join(f"le film numéro {k}\n" for k in range(23)))
    (tmp_path / "a.en").write_text("".join(f"film {k}\n" for k in range(23)))
    task, path = TASKS["translation"], Path(f"{tmp_path}/a.fr,{tmp_path}/a.en")
    found = in_shards(task, path, 4)
    assert [row.value.target for row in found] == [f"film {k}" for k in range(23)]
    assert [row.place.line for row in found] == list(range(1, 24))
    (tmp_path / "a.en").write_text("film\n" * 22)
    with pytest.raises(DataError, match=r"a.en: it has 22 lines, but a.fr has 23; each line"):
        sources(task, path, 4)


def test_a_fault_names_the_line_of_the_file(tmp_path):
    path = tmp_path / "a.csv"
    lines = ["text,label\n", *["fine,good\n"] * 10, "fine\n", "fine,good\n"]
    path.write_text("".join(lines))
    task = TASKS["sentiment"]
    [source] = sources(task, path, 4)
    with pytest.raises(
        DataError, match=r"a\.csv, line 12: the header has 2 columns but the row has"
    ):
        read_shard(task, source, 2, task.Options())
    path.write_bytes(b"text,label\n" + b"fine,good\n" * 9 + b"caf\xe9,good\n")
    [source] = sources(task, path, 4)
    with pytest.raises(DataError, match=r"a\.csv, line 11: byte 4 of the line, 0xe9, is not UTF-8"):
        read_shard(task, source, 2, task.Options())


def test_rows_of_parquet_are_read_like_lines(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet")
    path, task = tmp_path / "a.parquet", TASKS["sentiment"]
    rows = [{"text": f'a "film" \t\n{k}', "label": k % 3, "other": None} for k in range(10)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=4)
    [source] = sources(task, path, 4)
    assert source.shards[:, RECORDS].tolist() == [4, 4, 2]
    found = in_shards(task, path, 4)
    assert [row.value.text for row in found] == [row["text"] for row in rows]
    assert [row.value.label for row in found] == [str(row["label"]) for row in rows]
    assert str(found[5].place) == f"{path}, row 6"
    assert read_rows(task, path, task.Options()) == found
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([*rows, {"text": "", "label": 1}]), path)
    with pytest.raises(
        DataError, match=r"a\.parquet, row 11: the text \(column \"text\"\) is empty"
    ):
        read_rows(task, path, task.Options())
    path.write_bytes(b"no table")
    with pytest.raises(DataError, match=r"a\.parquet: the file is not Parquet"):
        sources(task, path, 4)


def test_tables_of_pairs_and_of_tagged_sentences(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    rows = [{"source": f"le\tfilm {k}", "target": f'"the" film {k}'} for k in range(5)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    task = TASKS["translation"]
    found = read_rows(task, path, task.Options())
    assert [row.value.target for row in found] == [f'"the" film {k}' for k in range(5)]
    assert found[0].value.source == "le film 0"
    rows = [{"tokens": ["Ada", f"left{k}"], "tags": ["B-PER", "O"]} for k in range(5)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    task = TASKS["ner"]
    found = read_rows(task, path, task.Options())
    assert [row.value.words for row in found] == [("Ada", f"left{k}") for k in range(5)]
    assert [row.place.line for row in found] == [1, 2, 3, 4, 5]
    with pytest.raises(DataError, match=r"cannot be read as examples of translation \('source'\)"):
        read_rows(TASKS["translation"], path, TASKS["translation"].Options())
    with pytest.raises(DataError, match="dna reads no tables"):
        read_rows(TASKS["dna"], path, TASKS["dna"].Options())


def test_a_hugging_face_data_set_on_disk(tmp_path):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
    )
    rows = {"text": [f"film {k}" for k in range(10)], "label": [k % 2 for k in range(10)]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(tmp_path / "reviews"))
    task, path = TASKS["sentiment"], tmp_path / "reviews"
    assert is_collection(path)
    found = in_shards(task, path, 4)
    assert [row.value.text for row in found] == rows["text"]
    assert [row.value.label for row in found] == ["bad", "good"] * 5
    assert str(found[9].place) == f"{path}, row 10"


def test_urls_and_patterns(tmp_path):
    system = fsspec.filesystem("memory")
    for k in (1, 2):
        with system.open(f"/reviews/{k}.csv", "wb") as file:
            file.write(f"text,label\nfilm {k},good\nfilm {k}b,bad\n".encode())
    task = TASKS["sentiment"]
    found = in_shards(task, Path("memory://reviews/*.csv"), 1)
    assert [row.value.text for row in found] == ["film 1", "film 1b", "film 2", "film 2b"]
    assert str(found[3].place) == "memory://reviews/2.csv, line 3"
    assert read_rows(task, Path("memory://reviews/*.csv"), task.Options()) == found
    with pytest.raises(DataError, match=r"memory://reviews/x\.csv: there is no such file"):
        sources(task, Path("memory://reviews/x.csv"), 1)
    with pytest.raises(DataError, match=r"x\*\.csv: no file has such a name; check the pattern"):
        sources(task, tmp_path / "x*.csv", 1)
    with pytest.raises(DataError, match="a file of this format is read whole, which needs a local"):
        sources(TASKS["dna"], Path("memory://reviews/1.csv"), 1)
    with pytest.raises(
        DataError, match=r"nowhere://a\.csv: this cannot be read \(ValueError: Proto"
    ):
        sources(task, Path("nowhere://a.csv"), 1)


def test_a_quote_that_is_never_closed_is_found_in_bounded_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("elman.data.shards._LONGEST", 1000)
    path = tmp_path / "a.csv"
    path.write_text('text,label\n"never closed,good\n' + "fine,good\n" * 500)
    with pytest.raises(
        DataError, match=r"longer than 1,000 bytes; it starts with b'\"never closed"
    ):
        sources(TASKS["sentiment"], path, 4)
    path.write_text("text,label\n" + "x" * 1001 + "\n")
    with pytest.raises(DataError, match=r"a.csv, line 2: the line is longer than 1,000 bytes"):
        sources(TASKS["sentiment"], path, 4)


def test_the_fingerprint_depends_on_contents(tmp_path):
    path, task = tmp_path / "a.jsonl", TASKS["sentiment"]
    path.write_text(REVIEWS["lines.jsonl"])
    first = fingerprint(sources(task, path, 4))
    assert first == fingerprint(sources(task, path, 4))
    path.write_text(REVIEWS["lines.jsonl"].replace("film 8", "fins 8"))
    assert first != fingerprint(sources(task, path, 4))


def test_large_files_are_cut_at_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr("elman.data.shards._AT_ONCE", 7)
    path, task = tmp_path / "a.jsonl", TASKS["sentiment"]
    path.write_text(REVIEWS["lines.jsonl"])
    for per_shard in (1, 4, 23, 24):
        assert in_shards(task, path, per_shard) == task.read(path, task.Options())


def test_an_excerpt_is_in_place_only_inside_its_block(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(REVIEWS["lines.jsonl"])
    source = index_source((path,), TASKS["sentiment"].cuts, ".jsonl", 4, len)
    place, excerpts = source.read(1, None)
    assert place == path
    columns = {"text_column": "text", "label_column": "label", "labelled": True}
    with reading(excerpts):
        assert len(list(text_rows(path, **columns))) == 4
    assert len(list(text_rows(path, **columns))) == 23
    assert named_sources(path) == [(path,)]
