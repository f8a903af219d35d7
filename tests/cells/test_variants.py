"""The language reaches beyond the catalogue: published variants run and differentiate."""

import pytest
import torch

from backends.gradient_check import check
from cells.variants import VARIANTS, no_peepholes
from elman.cells import layer_norm_lstm, lstm
from elman.graph import read_cell
from graph.plain import run
from graph.random_cells import numbers_away_from_kinks

pytestmark = pytest.mark.every_cell


@pytest.mark.parametrize(
    ("lengths", "reverse"),
    [(None, False), ((2, 4, 0), True)],
    ids=["whole", "ragged-reverse"],
)
@pytest.mark.parametrize("name", VARIANTS)
def test_values_and_gradients_of_the_variants(name, lengths, reverse):
    cell = VARIANTS[name]
    check(cell, numbers_away_from_kinks(cell, lengths=lengths, reverse=reverse))


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_survive_being_written_and_read(name):
    assert read_cell(VARIANTS[name].text) == VARIANTS[name]


def test_without_peepholes_the_lstm_is_the_lstm():
    assert no_peepholes.next_states == lstm.next_states


def test_full_gate_recurrence_hands_the_gates_on():
    cell = VARIANTS["full_gate_recurrence"]
    assert cell.states == ("h", "c", "i", "f", "o")
    assert str(cell).splitlines() == [
        "f' = σ(W.f · [i, f, o, h, x] + p.f * c + b.f)",
        "i' = σ(W.i · [i, f, o, h, x] + p.i * c + b.i)",
        "g = tanh(W.g · [h, x] + b.g)",
        "c' = f' * c + i' * g",
        "o' = σ(W.o · [i, f, o, h, x] + p.o * c' + b.o)",
        "h' = o' * tanh(c')",
    ]


def test_the_layer_normalised_lstm_normalises_over_its_units():
    numbers = numbers_away_from_kinks(layer_norm_lstm, hidden_size=5)
    P = {p.key: t for p, t in zip(layer_norm_lstm.parameters, numbers.parameters, strict=True)}
    h, c = numbers.states

    def normalise(a):
        centred = a - a.mean(-1, keepdim=True)
        return centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + 1e-5)

    for x in numbers.x:
        total = {
            k: P[f"p.{k}"] * normalise(h @ P[f"R.{k}"].T)
            + P[f"q.{k}"] * normalise(x @ P[f"W.{k}"].T)
            + P[f"b.{k}"]
            for k in "ifgo"
        }
        c = total["f"].sigmoid() * c + total["i"].sigmoid() * total["g"].tanh()
        h = total["o"].sigmoid() * torch.tanh(P["p.c"] * normalise(c) + P["b.c"])
    _, last = run(layer_norm_lstm, numbers)
    torch.testing.assert_close(last, [h, c], rtol=1e-10, atol=1e-12)


def test_exponential_gates_do_not_overflow():
    cell = VARIANTS["exponential_gates"]
    numbers = numbers_away_from_kinks(cell, time=30)
    large = numbers.with_tensors(
        [numbers.x, *numbers.states, *[40 * p for p in numbers.parameters]]
    )
    y, last = run(cell, large)
    assert all(t.isfinite().all() for t in (y, *last))
    assert last[3].abs().max() > 100  # exp of which float64 does hold, of 30 steps of which not
