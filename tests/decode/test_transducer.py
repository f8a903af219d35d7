"""The searches of a transducer against every text and every alignment; streams; steps of symbols."""

import itertools
import math

import numpy as np
import pytest
import torch

import elman
from elman.decode import GreedyTransducer, TransducerBeam, greedy_transducer, transducer_beam
from elman.errors import OptionError
from elman.models import Transducer
from elman.models.transducer_loss import transducer_loss


def network(seed=0, symbols=3, cell=elman.cells.lstm, layers=1, sharp=2.0):
    """A transducer with random weights, in evaluation."""
    torch.manual_seed(seed)
    encoder = elman.Recurrent(cell, 3, 6)
    model = Transducer(
        encoder, elman.Recurrent(cell, 3, 4, layers), symbols, joint_size=5, frames_per_step=1
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(sharp * torch.randn_like(parameter))
        model.embedding.weight[0] = 0
    return model.eval().requires_grad_(False)


def encode(model, time, seed=0, batch=1):
    generator = torch.Generator().manual_seed(seed)
    return model(torch.randn(time, batch, 3, generator=generator), torch.full((batch,), time))[0]


def tables(model, encoded, text):
    """The log probabilities (time, position, symbol) at all nodes of a text's lattice."""
    y, _ = model.prediction(model.embedding(torch.tensor([[0, *text]]).T))
    predicted = model.from_prediction(y[:, 0])
    return model.joint(encoded[:, None], predicted[None]).double().numpy()


def alignments(model, encoded, text, most):
    """(log probability, steps of the symbols) of all alignments with at most ``most`` a step."""
    table, time = tables(model, encoded, text), len(encoded)
    found = []
    for steps in itertools.combinations_with_replacement(range(time), len(text)):
        if max([steps.count(t) for t in range(time)], default=0) > most:
            continue
        score = sum([table[t, u, text[u]] for u, t in enumerate(steps)])
        score += sum([table[t, sum(s <= t for s in steps), 0] for t in range(time)])
        found.append((score, list(steps)))
    return found


def every_text(model, encoded, most):
    """The log probability of each text that the steps can hold."""
    symbols = range(1, model.output.out_features)
    for length in range(most * len(encoded) + 1):
        for text in itertools.product(symbols, repeat=length):
            ways = [score for score, _ in alignments(model, encoded, text, most)]
            yield text, float(np.logaddexp.reduce(ways))


class Likes:
    """A fusion by a table: what a symbol adds after the one before, and what an end adds."""

    def __init__(self, seed, symbols):
        self.table = np.random.default_rng(seed).standard_normal((symbols, symbols + 1))
        self.start = 0

    def extend(self, state, symbol):
        return symbol, float(self.table[state, symbol])

    def finish(self, state):
        return float(self.table[state, -1])

    def of(self, text):
        before = (0, *text)
        return (
            sum(self.table[a, b] for a, b in itertools.pairwise(before))
            + self.table[before[-1], -1]
        )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("fused", [False, True])
def test_a_wide_beam_finds_the_text_that_all_texts_show_to_be_best(seed, fused):
    model = network(seed)
    encoded = encode(model, 3, seed)
    fusion = Likes(seed, 3) if fused else None
    every = dict(every_text(model, encoded[:, 0], 2))
    best = max(every, key=lambda text: every[text] + (fusion.of(text) if fusion else 0))
    beam = TransducerBeam(model, 10_000, fusion=fusion, max_symbols=2, least=-math.inf)
    beam.advance(encoded[:, 0])
    found = beam.emitted()
    assert tuple(found.symbols) == tuple(beam.best()) == best
    _, steps = max(alignments(model, encoded[:, 0], best, 2))
    assert found.steps == steps
    table = tables(model, encoded[:, 0], best)
    scores = [table[t, u, best[u]] for u, t in enumerate(steps)]
    assert found.log_probs == pytest.approx(scores, abs=1e-5)
    # all texts of the beam have the probability of all their alignments
    assert len(beam._beams) == len(every)
    for prefix, paths in beam._beams.items():
        assert paths.total == pytest.approx(every[tuple(beam._below(prefix))], abs=1e-5)


def test_a_beam_that_may_emit_enough_at_a_step_has_the_probability_that_the_loss_has():
    model, text = network(3), [1, 2, 2]
    encoded = encode(model, 4)
    table = torch.from_numpy(tables(model, encoded[:, 0], text))[:, None]
    label = torch.stack([table[:, :, u, symbol] for u, symbol in enumerate(text)], -1)
    loss = transducer_loss(table[..., 0], label, torch.tensor([4]), torch.tensor([3]))
    beam = TransducerBeam(model, 10_000, max_symbols=3, least=-math.inf)
    beam.advance(encoded[:, 0])
    (total,) = [p.total for prefix, p in beam._beams.items() if beam._below(prefix) == text]
    assert total == pytest.approx(-loss.item(), abs=1e-5)


@pytest.mark.parametrize("layers", [1, 2])
def test_greedy_decoding_takes_the_best_choice_each_time_in_any_batch(layers):
    model = network(4, symbols=5, layers=layers)
    encoded, lengths = encode(model, 12, batch=4), torch.tensor([12, 0, 5, 9])
    found = greedy_transducer(model, encoded, lengths, max_symbols=2)
    for row, length in enumerate(lengths.tolist()):
        symbols, steps, scores = [], [], []
        predicted, state = model.predict(torch.tensor([0]))
        for t in range(length):
            for _ in range(2):
                score, best = model.joint(encoded[t, row : row + 1], predicted)[0].max(0)
                symbol = int(best)
                if symbol == 0:
                    break
                symbols.append(symbol)
                steps.append(t)
                scores.append(float(score))
                predicted, state = model.predict(torch.tensor([symbol]), state)
        assert (found[row].symbols, found[row].steps) == (symbols, steps)
        assert found[row].log_probs == pytest.approx(scores, abs=1e-5)
    assert len(found[0].symbols) > 3, "there must be something to compare"


@pytest.mark.parametrize("seed", [1, 3])  # two that say much; others say hardly anything
def test_a_search_fed_in_pieces_finds_the_same_and_settles_only_what_stays(seed):
    model = network(seed, symbols=5, sharp=1.5)
    encoded, fusion = encode(model, 90, seed)[:, 0], Likes(seed, 5)
    whole = transducer_beam(model, encoded, 6, fusion=fusion, max_symbols=2)
    greedy = GreedyTransducer(model, max_symbols=2)
    pieces, stable = TransducerBeam(model, 6, fusion=fusion, max_symbols=2), []
    draw, at = np.random.default_rng(seed), 0
    while at < len(encoded):
        size = draw.integers(0, 20)
        pieces.advance(encoded[at : at + size])
        greedy.advance(encoded[at : at + size, None])
        at += size
        now = pieces.stable()
        assert now[: len(stable)] == stable
        stable = now
    assert pieces.emitted() == whole
    assert whole.symbols[: len(stable)] == stable
    assert len(stable) > 0.5 * len(whole.symbols) > 10
    assert whole.steps == sorted(whole.steps)
    alone = greedy_transducer(model, encoded[:, None], torch.tensor([90]), max_symbols=2)
    assert greedy.emitted[0].symbols == alone[0].symbols
    assert greedy.emitted[0].steps == alone[0].steps


def test_a_wider_beam_finds_a_text_that_is_at_least_as_likely():
    for seed in range(3):
        model = network(seed, symbols=4, sharp=1.0)
        encoded = encode(model, 20, seed)[:, 0]
        totals = []
        for width in (1, 50):
            beam = TransducerBeam(model, width, max_symbols=3, least=-math.inf)
            beam.advance(encoded)
            text = beam.best()
            table = torch.from_numpy(tables(model, encoded, text))[:, None]
            label = [table[:, :, u, symbol] for u, symbol in enumerate(text)]
            label = torch.stack(label, -1) if label else table[..., :0, 0]
            counts = torch.tensor([len(text)])
            loss = transducer_loss(table[..., 0], label, torch.tensor([20]), counts)
            totals.append(-loss.item())
        assert totals[1] >= totals[0] - 1e-6


def test_a_beam_forgets_what_it_will_not_need():
    model = network(1, symbols=5, sharp=1.5)
    beam = TransducerBeam(model, 4, max_symbols=2)
    beam.advance(encode(model, 300)[:, 0])

    def count(prefix):
        return 1 + sum(count(child) for child in prefix.children.values())

    assert count(beam._root) < 32 * 4 * 2 * 5  # steps, texts, symbols a step, next symbols


def test_what_cannot_be_searched_is_said():
    model = network()
    with pytest.raises(OptionError, match="TransducerBeam: width is 0"):
        TransducerBeam(model, 0)
    with pytest.raises(OptionError, match="max_symbols is 0"):
        TransducerBeam(model, 2, max_symbols=0)
    with pytest.raises(OptionError, match="max_symbols is 0"):
        GreedyTransducer(model, max_symbols=0)
    assert transducer_beam(model, torch.zeros(0, 5), 2).symbols == []
    assert greedy_transducer(model, torch.zeros(0, 1, 5), torch.tensor([0]))[0].symbols == []
