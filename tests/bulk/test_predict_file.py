"""Files of inputs: an answer a line, in order, whole or not at all, from where a kill stopped it."""

import csv
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import elman
from elman.bulk import inputs as bulk_inputs
from elman.bulk import predict_file
from elman.bulk import predicting as bulk_predicting
from elman.data.remote import opened
from elman.errors import DataError, OptionError

TEXTS = ["A warm and funny film.", "", "A dull, lifeless mess.", "  ", "Nothing to like, at all."]


class Told(list):
    def update(self, done, read):
        self.append((done, read))


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def labels(path):
    return [row["label"] for row in rows_of(path)]


@pytest.fixture(scope="module")
def expected():
    return [answer.label for answer in elman.load("sentiment")(TEXTS)]


def write_inputs(folder: Path, kind: str) -> Path:
    path = folder / f"texts.{kind}"
    if kind == "txt":
        path.write_text("".join(f"{text}\n" for text in TEXTS))
    elif kind == "jsonl":
        rows = [json.dumps({"text": text, "id": k}) for k, text in enumerate(TEXTS)]
        rows[1] = ""  # a blank line
        path.write_text("\n".join(rows) + "\n")
    elif kind == "tsv":
        path.write_text("id\ttext\n" + "".join(f"{k}\t{text}\n" for k, text in enumerate(TEXTS)))
    elif kind == "csv":
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([("id", "text"), *enumerate(TEXTS)])
    else:
        arrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(arrow.table({"id": range(len(TEXTS)), "text": TEXTS}), path)
    return path


