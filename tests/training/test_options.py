"""Options say what is wrong with them, and explain themselves."""

import math
from dataclasses import fields

import pytest

from elman.errors import OptionError
from elman.options import with_settings
from elman.training.options import MAY_CHANGE, LoopOptions


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("batch_size", 0, "batch_size is 0; it must be at least 1."),
        ("epochs", -1, "epochs is -1; it must be at least 1."),
        ("patience", 0, "patience is 0; it must be at least 1."),
        ("seed", -1, "seed is -1; it must be at least 0."),
        ("learning_rate", 0.0, "learning_rate is 0.0; it must be greater than 0."),
        ("learning_rate", math.nan, "learning_rate is nan; it must be greater than 0."),
        ("weight_decay", math.nan, "weight_decay is nan; it must be at least 0."),
        ("max_minutes", 0, "max_minutes is 0; it must be greater than 0."),
        ("momentum", 1.0, "momentum is 1.0; it must be at least 0 and less than 1."),
        ("average_weights", 1.1, "average_weights is 1.1; it must be from 0 to 1."),
        ("average_from", -1, 'average_from is -1; it must be "plateau" or at least 0.'),
        ("l1", -0.1, "l1 is -0.1; it must be at least 0."),
        ("optimizer", "adm", "optimizer is 'adm'; it must be one of adamw, sgd."),
        (
            "schedule",
            "step",
            "schedule is 'step'; it must be one of constant, plateau, cosine, linear.",
        ),
        ("threads", 0, 'threads is 0; it must be "auto" or from 1 to 1024.'),
        ("threads", "all", "threads is 'all'; it must be \"auto\" or from 1 to 1024."),
    ],
)
def test_a_value_that_an_option_cannot_have_is_said(name: str, value: object, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        LoopOptions(**{name: value})  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_values_at_the_border_are_taken() -> None:
    LoopOptions(
        batch_size=1, epochs=1, patience=1, seed=0, max_minutes=0.001, momentum=0.0,
        clip_norm=math.inf, threads=1, checkpoint_seconds=0, min_learning_rate=0,
    )  # fmt: skip


def test_every_option_explains_itself() -> None:
    assert all(len(field.metadata["help"]) > 10 for field in fields(LoopOptions))


def test_adam_is_an_old_name_of_adamw() -> None:
    assert LoopOptions(optimizer="adam") == LoopOptions(optimizer="adamw")  # type: ignore[arg-type]
    assert with_settings(LoopOptions(), {"optimizer": "adam"}).optimizer == "adamw"


def test_only_options_that_exist_may_change() -> None:
    assert {field.name for field in fields(LoopOptions)} > MAY_CHANGE
