"""The transducer's loss against all alignments, published numbers and finite differences."""

import itertools
import math

import pytest
import torch

import elman
from elman.errors import OptionError, ShapeError
from elman.models import Transcriber, Transducer
from elman.models import transducer_loss as loss_module
from elman.models.transducer_loss import joint_columns, transducer_loss


def columns(time, batch, symbols, seed=0, dtype=torch.double):
    """Log probabilities of blanks and next symbols that no joint network restricts."""
    generator = torch.Generator().manual_seed(seed)
    shapes = (time, batch, symbols + 1), (time, batch, symbols)
    return [-torch.rand(shape, generator=generator, dtype=dtype) * 3 for shape in shapes]


def by_hand(blank, label, length, count):
    """log of the sum over alignments: in which order ``count`` symbols and the blanks come."""
    total = []
    # the last move is a blank; the symbols are anywhere before it
    for places in itertools.combinations(range(length + count - 1), count):
        t, u, score = 0, 0, 0.0
        for move in range(length + count):
            if move in places:
                score, u = score + label[t, u], u + 1
            else:
                score, t = score + blank[t, u], t + 1
        total.append(score)
    return torch.logsumexp(torch.stack(total), 0)


@pytest.mark.parametrize(("time", "symbols"), [(1, 0), (1, 3), (4, 0), (4, 1), (3, 4), (5, 3)])
def test_the_loss_and_its_gradient_are_those_of_the_sum_over_all_alignments(time, symbols):
    blank, label = [x.requires_grad_() for x in columns(time, 1, symbols)]
    loss = transducer_loss(blank, label, torch.tensor([time]), torch.tensor([symbols]))
    own = torch.autograd.grad(loss.sum(), (blank, label))
    expected = -by_hand(blank[:, 0], label[:, 0], time, symbols)
    wanted = torch.autograd.grad(expected, (blank, label), allow_unused=True)
    torch.testing.assert_close(loss[0], expected, rtol=1e-12, atol=1e-12)
    for mine, other in zip(own, wanted, strict=True):
        other = torch.zeros_like(mine) if other is None else other
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-12)


def test_the_loss_of_warp_transducer_s_example_is_the_published_one():
    # the values that warp-transducer (Naren 2018) and torchaudio test their losses with
    logits = torch.tensor(
        [
            [[0.1, 0.6, 0.1, 0.1, 0.1], [0.1, 0.1, 0.6, 0.1, 0.1], [0.1, 0.1, 0.2, 0.8, 0.1]],
            [[0.1, 0.6, 0.1, 0.1, 0.1], [0.1, 0.1, 0.2, 0.1, 0.1], [0.7, 0.1, 0.2, 0.1, 0.1]],
        ],
        requires_grad=True,
    )
    log_probs = logits.log_softmax(-1)[:, None]
    label = torch.stack([log_probs[:, :, 0, 1], log_probs[:, :, 1, 2]], -1)
    loss = transducer_loss(log_probs[..., 0], label, torch.tensor([2]), torch.tensor([2]))
    loss.sum().backward()
    assert loss.item() == pytest.approx(4.495666, abs=1e-6)
    expected = [
        [
            [-0.13116688, -0.3999269, 0.17703125, 0.17703125, 0.17703125],
            [-0.18572757, 0.12247056, -0.18168412, 0.12247056, 0.12247056],
            [-0.32091254, 0.06269141, 0.06928472, 0.12624499, 0.06269141],
        ],
        [
            [0.05456069, -0.21824276, 0.05456069, 0.05456069, 0.05456069],
            [0.12073959, 0.12073959, -0.48295835, 0.12073959, 0.12073959],
            [-0.6925882, 0.16871116, 0.18645467, 0.16871116, 0.16871116],
        ],
    ]
    torch.testing.assert_close(logits.grad, torch.tensor(expected), rtol=0, atol=1e-6)