@pytest.mark.parametrize("kind", ["txt", "jsonl", "tsv", "csv", "parquet"])
def test_every_line_has_its_answer_whatever_the_format(kind, expected, tmp_path):
    source = write_inputs(tmp_path, kind)
    for batch_size in (1, 2, 100):
        told = Told()
        outcome = predict_file(
            "sentiment", source, tmp_path / "a.csv", batch_size=batch_size, progress=told
        )
        assert told[-1] == (len(TEXTS), 1.0)
        assert told == sorted(told)
        assert labels(tmp_path / "a.csv") == expected
        assert (outcome.answers, outcome.errors) == (len(TEXTS), 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([source.name, "a.csv"])


def test_csv_jsonl_and_parquet_hold_the_same_answers(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    source = write_inputs(tmp_path, "txt")
    for suffix in (".csv", ".jsonl", ".parquet"):
        predict_file("sentiment", source, tmp_path / f"a{suffix}")
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    table = parquet.read_table(tmp_path / "a.parquet").to_pylist()
    rows = rows_of(tmp_path / "a.csv")
    model = elman.load("sentiment")
    records = [model.task.record(answer) for answer in model(TEXTS)]
    for number, (line, row, entry, record) in enumerate(
        zip(lines, rows, table, records, strict=True), 1
    ):
        assert line == {"line": number, **record}
        assert entry["probability"] == record["probability"] == float(row["probability"])
        assert json.loads(row["probabilities"]) == json.loads(entry["probabilities"])
        assert entry["line"] == int(row["line"]) == number


def test_lines_that_cannot_be_read_have_their_error_in_place(tmp_path):
    source = tmp_path / "a.csv"
    source.write_bytes(b"text,id\ngood film,1\ncaf\xe9,2\nbad,film,3\n\ndull film,4\n")
    outcome = predict_file("sentiment", source, tmp_path / "out.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["line"] for line in lines] == [1, 2, 3, 4, 5]
    assert "byte 4 of the line is not UTF-8" in lines[1]["error"]
    assert "has 3 columns, but the header has 2" in lines[2]["error"]
    blank = elman.load("sentiment")("")[0].label
    assert [line.get("label") for line in lines] == ["positive", None, None, blank, "negative"]
    assert (outcome.errors, outcome.first_error) == (2, lines[1]["error"])
    assert lines[1]["error"].startswith(f"{source}, line 3: byte 4")
    assert lines[2]["error"].startswith(f"{source}, line 4: the row")


def test_the_place_of_an_error_is_the_line_where_the_row_starts(tmp_path, command):
    source = tmp_path / "a.csv"
    source.write_text('sep=,\ntext,id\n"a\nfilm",1\n"b"c,2\nd\nfine,4\n')
    status, _, err = command("predict", "sentiment", "--in", source, "--out", tmp_path / "o.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert [line.get("text") for line in lines] == ["a\nfilm", None, None, "fine"]
    assert f"{source}, line 5: a text in double quotes" in lines[1]["error"]
    assert "continues after its end" in lines[1]["error"]
    wanted = f"{source}, line 6: the row has 1 column, but the header has 2."
    assert lines[2]["error"] == wanted
    assert status == 1
    assert f"elman: 2 inputs have an error instead; the first is {source}, line 5:" in err
    source.write_text("text,id\nd\n")
    _, _, err = command("predict", "sentiment", "--in", source, "--out", tmp_path / "o.jsonl")
    assert "o.jsonl: 1 answer\nelman: 1 input has an error instead; " in err


def test_rows_of_parquet_and_inputs_without_lines_have_a_number(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"text": [3, 4]}), tmp_path / "a.parquet")
    outcome = predict_file("sentiment", tmp_path / "a.parquet", tmp_path / "o.csv")
    assert outcome.first_error == f'{tmp_path}/a.parquet, row 1: "text" is 3, which is no text.'


@pytest.mark.parametrize("named", ["folder", "pattern", "url", "urls"])
def test_a_folder_a_pattern_or_a_url_stands_for_the_lines_of_its_files(named, tmp_path):
    import fsspec

    texts = {"a.txt": b"A warm film.\nA dull mess.\n", "b.csv": b'id,text\n1,"so\ngood"\n2,bad\n',
             "c.jsonl": b'{"text": "nice"}\n\n'}  # fmt: skip
    (tmp_path / "d").mkdir()
    memory = fsspec.filesystem("memory")
    for name, content in texts.items():
        (tmp_path / "d" / name).write_bytes(content)
        memory.pipe_file(f"/bulk/{name}", content)
    source = {
        "folder": tmp_path / "d",
        "pattern": tmp_path / "d" / "*.*",
        "url": "memory://bulk/a.txt",
        "urls": "memory://bulk/*",
    }[named]
    outcome = predict_file("sentiment", source, tmp_path / "o.jsonl")
    found = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    wanted = ["A warm film.", "A dull mess.", "so\ngood", "bad", "nice", ""]
    wanted = wanted[:2] if named == "url" else wanted
    assert [each["text"] for each in found] == wanted
    assert [each["line"] for each in found] == list(range(1, outcome.answers + 1))


def test_an_error_in_one_of_several_files_names_it(tmp_path):
    for name, content in (("a.txt", b"good\n"), ("b.txt", b"fine\n\xff\n")):
        (tmp_path / "d").mkdir(exist_ok=True)
        (tmp_path / "d" / name).write_bytes(content)
    outcome = predict_file("sentiment", tmp_path / "d", tmp_path / "o.jsonl")
    assert outcome.answers == 3
    assert outcome.first_error.startswith(f"{tmp_path}/d/b.txt, line 2: ")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("none/*.txt", "none/*.txt: no file has such a name; check the pattern."),
        ("empty", "empty: there are no files in this folder; give at least one."),
        ("memory://bulk/none.txt", "none.txt"),
    ],
)
def test_names_of_no_files_are_refused(source, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError) as refused:
        predict_file("sentiment", source, tmp_path / "o.jsonl")
    assert sentence in str(refused.value)


