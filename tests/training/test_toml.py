"""What ``to_toml`` writes, ``tomllib`` reads back as it was."""

import math
import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.errors import OptionError
from elman.training.toml import to_toml

text = st.text(st.characters(exclude_categories=["Cs"]))
plain = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | text
)  # fmt: skip
values = st.recursive(
    plain, lambda inner: st.lists(inner) | st.dictionaries(text, inner), max_leaves=8
)


@settings(deadline=None)
@given(st.dictionaries(text, values))
def test_a_table_comes_back_as_it_was(table: dict[str, Any]) -> None:
    back = tomllib.loads(to_toml(table))
    assert back == table
    assert repr(back) == repr({key: back[key] for key in back})
    assert kinds({key: back[key] for key in table}) == kinds(table)


def kinds(value: Any) -> Any:
    """The types within: true is not 1, and 1 is not 1.0."""
    if isinstance(value, dict):
        return {key: kinds(each) for key, each in value.items()}
    if isinstance(value, list):
        return [kinds(each) for each in value]
    return type(value)


def test_numbers_without_a_size_and_tuples_have_a_form() -> None:
    back = tomllib.loads(to_toml({"a": math.inf, "b": -math.inf, "c": math.nan, "d": (1, 2)}))
    assert (back["a"], back["b"], back["d"]) == (math.inf, -math.inf, [1, 2])
    assert math.isnan(back["c"])


def test_an_option_that_is_not_set_is_a_comment() -> None:
    written = to_toml({"max_minutes": None, "inner": {"a\nb": None}})
    assert written == '# max_minutes is not set\n\n[inner]\n# "a\\nb" is not set\n'
    assert tomllib.loads(written) == {"inner": {}}


def test_a_name_that_is_not_utf8_stays_readable() -> None:
    name = b"caf\xe9.csv".decode("utf-8", "surrogateescape")
    assert tomllib.loads(to_toml({"train": name})) == {"train": "caf\ufffd.csv"}


@pytest.mark.parametrize("value", [object, [None], {"inner": b"bytes"}])
def test_what_toml_cannot_hold_is_said(value: object) -> None:
    with pytest.raises(OptionError, match=r"^options\.\S+ is .*, which a run file cannot hold"):
        to_toml({"options": {"what": value}})