def test_the_gradient_is_that_of_finite_differences_in_ragged_batches():
    blank, label = [x.requires_grad_() for x in columns(4, 3, 3)]
    lengths, counts = torch.tensor([4, 1, 3]), torch.tensor([2, 3, 0])
    assert torch.autograd.gradcheck(
        lambda a, b: transducer_loss(a, b, lengths, counts), (blank, label)
    )


def test_what_lies_beyond_a_row_s_steps_and_symbols_never_matters():
    blank, label = columns(6, 4, 4)
    lengths, counts = torch.tensor([6, 3, 1, 2]), torch.tensor([4, 1, 2, 0])
    together = transducer_loss(blank, label, lengths, counts)
    steps, position = torch.arange(6)[:, None, None], torch.arange(5)
    beyond = (steps >= lengths[:, None]) | (position > counts[:, None])
    spoilt = (
        blank.masked_fill(beyond, torch.nan),
        label.masked_fill(beyond[..., :4] | (position[:4] >= counts[:, None]), torch.nan),
    )
    for x in spoilt:
        x.requires_grad_()
    assert torch.equal(transducer_loss(*spoilt, lengths, counts), together)
    transducer_loss(*spoilt, lengths, counts).sum().backward()
    assert all(bool(x.grad.isfinite().all()) for x in spoilt)
    for row, (length, count) in enumerate(zip(lengths.tolist(), counts.tolist(), strict=True)):
        alone = -by_hand(blank[:, row], label[:, row], length, count)
        torch.testing.assert_close(together[row], alone)


def test_a_long_row_keeps_its_precision_in_float32():
    exact = columns(400, 1, 120, dtype=torch.double)
    lengths, counts = torch.tensor([400]), torch.tensor([120])
    rounded = [x.float().requires_grad_() for x in exact]
    exact = [x.detach().double().requires_grad_() for x in rounded]
    losses = [transducer_loss(*x, lengths, counts) for x in (rounded, exact)]
    for loss in losses:
        loss.sum().backward()
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-7)
    # each step has exactly one blank, which only a precise lattice shows
    per_step = -rounded[0].grad.sum((1, 2))
    torch.testing.assert_close(per_step, torch.ones(400), rtol=0, atol=1e-6)


def test_a_row_without_steps_has_no_alignment_and_an_impossible_one_no_gradient():
    blank, label = [x.requires_grad_() for x in columns(3, 3, 2)]
    with torch.no_grad():
        blank[:, 2] = -torch.inf
    lengths, counts = torch.tensor([0, 0, 3]), torch.tensor([1, 0, 2])
    losses = transducer_loss(blank, label, lengths, counts)
    assert losses.tolist() == [math.inf, 0.0, math.inf]
    losses.sum().backward()
    assert not blank.grad.any()
    assert not label.grad.any()


def test_tensors_that_do_not_match_are_a_sentence():
    blank, label = columns(3, 2, 2)
    both = torch.tensor([3, 3]), torch.tensor([2, 2])
    with pytest.raises(ShapeError, match=r"blank has the shape \(3, 2, 3\) and label \(3, 2, 1\)"):
        transducer_loss(blank, label[..., :1], *both)
    with pytest.raises(ShapeError, match=r"lengths must be 2 numbers from 0 to 3, .* \[4, 3\]"):
        transducer_loss(blank, label, torch.tensor([4, 3]), both[1])
    with pytest.raises(ShapeError, match="counts must be 2 numbers from 0 to 2"):
        transducer_loss(blank, label, both[0], torch.tensor([2, 3]))


