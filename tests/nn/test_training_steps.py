"""Steps with gradients agree with whole sequences, bit by bit, and take the fast path."""

import copy
import gc
import io
import threading
import weakref

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import elman
from cells.variants import EDGES, VARIANTS
from elman.backends.native import training_steps
from elman.cells import CATALOGUE, WITH_SIZES
from elman.nn.side_inputs import early_of

TIME, BATCH, INPUT, HIDDEN = 5, 3, 4, 6

#: cells whose steps are one kernel's: nothing is computed before them
PLAIN = [
    c
    for c in [*CATALOGUE.values(), *VARIANTS.values(), *EDGES.values()]
    if not (c.inputs or c.has_memory or c.own_sizes or early_of(c))
]


@pytest.fixture
def steps(monkeypatch):
    """The names of the calls of the fast path."""
    found = []

    def spied(name):
        original = getattr(training_steps.TrainingSteps, name)

        def call(self, *args, **kwargs):
            found.append(name)
            return original(self, *args, **kwargs)

        monkeypatch.setattr(training_steps.TrainingSteps, name, call)

    spied("forward")
    spied("backward")
    return found


@pytest.fixture(autouse=True)
def _uninitialised_memory_is_nan():
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def layer_of(cell=elman.cells.lstm, **options):
    torch.manual_seed(0)
    options.setdefault("dtype", torch.float64)
    layer = elman.Recurrent(cell, INPUT, HIDDEN, **options)
    for p in layer.parameters():
        nn.init.normal_(p, std=0.5)
    return layer


def inputs(dtype=torch.float64, **options):
    torch.manual_seed(1)
    return torch.randn(TIME, BATCH, INPUT, dtype=dtype, **options)


def run_steps(layer, x, state=None):
    outputs = []
    for each in x:
        y, state = layer.step(each, state)
        outputs.append(y)
    return torch.stack(outputs), state


def loss_of(y, state):
    weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)
    return (y * weights).sin().sum() + sum([s.cos().sum() for s in state])


def gradients(layer, run, x, *others):
    y, state = run(x)
    wanted = [x, *others, *[p for p in layer.parameters() if p.requires_grad]]
    found = torch.autograd.grad(
        loss_of(y, state), wanted, allow_unused=True, materialize_grads=True
    )
    return y, state, found


def assert_same(layer, x, *, rtol=1e-12, atol=1e-12):
    y, state, found = gradients(layer, lambda x: run_steps(layer, x), x)
    whole, last, wanted = gradients(layer, layer, x)
    assert torch.equal(y, whole)
    assert all(map(torch.equal, state, last))
    torch.testing.assert_close(found, wanted, rtol=rtol, atol=atol)


@pytest.mark.thinned(2)
@pytest.mark.parametrize("cell", PLAIN, ids=lambda c: c.name)
@pytest.mark.parametrize("depth", [1, 3])
def test_values_and_gradients_are_those_of_the_whole_sequence(cell, depth):
    if depth > 1 and any([p.size == "input" for p in cell.parameters if p.kind == "vector"]):
        pytest.skip("the cell has a vector of x's size")
    layer = layer_of(cell, num_layers=depth)
    x = inputs(requires_grad=True)
    assert_same(layer, x)


@pytest.mark.parametrize("cell", WITH_SIZES.values(), ids=lambda c: c.name)
@pytest.mark.parametrize("depth", [1, 2])
def test_sizes_of_their_own(cell, depth, steps):
    sizes = dict.fromkeys(cell.own_sizes, 3)
    assert_same(layer_of(cell, num_layers=depth, sizes=sizes), inputs(requires_grad=True))
    assert steps == ["forward"] * TIME + ["backward"] * TIME


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_fast_path_is_taken(dtype, steps):
    layer, x = layer_of(dtype=dtype), inputs(dtype)
    y, state = run_steps(layer, x)
    loss_of(y, state).backward()
    assert steps == ["forward"] * TIME + ["backward"] * TIME
    found = [p.grad for p in layer.parameters()]
    layer.zero_grad()
    loss_of(*layer(x)).backward()
    near = 1e-4 if dtype is torch.float32 else 1e-12
    torch.testing.assert_close(found, [p.grad for p in layer.parameters()], rtol=near, atol=near)


