"""The CTC loss against all alignments; padding, streaming and what cannot be learned."""

import itertools
import math

import pytest
import torch

import elman
from elman.decode.ctc import merge
from elman.errors import OptionError
from elman.models import Transcriber


def transcriber(symbols=4, frames_per_step=2, mels=3, layers=1, **options):
    torch.manual_seed(0)
    encoder = elman.Recurrent(elman.cells.lstm, frames_per_step * mels, 6, layers, **options)
    return Transcriber(encoder, symbols, frames_per_step=frames_per_step)


def test_the_loss_and_its_gradient_are_those_of_the_sum_over_all_alignments():
    model = transcriber()
    frames, lengths = torch.randn(11, 1, 3), torch.tensor([10])
    symbols = torch.tensor([[1], [1], [3]])
    loss = model.loss(frames, lengths, symbols, torch.tensor([3]))
    loss.backward()
    own = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    log_probs = model(frames, lengths).log_probs[:5, 0]
    paths = [p for p in itertools.product(range(4), repeat=5) if merge(p) == [1, 1, 3]]
    each = [sum(log_probs[t, s] for t, s in enumerate(path)) for path in paths]
    by_hand = -torch.logsumexp(torch.stack(each), 0) / 3
    by_hand.backward()
    assert math.isclose(loss.item(), by_hand.item(), rel_tol=1e-5)
    for mine, parameter in zip(own, model.parameters(), strict=True):
        torch.testing.assert_close(mine, parameter.grad, rtol=1e-3, atol=1e-6)


def test_padding_and_neighbours_never_change_a_sound():
    model = transcriber(layers=2)
    long, short = torch.randn(24, 1, 3), torch.randn(9, 1, 3)
    both = torch.full((24, 2, 3), 50.0)
    both[:, :1], both[:9, 1:] = long, short
    scores = model(both, torch.tensor([24, 9]))
    assert scores.lengths.tolist() == [12, 4]
    alone = model(short, torch.tensor([9])).log_probs
    torch.testing.assert_close(scores.log_probs[:4, 1], alone[:, 0], rtol=0, atol=1e-6)


def test_pieces_of_a_sound_give_what_the_whole_gives():
    model = transcriber(layers=3).eval()
    frames = torch.randn(60, 1, 3)
    state, found = None, []
    with torch.no_grad():
        for piece in frames.split([2, 8, 4, 20, 26]):
            log_probs, state = model.advance(piece, state)
            found.append(log_probs)
        whole = model(frames, torch.tensor([60])).log_probs
    torch.testing.assert_close(torch.cat(found), whole, rtol=0, atol=1e-6)


def test_a_row_with_more_symbols_than_steps_is_counted_and_teaches_nothing():
    model = transcriber()
    frames = torch.randn(8, 2, 3)
    symbols = torch.tensor([[1, 2], [2, 2], [3, 2], [0, 2]])
    loss = model.loss(frames, torch.tensor([8, 8]), symbols, torch.tensor([3, 4]))
    assert model.impossible == 1
    alone = model.loss(frames[:, :1], torch.tensor([8]), symbols[:3, :1], torch.tensor([3]))
    assert model.impossible == 1
    torch.testing.assert_close(loss, alone)


def test_frames_that_do_not_make_steps_and_a_model_that_cannot_stream_are_refused():
    with pytest.raises(OptionError, match="frames_per_step is 4, but the encoder reads 6"):
        Transcriber(elman.Recurrent(elman.cells.gru, 6, 4), 5, frames_per_step=4)
    with pytest.raises(OptionError, match="is bidirectional"):
        transcriber(bidirectional=True).advance(torch.randn(4, 1, 3), None)
