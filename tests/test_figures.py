"""README's figures are those that were measured, and nobody wrote one by hand."""

from pathlib import Path

import pytest

import elman
import negation
import tables

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_readme_has_the_figures_that_were_measured():
    assert tables.speed() in README


@pytest.mark.parametrize("question", ["sentiment", "named_entities", "music"])
def test_every_figure_names_its_command_machine_seeds_threads_and_time(question):
    record = tables.read(question)
    assert record["command"] == f"python benchmarks/{question}.py"
    assert record["machine"]["processor"]
    for row in record["rows"]:
        for run in row["runs"]:
            assert {"seed", "threads", "minutes", "valid", "test"} <= run.keys()


def test_the_sentences_with_a_negation_are_counted_as_they_were_answered():
    record = tables.read("negation")
    asked = [text for pair in negation.PAIRS for text in pair]
    assert [each["text"] for each in record["answers"]] == asked
    assert len(set(asked)) == record["sentences"] == 40
    assert negation.counts(record["answers"]) == negation.counts(
        negation.answers(elman.load("sentiment"))
    ), "run python benchmarks/negation.py again"
    answers = [{"expected": "a", "label": label} for label in "abaa"]
    assert negation.counts(answers) == {"positive": 2, "negative": 1, "sentences": 3, "pairs": 1}


def test_the_service_lost_no_request_and_gave_no_wrong_answer():
    table = tables.serve_load()
    for part in ("load", "soak"):
        record = tables.read("serve_load")[part]
        assert (record["wrong"], record["lost"], record["tracebacks"]) == (0, 0, 0)
        assert record["alive"]
        assert list(record["statuses"]) == ["200"]
        assert f" {record['requests']:,} |" in table
        assert record["command"].startswith("python benchmarks/serve_load.py")


def test_figures_of_large_data_name_their_command_and_machine():
    for part, table in (
        ("prediction", tables.bulk_prediction()),
        ("training", tables.streamed_training()),
    ):
        record = tables.read("large_data")[part]
        assert record["command"] in table
        assert record["machine"]["processor"] in table
        for row in record["rows"]:
            assert f" {row['peak_megabytes']:,} MB |" in table


def test_each_recurrent_model_stands_beside_its_baseline():
    for question, baseline in (("sentiment", "bag_of_words"), ("named_entities", "window")):
        models = [
            row["settings"].get("model", "recurrent") for row in tables.read(question)["rows"]
        ]
        assert {"recurrent", baseline} <= set(models)


def test_a_training_takes_less_than_ten_minutes():
    for question in ("sentiment", "named_entities"):
        for row in tables.read(question)["rows"]:
            assert max([run["minutes"] for run in row["runs"]]) < 10


def test_tunes_move_end_and_repeat_as_the_chorales_do():
    record = tables.read("music_tunes")
    assert record["tunes"] >= 100
    chorales, tunes = [record["columns"][k] for k in ("validation chorales", "temperature 0.9")]
    parallels = "moves of outer voices in parallel fifths or octaves"
    assert tunes[parallels] <= 2 * chorales[parallels]
    assert tunes["tunes that end with their tonic in the bass"] >= 70
    assert tunes["top voice within the range of Bach's"] >= 99
    repeats = "bars that the tune has had before"
    assert chorales[repeats] / 2 <= tunes[repeats] <= 2 * chorales[repeats]