def test_two_threads_of_a_large_step(steps):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        layer = elman.Recurrent(elman.cells.gru, 64, 96, 2, dtype=torch.float64)
        x = torch.randn(3, 80, 64, dtype=torch.float64, requires_grad=True)
        assert_same(layer, x, rtol=1e-10, atol=1e-10)
    finally:
        torch.set_num_threads(threads)
    assert len(steps) == 6


def test_an_initial_state_with_gradients(steps):
    layer, x = layer_of(num_layers=2), inputs(requires_grad=True)
    state = tuple([torch.randn(2, BATCH, HIDDEN, dtype=x.dtype, requires_grad=True) for _ in "hc"])
    _, _, found = gradients(layer, lambda x: run_steps(layer, x, state), x, *state)
    _, _, wanted = gradients(layer, lambda x: layer(x, state), x, *state)
    torch.testing.assert_close(found, wanted)
    assert len(steps) == 2 * TIME


def test_only_the_middle_step_has_a_loss(steps):
    layer, x = layer_of(), inputs(requires_grad=True)
    y, _ = run_steps(layer, x)
    found = torch.autograd.grad(y[2].sin().sum(), [x, *layer.parameters()])
    wanted = torch.autograd.grad(layer(x)[0][2].sin().sum(), [x, *layer.parameters()])
    torch.testing.assert_close(found, wanted)


def test_two_backwards_through_one_graph():
    layer, x = layer_of(), inputs()
    y, state = run_steps(layer, x)
    first = torch.autograd.grad(y.sin().sum(), [*layer.parameters()], retain_graph=True)
    second = torch.autograd.grad(loss_of(y, state), [*layer.parameters()], retain_graph=True)
    again = torch.autograd.grad(y.sin().sum(), [*layer.parameters()])
    assert all(map(torch.equal, first, again))
    wanted = torch.autograd.grad(loss_of(*layer(x)), [*layer.parameters()])
    torch.testing.assert_close(second, wanted)


def test_branches_from_one_state(steps):
    layer, x = layer_of(), inputs()

    def branched(step):
        _, start = step(x[0], None)
        ends = [step(x[k], start) for k in (1, 2, 3)]
        more = step(x[4], ends[1][1])
        return sum([(k + 1) * y.sin().sum() for k, (y, _) in enumerate([*ends, more])])

    def whole(x, state):
        y, state = layer(x[None], state)
        return y[0], state

    found = torch.autograd.grad(branched(layer.step), [*layer.parameters()])
    assert len(steps) == 10
    wanted = torch.autograd.grad(branched(whole), [*layer.parameters()])
    torch.testing.assert_close(found, wanted)


def test_two_sequences_before_one_backward():
    layer, x = layer_of(), inputs()
    first, second = run_steps(layer, x)[0], run_steps(layer, x.flip(0))[0]
    found = torch.autograd.grad((first.sin() + second.cos()).sum(), [*layer.parameters()])
    both = (layer(x)[0].sin() + layer(x.flip(0))[0].cos()).sum()
    torch.testing.assert_close(found, torch.autograd.grad(both, [*layer.parameters()]))


def test_training_at_every_step_as_with_whole_sequences():
    """Truncated after each step, with an optimiser's step in between."""
    ours, other = layer_of(), layer_of()
    x = inputs()
    ends = []
    for layer, step in ((ours, ours.step), (other, lambda x, s: other(x[None], s))):
        optimiser, state = torch.optim.Adam(layer.parameters(), 0.05), None
        for each in x:
            y, state = step(each, state)
            optimiser.zero_grad()
            y.sin().sum().backward()
            optimiser.step()
            state = elman.detached(state)
        ends.append([*layer.parameters()])
    torch.testing.assert_close(*ends, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.data.mul_(2),
        lambda p: p.detach().numpy().__imul__(2),
        lambda p: setattr(p, "data", p.data * 2),
    ],
    ids=["data", "numpy", "replaced data"],
)
def test_changed_weights_are_seen(change):
    layer, x = layer_of(), inputs()
    run_steps(layer, x)
    for p in layer.parameters():
        change(p)
    assert_same(layer, inputs(requires_grad=True))


