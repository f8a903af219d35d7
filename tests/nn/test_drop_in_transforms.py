"""torch.func on elman.nn's layers: the values of torch.nn, which cannot map its layers itself."""

import pytest
import torch
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, stack_module_state, vmap

import elman
from nn.test_drop_in import BATCH, INPUT, KINDS, TIME, build, numbers

X = numbers(TIME, BATCH, INPUT)


def loss(layer, parameters, x):
    y, state = functional_call(layer, parameters, (x,))
    states = state if isinstance(state, tuple) else (state,)
    return y.sin().sum() + sum(each.square().sum() for each in states)


def parameters_of(layer):
    return {name: p.detach() for name, p in layer.named_parameters()}


def gradients(layer):
    return grad(loss, argnums=(1, 2))(layer, parameters_of(layer), X)


def jacobian_by_rows(layer):
    return jacrev(lambda p: functional_call(layer, p, (X,))[0])(parameters_of(layer))


def jacobian_by_columns(layer):
    return jacfwd(lambda x: layer(x)[0])(X)


def directional_derivative(layer):
    parameters = parameters_of(layer)
    tangents = {name: numbers(*p.shape, seed=3) for name, p in parameters.items()}
    return jvp(lambda p, x: functional_call(layer, p, (x,))[0], (parameters, X), (tangents, X))


def second_derivatives(layer):
    return hessian(lambda w: loss(layer, parameters_of(layer) | {"weight_hh_l0": w}, X))(
        layer.weight_hh_l0.detach()
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "way",
    [
        gradients, jacobian_by_rows, jacobian_by_columns, directional_derivative,
        second_derivatives,
    ],
    ids=lambda way: way.__name__,
)  # fmt: skip
def test_a_transform_gives_torchs_values(way, kind):
    options = {"num_layers": 2, "bidirectional": True}
    ours, theirs = [way(build(nn, kind, **options)) for nn in (elman.nn, torch.nn)]
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_are_mapped(kind):
    ours, theirs = [build(nn, kind) for nn in (elman.nn, torch.nn)]
    inputs = numbers(3, TIME, BATCH, INPUT)
    expected = torch.stack([theirs(x)[0] for x in inputs])
    torch.testing.assert_close(vmap(lambda x: ours(x)[0])(inputs), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_of_an_ensemble_are_mapped(kind):
    members = [build(elman.nn, kind) for _ in range(3)]
    for k, member in enumerate(members):
        member.weight_hh_l0.data.mul_(k)
    theirs = build(torch.nn, kind)
    parameters, buffers = stack_module_state(members)
    found = vmap(lambda p: functional_call(members[0], (p, buffers), (X,))[0])(parameters)
    for k, member in enumerate(members):
        theirs.load_state_dict(member.state_dict())
        torch.testing.assert_close(found[k], theirs(X)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_each_row(kind):
    ours, theirs = [build(nn, kind) for nn in (elman.nn, torch.nn)]
    parameters = parameters_of(ours)
    rows = X.transpose(0, 1).unsqueeze(2)  # batch time 1 input
    found = vmap(lambda x: grad(loss, argnums=1)(ours, parameters, x))(rows)
    for k, row in enumerate(rows):
        expected = grad(loss, argnums=1)(theirs, parameters, row)
        torch.testing.assert_close({name: g[k] for name, g in found.items()}, expected)
