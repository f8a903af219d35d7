"""Step by step without gradients: the fast way is the whole sequence's, bit for bit, each time."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.nn.utils import parameters_to_vector, vector_to_parameters

import elman
from cells.variants import EDGES, VARIANTS
from elman.backends.native import tuning
from elman.cells import CATALOGUE

INPUT, HIDDEN = 5, 11
CELLS = {**CATALOGUE, **VARIANTS, **EDGES}


def layer_of(name, **options):
    torch.manual_seed(0)
    return elman.Recurrent(CELLS[name], INPUT, HIDDEN, **options).eval()


def walk(layer, x, state):
    outputs = []
    for x_t in x:
        y, state = layer.step(x_t, state)
        outputs.append(y)
    return torch.stack(outputs), state


def assert_walks(layer, x, state=None):
    with torch.no_grad():
        y, last = layer(x, state)
        found, found_last = walk(layer, x, state)
    assert torch.equal(found, y)
    for a, b in zip(found_last, last, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("name", "batch"), [*[(name, 1) for name in CELLS], ("lstm", 3), ("layer_norm_lstm", 3)]
)
def test_every_cell_steps_as_it_runs(name, batch):
    layer = layer_of(name, num_layers=2)
    state = tuple([torch.randn(2, batch, HIDDEN) for _ in layer.cell.states])
    assert_walks(layer, torch.randn(5, batch, INPUT), state)


def test_results_stay_as_they_were_over_many_blocks():
    layer = layer_of("lstm")
    assert_walks(layer, torch.randn(2 * tuning.STEPS_PER_BLOCK + 3, 2, INPUT))


def test_a_step_may_go_on_from_any_state():
    layer = layer_of("gru")
    x, (first, second) = torch.randn(2, INPUT), torch.randn(2, 1, 2, HIDDEN)
    with torch.no_grad():
        for k in range(2 * tuning.STEPS_PER_BLOCK):
            y, (h,) = layer.step(x, (first if k % 3 else second,))
            if k % 5 == 0:
                again, _ = layer.step(x, (h,))
                assert torch.equal(again, layer(x[None], (h,))[0][0])
            assert torch.equal(y, layer(x[None], (first if k % 3 else second,))[0][0])
        strided = second.mT.contiguous().mT
        assert torch.equal(layer.step(x, (strided,))[0], layer.step(x, (second,))[0])


def test_a_state_that_is_changed_in_place_is_read_as_it_is():
    layer = layer_of("lstm")
    x = torch.randn(1, INPUT)
    with torch.no_grad():
        _, state = layer.step(x)
        for tensor in state:
            tensor.mul_(-2)
        expected, _ = layer(x[None], state)
        assert torch.equal(layer.step(x, state)[0], expected[0])


def replaced(layer):
    return {key: 0.5 * value for key, value in layer.state_dict().items()}


def give_other_data(layer):
    for parameter in layer.parameters():
        parameter.data = 0.5 * parameter.data


CHANGES = {
    "in place": lambda layer: [p.mul_(0.5) for p in layer.parameters()],
    "loaded": lambda layer: layer.load_state_dict(replaced(layer)),
    "assigned": lambda layer: layer.load_state_dict(replaced(layer), assign=True),
    "assigned from above": lambda layer: torch.nn.Sequential(layer).load_state_dict(
        {f"0.{key}": value for key, value in replaced(layer).items()}, assign=True
    ),
    "other data": give_other_data,
    "from a vector": lambda layer: vector_to_parameters(
        0.5 * parameters_to_vector(layer.parameters()), layer.parameters()
    ),
    "another type": lambda layer: layer.double(),
    "drawn again": lambda layer: layer.reset_parameters(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changed_weights_are_seen_by_the_next_step(change):
    layer = layer_of("lstm", num_layers=2)
    x = torch.randn(3, INPUT)
    with torch.no_grad():
        before, state = layer.step(x)
        change(layer)
        x, state = x.to(next(layer.parameters())), [s.to(next(layer.parameters())) for s in state]
        found, _ = layer.step(x, tuple(state))
        assert torch.equal(found, layer(x[None], tuple(state))[0][0])
        assert not torch.equal(layer.step(x)[0], before)


def test_an_optimizers_step_is_seen():
    layer = layer_of("gru")
    x = torch.randn(2, INPUT)
    optimizer = torch.optim.SGD(layer.parameters(), 0.1)
    for _ in range(3):
        with torch.no_grad():
            assert torch.equal(layer.step(x)[0], layer(x[None])[0][0])
        layer.step(x)[0].sum().backward()
        optimizer.step()


def test_batches_types_and_strides_may_change_from_step_to_step():
    layer = layer_of("lstm")
    with torch.no_grad():
        for batch in (1, 4, 1, 2):
            x = torch.randn(batch, INPUT)
            strided = torch.stack([x, x], -1)[..., 0]
            assert torch.equal(layer.step(strided)[0], layer(x[None])[0][0])
            assert torch.equal(layer.step(x)[0], layer(x[None])[0][0])


def test_threads_may_step_one_layer():
    layer, alone = layer_of("lstm"), layer_of("lstm")
    sequences = torch.randn(4, 100, 1, INPUT)

    def run(x):
        with torch.no_grad():
            return walk(layer, x, None)[0]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(run, sequences))
    with torch.no_grad():
        for x, y in zip(sequences, found, strict=True):
            assert torch.equal(alone(x)[0], y)


def test_a_copy_steps_by_its_own_weights():
    layer = layer_of("lstm")
    x = torch.randn(1, INPUT)
    with torch.no_grad():
        before = layer.step(x)[0]
        twin = copy.deepcopy(layer)
        CHANGES["in place"](twin)
        assert torch.equal(layer.step(x)[0], before)
        assert torch.equal(twin.step(x)[0], twin(x[None])[0][0])
        assert not torch.equal(twin.step(x)[0], before)