def test_a_replaced_parameter_is_seen():
    layer, x = layer_of(), inputs(requires_grad=True)
    run_steps(layer, x)
    direction = layer.layers[0][0]
    direction.W["f"] = nn.Parameter(torch.randn_like(direction.W["f"]))
    assert_same(layer, x)


def test_weights_changed_before_backward_are_refused():
    layer, x = layer_of(), inputs(requires_grad=True)
    y, _ = run_steps(layer, x)
    with torch.no_grad():
        layer.layers[0][0].W["f"].mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
    y, _ = run_steps(layer, x)
    y.sum().backward()  # the layer is as it was


def test_values_changed_before_backward_are_refused():
    layer, x = layer_of(), inputs()
    y, state = layer.step(x[0])
    with torch.no_grad():
        y.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        sum([s.sum() for s in state]).backward()


def test_frozen_and_other_parameters(steps):
    layer, x = layer_of(), inputs(requires_grad=True)
    for k, p in enumerate(layer.parameters()):
        p.requires_grad_(k % 2 == 0)
    assert_same(layer, x)
    loss_of(*run_steps(layer, x)).backward()
    assert [p.grad is not None for p in layer.parameters()] == [
        p.requires_grad for p in layer.parameters()
    ]
    for p in layer.parameters():
        p.requires_grad_(False)
    assert_same(layer, x)
    assert len(steps) == 6 * TIME
    for p in layer.parameters():
        p.requires_grad_(True)
    assert_same(layer, x)


def test_a_parameter_that_needs_gradients_again_has_them():
    layer, x = layer_of(), inputs()
    state = tuple([torch.randn(1, BATCH, HIDDEN, dtype=x.dtype, requires_grad=True) for _ in "hc"])
    layer.step(x[0])
    layer.step(x[0], state)
    first = layer.layers[0][0].W["f"]
    first.requires_grad_(False)
    layer.step(x[0])
    first.requires_grad_(True)
    (found,) = torch.autograd.grad(layer.step(x[0], state)[0].sin().sum(), [first])
    (wanted,) = torch.autograd.grad(layer(x[:1], state)[0].sin().sum(), [first])
    torch.testing.assert_close(found, wanted)


def test_a_state_detached_in_place_ends_the_graph():
    layer, x = layer_of(), inputs()
    state = None
    for each in x:
        y, state = layer.step(each, state)
        y.sin().sum().backward()
        for s in state:
            s.detach_()
    found = [p.grad.clone() for p in layer.parameters()]
    layer.zero_grad()
    state = None
    for each in x:
        y, state = layer(each[None], state)
        y.sin().sum().backward()
        state = elman.detached(state)
    torch.testing.assert_close(found, [p.grad for p in layer.parameters()])


def test_only_needed_gradients_are_computed(steps):
    layer, x = layer_of(), inputs()
    y, _ = run_steps(layer, x)
    (found,) = torch.autograd.grad(y.sin().sum(), [layer.layers[0][0].W["f"]])
    (wanted,) = torch.autograd.grad(layer(x)[0].sin().sum(), [layer.layers[0][0].W["f"]])
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("depth", [1, 2])
def test_second_and_third_derivatives(depth):
    layer, x = layer_of(num_layers=depth), inputs(requires_grad=True)
    parameters = [*layer.parameters()]

    def thrice(run):
        (first,) = torch.autograd.grad(loss_of(*run(x)), [x], create_graph=True)
        second = torch.autograd.grad(first.sin().sum(), [x, *parameters], create_graph=True)
        return torch.autograd.grad(sum([g.sin().sum() for g in second]), [x, *parameters])

    found, wanted = thrice(lambda x: run_steps(layer, x)), thrice(layer)
    torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-8)