def test_a_bad_file_of_a_folder_is_an_error_and_the_others_are_answered(tmp_path):
    folder = tmp_path / "d"
    folder.mkdir()
    contents = {
        "a.txt": "A warm film.\n",
        "b.csv": "words\nA warm film.\n",
        "c.csv": "",
        "d.parquet": "no table",
        "e.csv": 'text\nA warm film.\n"never closed\n',
        "f.txt": "",
        "g.txt": "A warm film.\nA dull mess.\n",
    }
    for name, content in contents.items():
        (folder / name).write_text(content)
    outcome = predict_file("sentiment", folder, tmp_path / "o.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert [line["line"] for line in lines] == list(range(1, 9))
    assert [line.get("text") for line in lines if "error" not in line] == [
        "A warm film.", "A warm film.", "A warm film.", "A dull mess.",
    ]  # fmt: skip
    said = [line["error"] for line in lines if "error" in line]
    assert said[0].startswith(f'{folder / "b.csv"}: there is no column "text"')
    assert said[1].startswith(f"{folder / 'c.csv'}: the first line is blank or missing")
    assert said[2].startswith(f"{folder / 'd.parquet'}: the file is not Parquet")
    assert said[3].startswith(f"{folder / 'e.csv'}, line 3: a text in double quotes")
    assert (outcome.errors, outcome.first_error) == (4, said[0])


def test_a_server_that_does_not_answer_ends_the_run_which_can_be_resumed(tmp_path, monkeypatch):
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    for name, text in (("1.txt", "A warm film.\n"), ("2.txt", "A dull mess.\n")):
        store.pipe_file(f"/outage/{name}", text.encode())
    out, source = tmp_path / "o.jsonl", "memory://outage/*.txt"
    with monkeypatch.context() as patch:

        def down(path):
            if "2.txt" in str(path):
                raise DataError("memory://outage/2.txt: the server does not answer.")
            return opened(path)

        patch.setattr(bulk_inputs, "opened", down)
        with pytest.raises(DataError, match="the server does not answer"):
            predict_file("sentiment", source, out, batch_size=1)
    assert not out.exists()
    assert predict_file("sentiment", source, out, resume=True).errors == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["text"] for line in lines] == ["A warm film.", "A dull mess."]


