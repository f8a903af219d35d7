import pytest
import torch
from torch import nn

import elman
from elman.decode import Sampler, generate
from elman.errors import OptionError
from elman.models import Generator
from elman.nn.predictions import IndependentPitches, NextToken, OrderedPitches

LENGTHS = torch.tensor([6, 2, 0, 5])


def frames(seed=0, batch=4):
    return (torch.rand(7, batch, 5, generator=torch.Generator().manual_seed(seed)) < 0.3).float()


def model(head="ordered", cell=elman.cells.lstm, layers=1):
    torch.manual_seed(0)
    prediction = {
        "ordered": lambda: OrderedPitches(6, 5, 7),
        "independent": lambda: IndependentPitches(6, 5),
    }[head]()
    return Generator(nn.Identity(), elman.Recurrent(cell, 5, 6, layers), prediction)


@pytest.mark.parametrize("head", ["ordered", "independent"])
def test_the_loss_is_the_mean_over_steps_whatever_is_behind_a_row(head):
    made = model(head)
    x = frames()
    loss = made.loss(x[:-1], x[1:], LENGTHS)
    total = 0.0
    for row, length in enumerate(LENGTHS.tolist()):
        if length:
            y, _ = made.recurrent(x[:length, [row]])
            total -= made.prediction.log_prob(y, x[1 : length + 1, [row]]).sum()
    assert torch.allclose(loss, total / LENGTHS.sum(), atol=1e-5)
    other = frames(1)
    for row, length in enumerate(LENGTHS.tolist()):
        other[: length + 1, row] = x[: length + 1, row]
    assert torch.allclose(made.loss(other[:-1], other[1:], LENGTHS), loss, atol=1e-6)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "coupled_lstm"])
def test_step_by_step_is_the_whole_forward(cell):
    made = model(cell=elman.cells.CATALOGUE[cell], layers=2).eval()
    x = frames()
    with torch.no_grad():
        whole, last = made(x)
        state = None
        for t in range(len(x)):
            features, state = made.step(x[t], state)
            assert torch.allclose(features, whole[t], atol=1e-6)
        for a, b in zip(state, last, strict=True):
            assert torch.allclose(a, b, atol=1e-6)


def test_going_on_from_a_beginning_is_the_same_as_having_made_it():
    """A state after half a sequence goes on exactly as the one that came there by itself."""
    made = model().eval()
    with torch.no_grad():

        def draw(known):
            return made.draw(known, lambda logits: logits.argmax(-1))

        endless = generate(made.step, draw, torch.zeros(1, 5), None)
        alone = [next(endless) for _ in range(8)]
        beginning = torch.cat([torch.zeros(1, 1, 5), torch.stack(alone[:3])])
        _, state = made(beginning)
        # the state has read the third frame already, so what it follows is the fourth
        features, _ = made(beginning)
        fourth = draw(features[-1])
        rest = generate(made.step, draw, fourth, state)
        assert torch.equal(fourth, alone[3])
        for expected in alone[4:]:
            assert torch.equal(next(rest), expected)


def test_a_text_is_learned_and_made():
    text = torch.tensor([*b"to be or not to be "]) % 32
    torch.manual_seed(0)
    made = Generator(
        nn.Embedding(32, 8), elman.Recurrent(elman.cells.gru, 8, 24), NextToken(24, 32)
    )
    optimizer = torch.optim.Adam(made.parameters(), 0.03)
    for _ in range(80):
        optimizer.zero_grad()
        loss = made.loss(text[:-1, None], text[1:, None], torch.tensor([len(text) - 1]))
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    made.eval()
    with torch.no_grad():
        sampler = Sampler(temperature=0)
        written = generate(made.step, lambda known: made.draw(known, sampler), text[[0]], None)
        assert [int(next(written)) for _ in range(len(text) - 1)] == text[1:].tolist()


def test_a_generator_cannot_look_into_the_future():
    recurrent = elman.Recurrent(elman.cells.rnn, 5, 6, bidirectional=True)
    with pytest.raises(OptionError, match="bidirectional, but generation needs"):
        Generator(nn.Identity(), recurrent, NextToken(12, 3))