def test_gradients_of_gradients_of_parameters():
    layer, x = layer_of(), inputs()
    parameters = [*layer.parameters()]

    def twice(run):
        first = torch.autograd.grad(loss_of(*run(x)), parameters, create_graph=True)
        return torch.autograd.grad(sum([g.square().sum() for g in first]), parameters)

    torch.testing.assert_close(
        twice(lambda x: run_steps(layer, x)), twice(layer), rtol=1e-8, atol=1e-8
    )


def test_batched_gradients():
    layer, x = layer_of(), inputs(requires_grad=True)
    many = torch.randn(4, TIME, BATCH, HIDDEN, dtype=x.dtype)
    found, wanted = [
        torch.autograd.grad(run(x)[0], [x, *layer.parameters()], many, is_grads_batched=True)
        for run in (lambda x: run_steps(layer, x), layer)
    ]
    torch.testing.assert_close(found, wanted)


def test_gradients_of_any_stride():
    layer, x = layer_of(), inputs(requires_grad=True)
    outer = [
        torch.ones((), dtype=x.dtype).expand(BATCH, HIDDEN),
        torch.randn(HIDDEN, BATCH, 1, dtype=x.dtype).permute(2, 1, 0),
        torch.randn(1, BATCH, 2 * HIDDEN, dtype=x.dtype)[..., ::2],
    ]
    y, last = layer.step(x[0])
    found = torch.autograd.grad([y, *last], [x, *layer.parameters()], outer)
    whole, state = layer(x[:1])
    wanted = torch.autograd.grad([whole[0], *state], [x, *layer.parameters()], outer)
    torch.testing.assert_close(found, wanted)


def test_transforms_take_the_general_way():
    layer, x = layer_of(), inputs()
    layer.step(x[0])
    parameters = dict(layer.named_parameters())

    def loss(parameters, x):
        y, _ = torch.func.functional_call(
            _Step(layer), {f"layer.{k}": v for k, v in parameters.items()}, (x,)
        )
        return y.sin().sum()

    found = torch.func.grad(loss)(parameters, x[0])
    wanted = torch.autograd.grad(layer(x[:1])[0].sin().sum(), [*parameters.values()])
    torch.testing.assert_close([*found.values()], [*wanted])
    rows = torch.func.vmap(lambda row: layer.step(row[None])[0][0])(x[0])
    torch.testing.assert_close(rows, layer.step(x[0])[0])
    _, tangent = torch.func.jvp(lambda x: layer.step(x)[0], (x[0],), (x[1],))
    _, expected = torch.func.jvp(lambda x: layer(x[None])[0][0], (x[0],), (x[1],))
    torch.testing.assert_close(tangent, expected)


class _Step(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer.step(x)


def test_checkpoints():
    layer, x = layer_of(), inputs(requires_grad=True)

    def run(x):
        state = None
        for each in x:
            y, state = checkpoint(layer.step, each, state, use_reentrant=False)
        return y[None], state

    _, _, found = gradients(layer, run, x)
    _, _, wanted = gradients(layer, lambda x: (layer(x)[0][-1:], layer(x)[1]), x)
    torch.testing.assert_close(found, wanted)


def test_saved_tensors_may_be_moved():
    layer, x = layer_of(), inputs(requires_grad=True)
    packed = []

    def pack(tensor):
        packed.append(tensor)
        return tensor.clone()

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t.clone()):
        y, state = run_steps(layer, x)
    found = torch.autograd.grad(loss_of(y, state), [x, *layer.parameters()])
    wanted = torch.autograd.grad(loss_of(*layer(x)), [x, *layer.parameters()])
    assert packed
    torch.testing.assert_close(found, wanted)


