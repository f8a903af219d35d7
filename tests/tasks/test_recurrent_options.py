"""The options of recurrent layers reach the layers of a job's model, from files and flags alike."""

import tomllib
from dataclasses import asdict, fields

import pytest

import elman
from elman.errors import OptionError
from elman.nn.between import Between
from elman.options import with_settings
from elman.tasks import TASKS
from elman.tasks.ner.data import Sentence
from elman.tasks.recurrent_options import (
    BidirectionalOptions,
    RecurrentOptions,
    numbers_of_sizes,
    recurrent_keywords,
    recurrent_layer,
    refuse_missing_sizes,
)
from elman.tasks.sentiment.data import Review
from elman.training.toml import to_toml

ner = TASKS["ner"]
sentiment = TASKS["sentiment"]

LSTM = elman.cells.lstm
SETTINGS = {
    "input_dropout": "0.1",
    "output_dropout": "0.2",
    "locked_dropout": "yes",
    "recurrent_dropout": "0.3",
    "candidate_dropout": "0.4",
    "zoneout": "c=0.5, h=0.05",
    "drop_connect": "0.6",
    "activation_penalty": "2",
    "temporal_penalty": "1",
    "initial": "identity",
    "forget_bias": "3",
    "heads": "2",
    "key_size": "3",
    "sizes": "projection=5",
    "residual": "yes",
    "norm": "yes",
    "learned_state": "yes",
}
#: what only cells with sizes of their own take
OF_SIZES = ("sizes",)
#: those that only cells with a matrix state take, and those that they do not take
OF_HEADS = ("heads", "key_size")
NOT_OF_HEADS = ("recurrent_dropout", "candidate_dropout", "zoneout", "drop_connect", "forget_bias")


def test_every_option_is_set_in_this_file():
    assert list(SETTINGS) == [each.name for each in fields(RecurrentOptions)]
    both_ways = [each.name for each in fields(BidirectionalOptions)]
    assert both_ways == [*SETTINGS, "merge"]


def encoder_of(task, cell, without):
    """The recurrent layers of the task's model with the other settings."""
    settings = {name: value for name, value in SETTINGS.items() if name not in without}
    options = with_settings(task.Options(num_layers=2, dropout=0.7, hidden_size=4), settings)
    examples = {
        "sentiment": [Review("a b", ("a", "b"), label) for label in "xy"],
        "ner": [Sentence(("a", "b"), ("O", "B-PER"))],
    }[task.name]
    return task.build(options, cell, task.build_vocab(examples, options, 0)).encoder


@pytest.mark.parametrize("task", [sentiment, ner], ids=["sentiment", "ner"])
def test_a_task_gives_heads_and_keys_to_a_cell_with_a_matrix_state(task):
    stack = encoder_of(task, elman.cells.delta_net, without=(*NOT_OF_HEADS, *OF_SIZES)).stack
    assert (stack.heads, stack.keys) == (2, 3)
    with pytest.raises(OptionError, match="heads and key_size are for cells with a matrix state"):
        encoder_of(task, LSTM, without=OF_SIZES)


@pytest.mark.parametrize("task", [sentiment, ner], ids=["sentiment", "ner"])
def test_the_options_of_a_task_are_those_of_its_layers(task):
    encoder = encoder_of(task, LSTM, without=(*OF_HEADS, *OF_SIZES))
    noise = encoder.stack.noise
    assert {name: rate for name, rate in asdict(noise).items() if name != "any"} == {
        "dropout": 0.7,
        "input_dropout": 0.1,
        "output_dropout": 0.2,
        "locked_dropout": True,
        "recurrent_dropout": 0.3,
        "candidate_dropout": 0.4,
        "zoneout": {"c": 0.5, "h": 0.05},
        "drop_connect": 0.6,
    }
    assert (encoder.penalties.activation, encoder.penalties.temporal) == (2, 1)
    assert (encoder.initial, encoder.forget_bias) == ("identity", 3)
    assert encoder.stack.between == Between(residual=True, norm=True, learned_state=True)


def test_the_options_survive_the_run_file():
    options = with_settings(RecurrentOptions(), SETTINGS)
    for chosen in (options, RecurrentOptions(), RecurrentOptions(zoneout=0.25)):
        read = tomllib.loads(to_toml(asdict(chosen)))
        assert with_settings(RecurrentOptions(), read) == chosen


def test_without_options_it_is_the_plain_layer():
    layer = recurrent_layer(RecurrentOptions(), LSTM, 3, 4, dropout=0.5)
    assert layer.stack.noise == elman.Recurrent(LSTM, 3, 4).stack.noise
    assert layer.cell == LSTM
    assert layer.stack.between == Between()


@pytest.mark.parametrize("task", [sentiment, ner], ids=["sentiment", "ner"])
def test_a_task_gives_numbers_to_the_sizes_of_a_cell(task):
    without = (*OF_HEADS, "candidate_dropout", "zoneout")
    assert encoder_of(task, elman.cells.lstmp, without=without).output_size in (5, 10)
    with pytest.raises(OptionError, match="the cell has the size projection; pass its number"):
        encoder_of(task, elman.cells.lstmp, without=(*without, *OF_SIZES))


def test_a_missing_number_of_a_size_names_the_flag():
    with pytest.raises(OptionError, match=r"lstmp: .* size projection; .* --sizes projection=64"):
        refuse_missing_sizes(elman.cells.lstmp, numbers_of_sizes("rank=3"))
    refuse_missing_sizes(elman.cells.lstmp, numbers_of_sizes("projection=3"))


@pytest.mark.parametrize("value", ["much", "projection=much", "projection", "projection=1.5"])
def test_sizes_that_are_no_numbers_are_refused(value):
    with pytest.raises(OptionError, match=rf'sizes is "{value}"; it must have a number per size'):
        recurrent_keywords(RecurrentOptions(sizes=value))


@pytest.mark.parametrize("value", ["much", "c=much", "c 0.5"])
def test_a_zoneout_that_is_none_is_refused(value):
    with pytest.raises(
        OptionError, match=rf'zoneout is "{value}"; it must be a probability, or one'
    ):
        recurrent_keywords(RecurrentOptions(zoneout=value))


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_the_options_of_recurrent_layers(task):
    assert issubclass(TASKS[task].Options, RecurrentOptions)
