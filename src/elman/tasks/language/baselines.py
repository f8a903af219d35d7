"""Baselines of language modelling: n-grams of tokens, without a network."""

from __future__ import annotations

import math
from collections.abc import Sequence

from elman.data.units import Units
from elman.tasks.language.data import token_ids
from elman.tasks.language.sections import Section
from elman.tasks.ngram_baseline import ngram_nll, spread_steps
from elman.training.baselines import Baseline

#: the orders that are scored, by unit
_ORDERS = {"characters": (1, 2, 5), "bytes": (1, 2, 5), "subwords": (1, 2, 3)}
_NAMES = {1: "unigram", 2: "bigram", 3: "trigram", 5: "5-gram"}


def baselines(train: Sequence[Section], valid: Sequence[Section], units: Units) -> list[Baseline]:
    """The bits per character of n-grams that have counted stretches of the training text."""
    counted, scored = [
        spread_steps([[int(token) for token in text[1:]] for text in token_ids(examples, units)])
        for examples in (train, valid)
    ]
    tokens = sum([len(steps) for steps in scored])
    if not tokens:
        return []
    characters = sum([len(units.decode(steps)) for steps in scored])
    bits = tokens / max(characters, 1) / math.log(2)
    uniform = 1 / len(units)
    return [
        Baseline(
            f"a {_NAMES[order]} of {units.kind}",
            bits * ngram_nll(order, counted, scored, lambda _: uniform),
            constant=order == 1,
        )
        for order in _ORDERS[units.kind]
    ]