def test_hooks_are_called(steps):
    layer, x = layer_of(), inputs()
    layer.step(x[0])
    seen = []
    handle = layer.register_forward_hook(lambda *_: seen.append("forward"))
    layer.step(x[0])
    assert seen == ["forward"]
    handle.remove()
    layer.layers[0][0].W["f"].register_post_accumulate_grad_hook(lambda _: seen.append("grad"))
    y, _ = run_steps(layer, x)
    y.sum().backward()
    assert seen == ["forward", "grad"]
    assert len(steps) == 1 + 2 * TIME


def test_a_graph_is_freed_with_its_state():
    layer, x = layer_of(), inputs(requires_grad=True)
    marked = x[0] * 1
    alive = weakref.ref(marked)
    y, state = layer.step(marked)
    y, state = layer.step(x[1], state)
    del marked, y
    gc.collect()
    assert alive() is not None
    del state
    gc.collect()
    assert alive() is None


def test_copies_and_files_of_a_layer_after_steps():
    layer, x = layer_of(), inputs(requires_grad=True)
    run_steps(layer, x)
    own = copy.deepcopy(layer)
    with torch.no_grad():
        own.layers[0][0].W["f"].mul_(2)
    assert_same(own, x)
    assert_same(layer, x)
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    own.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(run_steps(own, x)[0], run_steps(layer, x)[0])


def test_other_shapes_and_dtypes_in_turn():
    layer = layer_of()
    for batch in (3, 1, 3, 2):
        x = torch.randn(TIME, batch, INPUT, dtype=torch.float64, requires_grad=True)
        assert_same(layer, x)
    layer.float()
    assert_same(layer, inputs(torch.float32, requires_grad=True), rtol=1e-4, atol=1e-4)
    layer.to(torch.bfloat16)
    y, _ = run_steps(layer, inputs(torch.bfloat16))
    y.sum().backward()
    layer.double()
    assert_same(layer, inputs(requires_grad=True))


def test_without_gradients_nothing_is_kept(steps):
    layer, x = layer_of(), inputs()
    with torch.no_grad():
        y, state = run_steps(layer, x)
    assert not y.requires_grad
    assert not steps
    y, state = run_steps(layer, x, state)
    assert y.requires_grad
    with torch.inference_mode():
        assert not run_steps(layer, x)[0].requires_grad
    assert len(steps) == TIME


def test_noise_takes_the_general_way(steps):
    layer, x = layer_of(recurrent_dropout=0.5), inputs()
    run_steps(layer, x)
    assert not steps
    layer.eval()
    y, _ = run_steps(layer, x)
    assert len(steps) == TIME
    assert torch.equal(y, layer(x)[0])


def test_autocast(steps):
    layer, x = layer_of(dtype=torch.float32), inputs(torch.float32)
    run_steps(layer, x)
    with torch.autocast("cpu", torch.bfloat16):
        y, _ = run_steps(layer, x)
        whole, _ = layer(x)
    assert y.dtype == whole.dtype
    assert len(steps) == TIME


def test_backward_in_another_thread():
    layer, x = layer_of(), inputs(requires_grad=True)
    wanted = torch.autograd.grad(loss_of(*layer(x)), [*layer.parameters()])
    found = {}

    def work(k):
        for _ in range(20):
            y, state = run_steps(layer, x)
            found[k] = torch.autograd.grad(loss_of(y, state), [*layer.parameters()])

    threads = [threading.Thread(target=work, args=(k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    for own in found.values():
        torch.testing.assert_close(own, wanted)


def test_wrong_tensors_are_refused_as_before():
    layer, x = layer_of(), inputs()
    _, state = layer.step(x[0])
    with pytest.raises(elman.errors.ShapeError, match="input_size"):
        layer.step(torch.randn(BATCH, INPUT + 1, dtype=torch.float64), state)
    with pytest.raises(elman.errors.ShapeError):
        layer.step(x[0], (state[0],))
    with pytest.raises(elman.errors.ShapeError):
        layer.step(x[0], (state[0], state[1][:, :1]))
