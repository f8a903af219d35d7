"""Gradients by distance: against theory, against torch's own, for any cell."""

import numpy as np
import pytest
import torch
from torch import nn

import elman
from elman import cell, sigmoid, tanh
from elman.diagnose import gradient_terms
from elman.diagnose.examination import _directions
from elman.diagnose.flow import follow_back, losses_of
from elman.diagnose.inside import visits
from elman.errors import OptionError, ShapeError

CELLS = tuple(elman.cells.CATALOGUE.values())
LENGTHS = (7, 3, 0, 5)


@cell(gates="h x")
def linear(x, h, *, W):
    """A linear system, whose Jacobian is the matrix W.h at every step."""
    h = W.h @ h + W.x @ x
    return h


@cell(gates="a b")
def three_states(x, a, b, c, *, W):
    """Three states that need each other; the second output is a delay."""
    new = tanh(W.a @ [a, c, x])
    kept = sigmoid(W.b @ [b, x]) * b + new
    return new, a, kept - c


each_cell = pytest.mark.parametrize("cell", [*CELLS, three_states], ids=lambda c: c.name)


def layer_of(a_cell, seed=0, **options):
    """A layer in float64 whose parameters are all drawn at random, biases too."""
    generator = torch.Generator().manual_seed(seed)
    layer = elman.Recurrent(a_cell, 3, 4, dtype=torch.float64, **options)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(0.6 * torch.randn(parameter.shape, generator=generator))
    return layer


def linear_layer(matrix):
    layer = elman.Recurrent(linear, 2, len(matrix), dtype=torch.float64)
    with torch.no_grad():
        layer.layers[0][0].W["h"].copy_(matrix)
    return layer