def test_answers_replace_no_file_of_a_folder(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.jsonl").write_text('{"text": "good"}\n')
    with pytest.raises(OptionError, match="would overwrite the inputs in"):
        predict_file("sentiment", tmp_path / "d", tmp_path / "d" / "a.jsonl")


def test_recordings_are_read_from_files_of_this_machine_only(tmp_path):
    with pytest.raises(DataError, match="speech reads local files only; download it"):
        predict_file("speech", "memory://bulk/a.wav", tmp_path / "o.jsonl")


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
@pytest.mark.parametrize("content", ["", "\n", " \n\n", "sep=;\n"])
def test_a_table_without_names_of_columns_is_refused_in_a_sentence(name, content, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError) as refused:
        predict_file("sentiment", tmp_path / name, tmp_path / "o.jsonl")
    assert str(refused.value) == (
        f"{tmp_path / name}: the first line is blank or missing; it must name the columns, one of "
        'them "text", and each line after it has an input.'
    )


@pytest.mark.parametrize("longest", [2**24, 1000])
def test_a_quote_that_is_never_closed_swallows_nothing(longest, tmp_path, monkeypatch):
    monkeypatch.setattr("elman.bulk.inputs._LONGEST", longest)
    source = tmp_path / "a.csv"
    source.write_text('text,id\ngood,1\n"never closed,2\n' + "fine,3\n" * 500)
    sentence = r"a.csv, line 3: a text in double quotes that starts here is never closed"
    with pytest.raises(DataError, match=sentence):
        predict_file("sentiment", source, tmp_path / "o.csv")
    assert not (tmp_path / "o.csv").exists()


@pytest.mark.parametrize("spelling", ["itself", "dots", "link", "hard link", "partial"])
def test_answers_never_replace_their_inputs(spelling, tmp_path):
    source = tmp_path / (".a.csv.partial" if spelling == "partial" else "a.csv")
    source.write_text("text\ngood\n")
    out = tmp_path / "a.csv"
    if spelling == "dots":
        (tmp_path / "d").mkdir()
        out = tmp_path / "d" / ".." / "a.csv"
    elif spelling == "link":
        out = tmp_path / "b.csv"
        out.symlink_to(source)
    elif spelling == "hard link":
        out = tmp_path / "b.csv"
        out.hardlink_to(source)
    with pytest.raises(OptionError, match="would overwrite the inputs"):
        predict_file("sentiment", source, out)
    assert source.read_text() == "text\ngood\n"


def test_standard_input_is_not_resumed(tmp_path):
    with pytest.raises(OptionError, match="standard input is not the same a second time"):
        predict_file("sentiment", None, tmp_path / "o.csv", resume=True)


def test_errors_before_a_kill_count_when_it_is_resumed(tmp_path, monkeypatch):
    source = tmp_path / "a.txt"
    source.write_bytes(b"good\ncaf\xe9\nbad\nfine\n")
    answers, calls = bulk_predicting._answers, []

    def killed(*given):
        calls.append(given)
        if len(calls) == 2:
            raise Killed
        return answers(*given)

    monkeypatch.setattr(bulk_predicting, "_answers", killed)
    with pytest.raises(Killed):
        predict_file("sentiment", source, tmp_path / "o.jsonl", batch_size=2)
    outcome = predict_file("sentiment", source, tmp_path / "o.jsonl", batch_size=2, resume=True)
    assert len(calls) == 3
    assert (outcome.answers, outcome.errors) == (4, 1)
    assert outcome.first_error.startswith(f"{source}, line 2: byte 4 of the line is not UTF-8")


def test_other_columns_quotes_and_an_excel_header_are_read(tmp_path):
    source = tmp_path / "a.csv"
    source.write_text('sep=;\nid;review\n1;"a warm; and\nfunny ""film"""\n2;dull\n')
    predict_file("sentiment", source, tmp_path / "o.jsonl", text_column="review")
    lines = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert [line["text"] for line in lines] == ['a warm; and\nfunny "film"', "dull"]
    with pytest.raises(DataError, match=r'a.csv: there is no column "text".*--text-column'):
        predict_file("sentiment", source, tmp_path / "o.jsonl")


class Killed(BaseException):
    pass


def test_a_killed_run_goes_on_to_the_same_file(tmp_path, monkeypatch):
    source = tmp_path / "a.txt"
    source.write_text("".join(f"film number {k} was good\n" for k in range(40)))
    predict_file("sentiment", source, tmp_path / "whole.jsonl", batch_size=4)
    answers, calls = bulk_predicting._answers, []

    def killed(*given):
        calls.append(len(given[1]))
        if len(calls) == 5:
            raise Killed
        return answers(*given)

    monkeypatch.setattr(bulk_predicting, "_answers", killed)
    with pytest.raises(Killed):
        predict_file("sentiment", source, tmp_path / "o.jsonl", batch_size=4)
    assert not (tmp_path / "o.jsonl").exists()
    with (tmp_path / ".o.jsonl.partial").open("a") as file:
        file.write('{"line": 17, "te')  # a torn last line
    with pytest.raises(OptionError, match="answers of another model, input, options or batch size"):
        predict_file("sentiment", write_inputs(tmp_path, "txt"), tmp_path / "o.jsonl", resume=True)
    calls.clear()
    calls += [0] * 5
    predict_file("sentiment", source, tmp_path / "o.jsonl", batch_size=4, resume=True)
    assert sum(calls) == 40 - 16
    assert (tmp_path / "o.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("independent", [True, False])
def test_a_killed_run_goes_on_with_another_batch_size_only_if_no_answer_changes(
    independent, tmp_path, monkeypatch
):
    source = tmp_path / "a.txt"
    source.write_text("".join([f"film {k} was {'very ' * (k % 9)}good\n" for k in range(60)]))
    model = elman.load("sentiment")
    monkeypatch.setattr(type(model.task), "independent", independent)
    predict_file(model, source, tmp_path / "whole.jsonl", batch_size=1)
    answers, calls = bulk_predicting._answers, []

    def killed(*given):
        calls.append(len(given[1]))
        if len(calls) == 3:
            raise Killed
        return answers(*given)

    monkeypatch.setattr(bulk_predicting, "_answers", killed)
    with pytest.raises(Killed):
        predict_file(model, source, tmp_path / "o.jsonl", batch_size=7)
    if independent:
        predict_file(model, source, tmp_path / "o.jsonl", batch_size=13, resume=True)
        assert (tmp_path / "o.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    else:
        with pytest.raises(OptionError, match="options or batch size; omit --resume"):
            predict_file(model, source, tmp_path / "o.jsonl", batch_size=13, resume=True)


def test_a_process_that_is_killed_leaves_no_file_and_resumes(tmp_path):
    source = tmp_path / "a.txt"
    source.write_text("".join(f"film number {k} was good and long\n" for k in range(20_000)))
    command = [
        sys.executable, "-m", "elman.cli", "predict", "sentiment", "--in", source, "--out",
        tmp_path / "o.csv", "--batch-size", "500", "--threads", "1",
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    partial = tmp_path / ".o.csv.partial"
    until = time.monotonic() + 120
    while not (partial.exists() and partial.stat().st_size > 50_000):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "o.csv").exists()
    there = partial.read_bytes().count(b"\n") - 1
    source_lines = 20_000
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{source_lines:,} answers" in done.stderr
    rows = rows_of(tmp_path / "o.csv")
    assert [int(row["line"]) for row in rows] == list(range(1, source_lines + 1))
    assert 0 < there < source_lines
    assert not partial.exists()


def test_the_command_reads_standard_input_and_refuses_what_it_cannot_do(command, tmp_path):
    script = "import sys; from elman.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, "predict", "sentiment", "--in", "-", "--out", tmp_path / "o.jsonl"],
        input="good film\n\nbad film\n", capture_output=True, text=True, env=os.environ,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "o.jsonl").read_text().splitlines()) == 3
    source = write_inputs(tmp_path, "txt")
    (tmp_path / "d.csv").mkdir()
    for given, sentence in (
        (["--in", source], "--out is missing"),
        (
            ["--in", source, "--out", tmp_path / "o.xls"],
            "a name that ends in .jsonl, .csv, .parquet",
        ),
        (["--in", tmp_path / "no.txt", "--out", tmp_path / "o.csv"], "there is no such file"),
        (["text", "--in", source, "--out", tmp_path / "o.csv"], "not both"),
        (["text", "--resume"], "add --in"),
        (["text", "--out", tmp_path / "o.csv"], "add --in"),
        (["--in", source, "--out", tmp_path / "o.csv", "--batch-size", "0"], "positive integer"),
        (["--in", source, "--out", tmp_path / "d.csv"], "is a folder"),
    ):
        status, _, err = command("predict", "sentiment", *given)
        assert status == 1
        assert sentence in err
        assert err.count("\n") == 1
    (tmp_path / "empty.txt").write_text("")
    status, _, err = command(
        "predict", "sentiment", "--in", tmp_path / "empty.txt", "--out", tmp_path / "e.csv"
    )
    assert status == 1
    assert "empty" in err or "no inputs" in err
    status, _, err = command("predict", "music", "--in", source, "--out", tmp_path / "o.csv")
    assert (status, "no inputs to read" in err) == (1, True)


def test_sequences_of_a_fasta_file_have_a_record_each(command, tmp_path):
    source = tmp_path / "s.fa"
    source.write_text(">one\n" + "ACGT" * 30 + "\n>two\n" + "GGCA" * 20 + "\n")
    status, _, err = command("predict", "dna", "--in", source, "--out", tmp_path / "o.jsonl")
    assert status == 0, err
    lines = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert [line["line"] for line in lines] == [1, 2]


def answer_in_another_process(model):
    return [answer.label for answer in model(TEXTS)]


def test_a_loaded_model_can_be_sent_to_other_processes(expected):
    model = elman.load("sentiment")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(answer_in_another_process, (model,)) == expected