@pytest.mark.parametrize("at_once", [1, 10_000])
def test_the_columns_are_those_of_the_joint_network_and_so_are_their_gradients(
    at_once, monkeypatch
):
    monkeypatch.setattr(loss_module, "_VALUES_AT_ONCE", at_once)
    generator = torch.Generator().manual_seed(0)
    shapes = (5, 2, 3), (4, 2, 3), (6, 3), (6,)
    tensors = [
        torch.randn(shape, generator=generator, dtype=torch.double).requires_grad_()
        for shape in shapes
    ]
    encoded, predicted, weight, bias = tensors
    symbols = torch.tensor([[1, 5], [1, 2], [3, 0]])
    # time batch position symbol
    hidden = torch.tanh(encoded[:, :, None] + predicted.transpose(0, 1))
    log_probs = torch.nn.functional.linear(hidden, weight, bias).log_softmax(-1)
    index = symbols.T[None, ..., None].expand(5, 2, 3, 1)
    expected = log_probs[..., 0], log_probs[:, :, :-1].gather(-1, index)[..., 0]
    for mine, other in zip(joint_columns(*tensors, symbols), expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(lambda *x: joint_columns(*x, symbols), tensors)


def transducer(symbols=5, frames_per_step=2, mels=3, layers=1, cell=elman.cells.gru, **options):
    torch.manual_seed(0)
    encoder = elman.Recurrent(elman.cells.lstm, frames_per_step * mels, 6, layers, **options)
    prediction = elman.Recurrent(cell, 4, 5)
    return Transducer(encoder, prediction, symbols, joint_size=7, frames_per_step=frames_per_step)


def test_the_model_s_loss_is_that_of_its_own_steps():
    model = transducer()
    frames, lengths = torch.randn(9, 2, 3), torch.tensor([9, 5])
    symbols, counts = torch.tensor([[1, 2], [4, 2], [3, 0]]), torch.tensor([3, 2])
    loss = model.loss(frames, lengths, symbols, counts)
    each = []
    for row in range(2):
        encoded, _ = model.advance(frames[: lengths[row], row : row + 1], None)
        said, state = [0, *symbols[: counts[row], row].tolist()], None
        log_probs = []  # position time symbol
        for symbol in said:
            predicted, state = model.predict(torch.tensor([symbol]), state)
            log_probs.append(model.joint(encoded, predicted)[:, 0])
        blank = torch.stack([x[:, 0] for x in log_probs], 1)
        pairs = zip(log_probs, said[1:], strict=False)
        label = torch.stack([x[:, symbol] for x, symbol in pairs], 1)
        each.append(-by_hand(blank, label, len(encoded), len(said) - 1) / (len(said) - 1))
    torch.testing.assert_close(loss, torch.stack(each).mean())


def test_ctc_beside_the_transducer_adds_its_loss_and_only_in_training():
    encoder = elman.Recurrent(elman.cells.gru, 6, 5)
    both = [
        Transducer(encoder, elman.Recurrent(elman.cells.gru, 4, 5), 5, ctc_weight=weight)
        for weight in (0.0, 0.3)
    ]
    both[1].load_state_dict(both[0].state_dict(), strict=False)
    transcriber = Transcriber(encoder, 5)
    transcriber.output = both[1].ctc
    frames, lengths = torch.randn(30, 2, 2), torch.tensor([30, 20])
    symbols, counts = torch.tensor([[1, 2], [4, 2], [3, 0]]), torch.tensor([3, 2])
    batch = (frames, lengths, symbols, counts)
    plain, weighed, ctc = [model.loss(*batch) for model in (*both, transcriber)]
    torch.testing.assert_close(weighed, plain + 0.3 * ctc)
    each = [model.losses(model(frames, lengths), symbols, counts) for model in both]
    assert torch.equal(*each)
    assert not any(name.startswith("ctc") for name in both[0].state_dict())


def test_every_parameter_learns_and_the_loss_goes_down():
    model = transducer(cell=elman.cells.lstm)
    frames, lengths = torch.randn(12, 2, 3), torch.tensor([12, 10])
    symbols, counts = torch.tensor([[1, 2], [4, 2], [3, 0]]), torch.tensor([3, 2])
    optimizer = torch.optim.Adam(model.parameters(), 0.03)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = model.loss(frames, lengths, symbols, counts)
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    assert losses[-1] < 0.05 * losses[0]
    assert all(bool(p.grad.any()) for p in model.parameters())
    assert not model.embedding.weight[0].any(), "the start is a vector of zeros"


def test_the_memory_for_the_backward_pass_does_not_grow_with_joint_size_or_symbols():
    torch.manual_seed(0)
    prediction = elman.Recurrent(elman.cells.gru, 4, 5)
    model = Transducer(elman.Recurrent(elman.cells.gru, 3, 6), prediction, 50, joint_size=64)
    frames, lengths = torch.randn(120, 2, 1), torch.tensor([120, 99])
    symbols, counts = torch.ones(30, 2, dtype=torch.int64), torch.tensor([30, 20])
    saved = {}

    def pack(x):
        saved[x.data_ptr()] = x.numel() * x.element_size()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        model.loss(frames, lengths, symbols, counts)
    nodes = 40 * 2 * 31
    # three values of eight bytes for each node of the skewed lattice, and what is not the lattice;
    # one value for each symbol at each node alone would be 200 bytes a node, the hidden 256
    assert sum(saved.values()) < 90 * nodes


def test_padding_and_neighbours_never_change_a_sound():
    model = transducer(layers=2)
    long, short = torch.randn(24, 1, 3), torch.randn(9, 1, 3)
    both = torch.full((24, 2, 3), 50.0)
    both[:, :1], both[:9, 1:] = long, short
    encoded = model(both, torch.tensor([24, 9]))
    assert encoded.lengths.tolist() == [12, 4]
    alone = model(short, torch.tensor([9]))
    torch.testing.assert_close(encoded.outputs[:4, 1], alone.outputs[:, 0], rtol=0, atol=1e-6)
    symbols = torch.tensor([[1, 2], [4, 3], [3, 0]])
    losses = model.losses(encoded, symbols, torch.tensor([3, 2]))
    own = model.losses(alone, symbols[:2, 1:], torch.tensor([2]))
    torch.testing.assert_close(losses[1:], own)


def test_pieces_of_a_sound_give_what_the_whole_gives():
    model = transducer(layers=3).eval()
    frames = torch.randn(60, 1, 3)
    state, found = None, []
    with torch.no_grad():
        for piece in frames.split([2, 8, 4, 20, 26]):
            outputs, state = model.advance(piece, state)
            found.append(outputs)
        whole = model(frames, torch.tensor([60])).outputs
    torch.testing.assert_close(torch.cat(found), whole, rtol=0, atol=1e-6)


def test_a_row_without_steps_is_counted_and_teaches_nothing():
    model = transducer()
    frames, symbols = torch.randn(8, 2, 3), torch.tensor([[1, 2], [2, 2]])
    loss = model.loss(frames, torch.tensor([8, 1]), symbols, torch.tensor([2, 1]))
    assert model.impossible == 1
    alone = model.loss(frames[:, :1], torch.tensor([8]), symbols[:, :1], torch.tensor([2]))
    torch.testing.assert_close(loss, alone)
    loss.backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters())


def test_what_does_not_fit_is_said():
    gru = elman.cells.gru
    with pytest.raises(OptionError, match="Transducer: frames_per_step is 4, but the encoder"):
        Transducer(elman.Recurrent(gru, 6, 4), elman.Recurrent(gru, 2, 2), 5, frames_per_step=4)
    both = elman.Recurrent(gru, 2, 2, bidirectional=True)
    with pytest.raises(OptionError, match="the prediction network is bidirectional"):
        Transducer(elman.Recurrent(gru, 6, 4), both, 5)
    with pytest.raises(OptionError, match="is bidirectional and needs the whole"):
        transducer(bidirectional=True).advance(torch.randn(4, 1, 3), None)
    with pytest.raises(ShapeError, match=r"symbols have the shape \(2, 2\)"):
        transducer().loss(
            torch.randn(4, 3, 3), torch.full((3,), 4), torch.ones(2, 2).long(), torch.ones(3)
        )