def normal(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("factor", [0.5, 0.93, 1.0, 1.2])
def test_a_linear_cell_has_the_decay_of_its_eigenvalues(factor):
    rotation, _ = torch.linalg.qr(normal(6, 6))
    found = elman.diagnose(linear_layer(factor * rotation), steps=60, batch=2)["linear"]
    expected = factor ** np.arange(61)
    # every singular value of the matrix is the factor, so it does not matter where a gradient points
    np.testing.assert_allclose(found.median("h"), expected, rtol=1e-10)
    np.testing.assert_allclose(found.rate, factor, rtol=1e-10)
    assert found.horizon("h") == (60 if factor >= 1 else int(np.log(0.1) / np.log(factor)))
    np.testing.assert_allclose(found.jacobians.spectral_radius, factor, rtol=1e-10)
    for values in (found.jacobians.largest, found.jacobians.smallest):
        np.testing.assert_allclose(values[:, 0], factor**found.jacobians.distances, rtol=1e-9)


def test_the_product_keeps_its_smallest_singular_value_far_below_rounding():
    rotation, _ = torch.linalg.qr(normal(3, 3))
    matrix = rotation @ torch.diag(torch.tensor([0.9, 0.6, 0.3], dtype=torch.float64)) @ rotation.T
    jacobians = elman.diagnose(linear_layer(matrix), steps=100)["linear"].jacobians
    np.testing.assert_allclose(jacobians.largest[-1], 0.9**100, rtol=1e-9)
    np.testing.assert_allclose(jacobians.smallest[-1], 0.3**100, rtol=1e-6)  # 5e-53 beside 3e-5


def test_a_jacobian_without_inverse_has_a_smallest_singular_value_of_zero():
    matrix = torch.diag(torch.tensor([0.5, 0.0], dtype=torch.float64))
    jacobians = elman.diagnose(linear_layer(matrix), steps=5)["linear"].jacobians
    assert (jacobians.smallest == 0).all()
    np.testing.assert_allclose(jacobians.largest[:, 0], 0.5**jacobians.distances)


def test_a_step_in_which_a_gradient_triples_is_said_to_explode():
    found = elman.diagnose(linear_layer(3 * torch.eye(2, dtype=torch.float64)), steps=4, batch=2)
    exploding = found["linear"].exploding
    assert sorted((each.sequence, each.step) for each in exploding) == [
        (b, t) for b in range(2) for t in range(4)
    ]
    assert all(each.factor == pytest.approx(3) for each in exploding)
    calm = elman.diagnose(linear_layer(1.9 * torch.eye(2, dtype=torch.float64)), steps=4)
    assert calm["linear"].exploding == ()


def state_gradients(layer, x, step, row, direction):
    """∂(direction · y⟨step⟩)/∂(each state) by torch: a list for the states that enter each step."""
    zeros = [torch.zeros(1, x.shape[1], 4, dtype=torch.float64) for _ in layer.cell.states]
    state, entering = tuple(zero.requires_grad_() for zero in zeros), []
    for t in range(step + 1):
        entering.append(state)
        y, state = layer.step(x[t], state)
    flat = [s for states in entering for s in states]
    output = (direction * y[row]).sum()
    found = torch.autograd.grad(output, flat, allow_unused=True, materialize_grads=True)
    count = len(zeros)
    return [[g[0, row] for g in found[k : k + count]] for k in range(0, len(found), count)]


@each_cell
def test_the_gradient_of_every_state_at_every_distance_is_torchs(cell):
    layer, x = layer_of(cell), normal(6, 2, 3)
    direction = normal(6, 2, 4, seed=2)
    found = elman.diagnose(layer, x=x, output_gradient=direction, losses=None, exact=0)[cell.name]
    assert sorted(zip(found.steps, found.sequences, strict=True)) == [
        (t, b) for t in range(6) for b in range(2)
    ]
    for loss, (t, b) in enumerate(zip(found.steps, found.sequences, strict=True)):
        by_torch = state_gradients(layer, x, t, b, direction[t, b])
        for s, state in enumerate(cell.states):
            values = found.gradient[state][:, loss]
            expected = [g[s].norm() / direction[t, b].norm() for g in reversed(by_torch)]
            np.testing.assert_allclose(values[1 : t + 2], expected, rtol=1e-9, atol=1e-12)
            assert values[0] == pytest.approx(1 if s == 0 else 0)
            assert np.isnan(values[t + 2 :]).all()  # the sequence has no steps there


@each_cell
def test_the_terms_by_distance_add_up_to_the_gradient_of_every_parameter(cell):
    layer, x, weights = layer_of(cell), normal(7, 4, 3), normal(7, 4, 4, seed=2)
    (weights * layer(x, lengths=LENGTHS)[0]).sum().backward()
    terms = gradient_terms(layer, x, weights, lengths=LENGTHS)
    for p in cell.parameters:
        expected = layer.get_parameter(f"layers.0.0.{p.key}").grad
        assert terms[p.key].shape == (7, *expected.shape)
        torch.testing.assert_close(terms[p.key].sum(0), expected, rtol=1e-10, atol=1e-10)
        norms = elman.diagnose(
            layer, x=x, output_gradient=weights, lengths=LENGTHS, losses=None, exact=0
        )[cell.name].terms[p.key]
        np.testing.assert_allclose(norms, terms[p.key].flatten(1).norm(dim=1), rtol=1e-10)


def test_terms_cut_at_a_distance_are_the_first_ones():
    layer, x, weights = layer_of(elman.cells.gru), normal(7, 2, 3), normal(7, 2, 4, seed=2)
    whole, cut = (gradient_terms(layer, x, weights, distance=d) for d in (None, 2))
    assert all(torch.equal(cut[key], whole[key][:3]) for key in whole)


class Stacked(nn.Module):
    """Two layers in both directions with something before and after them."""

    def __init__(self):
        super().__init__()
        self.before = nn.Linear(3, 3, dtype=torch.float64)
        self.encoder = layer_of(elman.cells.lstm, num_layers=2, bidirectional=True)
        self.after = nn.Linear(8, 1, dtype=torch.float64)

    def loss(self, x, lengths):
        y, _ = self.encoder(self.before(x), lengths=lengths)
        return self.after(y).tanh().square().sum()


def test_in_a_model_the_terms_of_all_layers_and_directions_are_its_gradients():
    model, x, lengths = Stacked(), normal(7, 4, 3), torch.tensor(LENGTHS)
    [(name, visit)] = visits(model, lambda: model.loss(x, lengths)).items()
    assert name == "encoder"
    assert model.after.weight.grad is None  # looking leaves no traces
    model.loss(x, lengths).backward()
    for k, (place, trajectory, gradient) in enumerate(_directions(visit)):
        assert place == f"layer {k // 2 + 1} {('forward', 'reverse')[k % 2]}"
        arrivals = follow_back(trajectory, losses_of(trajectory, gradient, None, 0), 7)
        terms = [arrival.parameters for arrival in arrivals if arrival.parameters]
        totals = [sum(of_one) for of_one in zip(*terms, strict=True)]
        for p, total in zip(visit.layer.cell.parameters, totals, strict=True):
            expected = model.encoder.get_parameter(f"layers.{k // 2}.{k % 2}.{p.key}").grad
            torch.testing.assert_close(total, expected, rtol=1e-9, atol=1e-10)


class StepByStep(nn.Module):
    """A decoder: what it reads depends on what it put out."""

    def __init__(self):
        super().__init__()
        self.cell = layer_of(elman.cells.gru)
        self.back = nn.Linear(4, 3, dtype=torch.float64)

    def loss(self, x):
        state, total = None, 0.0
        for x_t in x:
            y, state = self.cell.step(x_t, state)
            total = total + self.back(y).square().sum()
        return total


def test_the_steps_of_a_decoder_are_one_sequence():
    model, x = StepByStep(), normal(6, 2, 3)
    found = elman.diagnose(model, loss=lambda: model.loss(x), exact=0, losses=None)
    whole = elman.diagnose(
        model.cell, x=x, losses=None, exact=0,
        output_gradient=2 * model.back(model.cell(x)[0]).detach() @ model.back.weight.detach(),
    )  # fmt: skip
    np.testing.assert_allclose(found["cell"].whole, whole["gru"].whole, rtol=1e-10)


def test_rows_of_other_lengths_change_nothing():
    layer, x = layer_of(elman.cells.lstm), normal(7, 4, 3)
    weights = normal(7, 4, 4, seed=2)
    options = {"losses": None, "exact": 0}
    ragged = elman.diagnose(layer, x=x, lengths=LENGTHS, output_gradient=weights, **options)["lstm"]
    for b, length in enumerate(LENGTHS):
        if length:
            part = (slice(0, length), slice(b, b + 1))
            alone = elman.diagnose(layer, x=x[part], output_gradient=weights[part], **options)
            mine = ragged.gradient["c"][: length + 1, ragged.sequences == b]
            np.testing.assert_allclose(mine, alone["lstm"].gradient["c"], rtol=1e-10)


def test_the_reverse_direction_is_the_forward_one_on_the_sequence_turned_round():
    both = layer_of(elman.cells.gru, bidirectional=True)
    one = elman.Recurrent(elman.cells.gru, 3, 4, dtype=torch.float64)
    one.load_state_dict(
        {k.replace("0.1", "0.0"): v for k, v in both.state_dict().items() if ".0.1." in k}
    )
    x, weights = normal(6, 2, 3), normal(6, 2, 8, seed=2)
    found = elman.diagnose(both, x=x, output_gradient=weights)["gru reverse"]
    alone = elman.diagnose(one, x=x.flip(0), output_gradient=weights[..., 4:].flip(0))["gru"]
    np.testing.assert_allclose(found.whole, alone.whole, rtol=1e-10)


def test_batch_first_and_unbatched_inputs_are_the_same_sequences():
    layer, x, weights = layer_of(elman.cells.gru), normal(6, 1, 3), normal(6, 1, 4, seed=2)
    first = layer_of(elman.cells.gru, batch_first=True)
    wholes = [
        elman.diagnose(own, x=x_, output_gradient=w, exact=0)["gru"].whole
        for own, x_, w in (
            (layer, x, weights),
            (layer, x[:, 0], weights[:, 0]),
            (first, x.transpose(0, 1), weights.transpose(0, 1)),
        )
    ]
    assert np.array_equal(wholes[0], wholes[1], equal_nan=True)
    assert np.array_equal(wholes[0], wholes[2], equal_nan=True)
    assert elman.diagnose(first, steps=5, batch=2)["gru"].distance == 5


def test_the_same_seed_gives_the_same_numbers():
    one, two, other = (elman.diagnose(elman.cells.rnn, steps=9, seed=s)["rnn"] for s in (1, 1, 2))
    assert np.array_equal(one.whole, two.whole, equal_nan=True)
    assert not np.array_equal(one.whole, other.whole, equal_nan=True)


def test_mistakes_are_sentences():
    layer = layer_of(elman.cells.rnn)
    for wrong, message in [
        (lambda: elman.diagnose(), "diagnose: there is nothing to diagnose"),
        (lambda: elman.diagnose(elman.cells.rnn, steps=0), "steps is 0; it must be at least 1"),
        (lambda: elman.diagnose(nn.Linear(2, 2)), "Linear is neither a cell nor a Recurrent"),
        (
            lambda: elman.diagnose(nn.Linear(2, 2), loss=lambda: torch.ones(1, requires_grad=True)),
            "no Recurrent in this Linear received",
        ),
        (lambda: elman.diagnose(elman.cells.rnn, loss=lambda: None), "rnn is a cell and has no"),
        (
            lambda: elman.diagnose(layer, x=normal(3, 2, 3), lengths=[0, 0]),
            "the loss does not depend on the layer's outputs",
        ),
        (
            lambda: gradient_terms(layer_of(elman.cells.rnn, num_layers=2), normal(3, 2, 3), None),
            "several layers or directions",
        ),
    ]:
        with pytest.raises(OptionError, match=message):
            wrong()
    for options, message in [
        ({"x": normal(3, 2, 5)}, "x ends in 5 features, but input_size is 3"),
        ({"x": normal(3, 2, 3), "lengths": [1, 4]}, r"lengths are \[1, 4\]; pass 2 lengths"),
        ({"x": normal(3, 2, 3), "output_gradient": normal(3, 2, 3)}, r"have \(3, 2, 4\)"),
    ]:
        with pytest.raises(ShapeError, match=message):
            elman.diagnose(layer, **options)
