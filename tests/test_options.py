"""Options are declared once: bounds and choices give errors, descriptions and limits of spaces."""

import math
from dataclasses import dataclass
from typing import Literal

import pytest

from elman.errors import OptionError
from elman.options import (
    Bounds,
    DeclaredOptions,
    described,
    option,
    option_of,
    parse,
    value_syntax,
    with_settings,
)
from elman.selection import default_space, read_space
from elman.selection.space import Range
from elman.tasks import TASKS


@dataclass(frozen=True)
class Plain(DeclaredOptions):
    units: int = option(8, "units", minimum=1)
    rate: float = option(0.5, "a rate", above=0, maximum=1)
    kind: Literal["new", "other"] = option("new", "a kind", aliases={"old": "new"})
    first: int | Literal["auto"] | None = option(None, "the first", minimum=0, maximum=9)
    wide: bool = option(False, "whether it is wide")


@dataclass(frozen=True)
class Derived(Plain):
    units: int = option_of(Plain, "units", 16)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("units", 0, "units is 0; it must be at least 1."),
        ("units", "many", "units is 'many'; it must be an integer."),
        ("rate", 0.0, "rate is 0.0; it must be greater than 0 and at most 1."),
        ("rate", math.nan, "rate is nan; it must be greater than 0 and at most 1."),
        ("kind", "third", 'kind is \'third\'; it must be "new" or "other".'),
        ("first", 10, 'first is 10; it must be "auto" or from 0 to 9.'),
        ("wide", "wide", "wide is 'wide'; it must be true or false."),
    ],
)
def test_a_value_outside_of_its_declaration_is_one_sentence(name, value, sentence):
    with pytest.raises(OptionError) as caught:
        with_settings(Derived(), {name: value})
    assert str(caught.value) == sentence


def test_values_at_the_border_are_taken_and_old_names_of_choices_are_read():
    made = Derived(units=1, rate=1, kind="old", first=9)
    assert made.kind == parse(Derived, "kind", "old") == "new"
    assert with_settings(Derived(), {"first": "auto"}).first == "auto"
    assert Derived().units == 16


def test_a_declaration_is_described_for_help_and_for_files():
    assert [value_syntax(Derived, name) for name in ("units", "rate", "kind", "first", "wide")] == [
        "<int >= 1>", "<0 < float <= 1>", "<new|other>", "<auto|0 <= int <= 9|none>", "<yes|no>",
    ]  # fmt: skip
    assert described(Derived, "units") == "an integer of at least 1"
    assert described(Derived, "first") == '"auto" or an integer from 0 to 9 or none'
    assert not Bounds()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("dropout = [0.5, 1.0]", "dropout is 1.0; it must be at least 0 and less than 1."),
        ("hidden_size = { low = 0, high = 8 }", "hidden_size is 0; it must be at least 1."),
        ('optimizer = ["rprop"]', "optimizer is 'rprop'"),
    ],
)
def test_a_search_space_is_held_to_the_declarations(text, sentence):
    with pytest.raises(OptionError) as caught:
        read_space(TASKS["ner"], text, "my.toml")
    assert str(caught.value).startswith(f"my.toml: {sentence}")


@pytest.mark.parametrize("task", TASKS)
def test_both_ends_of_each_default_range_make_options(task):
    kinds = (TASKS[task].Options(), TASKS[task].training)
    for name, part in default_space(TASKS[task]).parts.items():
        for value in (part.low, part.high) if isinstance(part, Range) else part.values:
            for options in kinds:
                with_settings(options, {name: value})
