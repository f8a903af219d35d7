"""Noise in a layer, held against loops over rows and steps that are given the same masks."""

import copy

import pytest
import torch

import elman
from elman.errors import OptionError
from elman.nn.dropout import VariationalDropout, draw_mask
from engines import ANY_CELL
from thorough import few

INPUT, HIDDEN = 3, 5
PLACES = {"lstm": "hc", "gru": "h", "gru_reset_after": "h", "rnn": "a"}
sigmoid = torch.sigmoid


@pytest.fixture
def drawn(monkeypatch):
    """What a run draws, in order: any numbers, so that a mask at a wrong place shows."""
    found = []

    def draw(shape, p, like, *, scaled=True):
        assert 0 < p < 1
        found.append(torch.rand(tuple(shape), dtype=like.dtype) + 0.25 * scaled)
        return found[-1]

    monkeypatch.setattr("elman.nn.noise.draw_mask", draw)
    return found


def product(weights, *values):
    return weights @ torch.cat(values)


def lstm(P, x, s, m):
    h, c = s
    seen = m["drop.h"] * h
    f = sigmoid(product(P["W.f"], seen, x) + P["b.f"])
    i = sigmoid(product(P["W.i"], seen, x) + P["b.i"])
    g = torch.tanh(product(P["W.g"], seen, x) + P["b.g"])
    o = sigmoid(product(P["W.o"], seen, x) + P["b.o"])
    new = f * c + i * (m["drop.g"] * g)
    return o * torch.tanh(new), new


def gru(P, x, s, m):
    (h,) = s
    seen = m["drop.h"] * h
    z = sigmoid(product(P["W.z"], seen, x) + P["b.z"])
    r = sigmoid(product(P["W.r"], seen, x) + P["b.r"])
    n = torch.tanh(product(P["W.h"], r * seen, x) + P["b.h"])
    return ((1 - z) * h + z * (m["drop.n"] * n),)


def gru_reset_after(P, x, s, m):
    (h,) = s
    seen = m["drop.h"] * h
    z = sigmoid(product(P["W.z"], seen, x) + P["b.z"])
    r = sigmoid(product(P["W.r"], seen, x) + P["b.r"])
    n = torch.tanh(P["W.n"] @ x + P["b.n"] + r * (P["W.m"] @ seen + P["b.m"]))
    return ((1 - z) * (m["drop.n"] * n) + z * h,)


def rnn(P, x, s, m):
    (a,) = s
    return (torch.tanh(product(P["W.a"], m["drop.a"] * a, x) + P["b.a"]),)


STEPS = {"lstm": lstm, "gru": gru, "gru_reset_after": gru_reset_after, "rnn": rnn}


def loop(layer, x, state, lengths, drawn):
    """y and the last states, from the masks in the order in which they were drawn."""
    name, noise, drawn = layer.cell.name, layer.stack.noise, iter(drawn)
    states, step = PLACES[name], STEPS[name]
    time, batch = x.shape[:2]
    last = [[None] * batch for _ in range(len(layer.layers) * 2)]
    if noise.input_dropout:
        x = x * next(drawn)
    for k, directions in enumerate(layer.layers):
        outputs = []
        for d, direction in enumerate(directions):
            P = {".".join(key.rsplit(".", 2)[-2:]): p for key, p in direction.named_parameters()}
            masks = {}
            for leaf in layer.stack.in_training.masks:
                role, of, per = leaf.attribute
                mask = next(drawn)
                masks[f"{role}.{of}"] = mask if per == "step" else mask.expand(time, batch, HIDDEN)
            if noise.drop_connect:
                for key, p in P.items():
                    width = HIDDEN if p.dim() == 2 and p.shape[1] >= HIDDEN and key != "W.n" else 0
                    if width:
                        P[key] = torch.cat([p[:, :HIDDEN] * next(drawn), p[:, HIDDEN:]], 1)
            rows = []
            for row in range(batch):
                s = tuple([tensor[2 * k + d, row] for tensor in state])
                steps = range(lengths[row])
                made = {}
                for t in reversed(steps) if d else steps:
                    m = {
                        mask: torch.ones(HIDDEN)
                        for mask in ("drop.h", "drop.a", "drop.g", "drop.n")
                    }
                    m |= {mask: values[t, row] for mask, values in masks.items()}
                    new = step(P, x[t, row], s, m)
                    kept = [m.get(f"zone.{place}", torch.zeros(HIDDEN)) for place in states]
                    s = tuple(
                        [z * old + (1 - z) * n for z, old, n in zip(kept, s, new, strict=True)]
                    )
                    made[t] = s[0]
                last[2 * k + d][row] = s
                zero = torch.zeros(HIDDEN, dtype=x.dtype)
                rows.append(torch.stack([made.get(t, zero) for t in range(time)]))
            outputs.append(torch.stack(rows, 1))
        x = torch.cat(outputs, -1)
        if noise.dropout and k + 1 < len(layer.layers):
            x = x * next(drawn)
    if noise.output_dropout:
        x = x * next(drawn)
    assert next(drawn, None) is None, "a mask that nobody used"
    stacked = [
        torch.stack([torch.stack([s[j] for s in place]) for place in last])
        for j in range(len(states))
    ]
    return x, stacked


KINDS = {
    "recurrent": {"recurrent_dropout": 0.3},
    "candidate": {"candidate_dropout": 0.3},
    "zoneout": {"zoneout": 0.3},
    "drop_connect": {"drop_connect": 0.3},
    "layers": {"input_dropout": 0.1, "dropout": 0.2, "output_dropout": 0.3, "locked_dropout": True},
}
ALL = {key: value for options in KINDS.values() for key, value in options.items()}
CASES = [
    *[("lstm", options) for options in (*KINDS.values(), ALL)],
    ("lstm", {"zoneout": {"c": 0.5}}),
    ("gru", ALL),
    ("gru_reset_after", ALL),
    ("rnn", {**ALL, "candidate_dropout": 0.0}),
]


def run_both(name, options, backend, drawn, **more):
    """A layer of two layers in both directions, and what it gives beside what the loop gives."""
    torch.manual_seed(0)
    layer = elman.Recurrent(
        elman.cells.CATALOGUE[name], INPUT, HIDDEN, 2, bidirectional=True, dtype=torch.float64,
        backend=backend, **options, **more,
    )  # fmt: skip
    x = torch.randn(4, 3, INPUT, dtype=torch.float64, requires_grad=True)
    shape = (4, 3, HIDDEN)
    state = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for _ in PLACES[name]]
    y, last = layer(x, tuple(state), lengths=[4, 0, 2])
    expected, expected_last = loop(layer, x, state, [4, 0, 2], drawn)
    # float64, the same sums in another order
    torch.testing.assert_close([y, *last], [expected, *expected_last], rtol=1e-10, atol=1e-12)
    return [x, *state, *layer.parameters()], [y, *last], [expected, *expected_last]


@pytest.mark.thinned(2)
@pytest.mark.parametrize("backend", ANY_CELL)
@pytest.mark.parametrize(
    ("name", "options"), CASES, ids=lambda v: v if isinstance(v, str) else "+".join(v)
)
def test_noise_is_what_the_papers_say_in_values_and_gradients(name, options, backend, drawn):
    leaves, ours, theirs = run_both(name, options, backend, drawn)
    outer = [torch.randn_like(t) for t in ours]
    found = torch.autograd.grad(ours, leaves, outer, allow_unused=True)
    expected = torch.autograd.grad(theirs, leaves, outer, allow_unused=True)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("backend", ANY_CELL)
def test_truncated_runs_have_the_masks_of_their_steps(backend, drawn):
    run_both("lstm", ALL, backend, drawn, truncate=3)


def layer_of(name="lstm", *args, **options):
    torch.manual_seed(0)
    return elman.Recurrent(elman.cells.CATALOGUE[name], INPUT, HIDDEN, *args, **options)


def results(layer, x, seed=1):
    """y, last states and every gradient."""
    torch.manual_seed(seed)
    y, last = layer(x, lengths=[4, 0, 2])
    outputs = [y, *last]
    total = sum([(t * torch.arange(t.numel()).view(t.shape).cos()).sum() for t in outputs])
    return [*outputs, *torch.autograd.grad(total, list(layer.parameters()))]


X = torch.randn(4, 3, INPUT, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", [*PLACES, "layer_norm_gru"])
def test_no_noise_is_the_plain_layer_to_the_last_bit(name):
    zeros = dict.fromkeys([key for key in ALL if key != "locked_dropout"], 0.0)
    plain, silent = layer_of(name, 2), layer_of(name, 2, locked_dropout=True, **zeros)
    assert str(silent.cell) == str(plain.cell)
    for ours, theirs in zip(results(silent, X), results(plain, X), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.thinned(2)
@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("kind", [key for key in ALL if key != "locked_dropout"])
def test_all_noise_is_defined(name, kind):
    if (name, kind) == ("rnn", "candidate_dropout"):
        return
    layer = layer_of(name, 2, **{kind: 1.0})
    found = results(layer, X)
    assert all([t.isfinite().all() for t in found])
    y = found[0]
    if kind in ("output_dropout", "zoneout"):
        assert (y == 0).all()
    plain = layer_of(name, 2)
    if kind == "input_dropout":
        torch.testing.assert_close(y, plain(0 * X, lengths=[4, 0, 2])[0])
    if kind in ("recurrent_dropout", "drop_connect"):  # what matrices see of the states is nothing
        with torch.no_grad():
            for parameter in plain.parameters():
                if parameter.dim() == 2 and parameter.shape[1] != INPUT:
                    parameter[:, :HIDDEN] = 0
        if name != "gru_reset_after":  # its W.n of the second layer is as wide as a state
            torch.testing.assert_close(y, plain(X, lengths=[4, 0, 2])[0])


@pytest.mark.parametrize("name", PLACES)
def test_evaluation_draws_nothing_and_is_the_mean(name):
    options = {**ALL, "candidate_dropout": 0.0 if name == "rnn" else 0.3}
    layer = layer_of(name, **options, dtype=torch.float64).eval()
    before = torch.get_rng_state()
    y, _ = layer(X.double())
    assert torch.equal(torch.get_rng_state(), before)
    state = None
    with torch.no_grad():  # step by step by the quick way
        for t, x in enumerate(X.double()):
            y_t, state = layer.step(x, state)
            torch.testing.assert_close(y_t, y[t], rtol=1e-10, atol=1e-12)
    plain = layer_of(name, dtype=torch.float64)
    one = [torch.zeros(3, HIDDEN, dtype=torch.float64) + 0.5 for _ in layer.cell.states]
    one = tuple([tensor.unsqueeze(0) for tensor in one])
    new = plain(X[:1].double(), one)[1]
    for ours, theirs in zip(layer(X[:1].double(), one)[1], new, strict=True):
        torch.testing.assert_close(ours, 0.3 * 0.5 + 0.7 * theirs)  # of one step, the paper's


def test_a_seed_gives_one_result_whatever_the_threads():
    torch.manual_seed(0)
    layer = elman.Recurrent(elman.cells.lstm, 37, 70, bidirectional=True, **ALL)
    x, lengths = torch.randn(50, 33, 37), torch.randint(0, 51, (33,))  # enough for two threads

    def run(threads, seed):
        torch.set_num_threads(threads)
        torch.manual_seed(seed)
        y, last = layer(x, lengths=lengths)
        return [y, *last, *torch.autograd.grad(y.sum() + last[1].sum(), list(layer.parameters()))]

    threads = torch.get_num_threads()
    try:
        first, again = run(1, 1), run(2, 1)
        assert all([torch.equal(a, b) for a, b in zip(first, again, strict=True)])
        assert not torch.equal(first[0], run(1, 2)[0])
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_masks_leave_out_as_many_as_they_should(p, dtype):
    torch.manual_seed(0)
    mask = draw_mask((100, 1001), p, torch.empty(0, dtype=dtype))
    assert mask.dtype is torch.float32
    assert set(mask.unique().tolist()) == {0.0, float(torch.tensor(1 / (1 - p)))}
    # of 100,100 draws the share has a standard deviation of at most 0.0016
    assert abs((mask == 0).float().mean() - p) < 0.006
    assert abs(torch.corrcoef(torch.stack([mask[:, 0], mask[:, 1]]))[0, 1]) < 0.4


def test_steps_in_training_keep_the_masks_of_their_sequence():
    layer = layer_of(
        recurrent_dropout=0.5, drop_connect=0.5, input_dropout=0.5, locked_dropout=True
    )
    torch.manual_seed(1)
    y, (h, c) = layer(X)
    torch.manual_seed(1)
    state, steps = None, []
    for x in X:
        y_t, state = layer.step(x, state)
        steps.append(y_t)
    torch.testing.assert_close(torch.stack(steps), y)
    torch.testing.assert_close(list(state), [h, c])
    other, _ = layer.step(X[0], None)  # another sequence
    assert not torch.allclose(other, y[0])


def test_a_step_in_training_is_noisy_without_gradients_too():
    layer = layer_of("gru", zoneout=0.5)
    with torch.no_grad():
        torch.manual_seed(1)
        y = layer(X)[0]
        torch.manual_seed(1)
        torch.testing.assert_close(layer.step(X[0])[0], y[0])
        assert not torch.allclose(layer.eval().step(X[0])[0], y[0])


def test_bfloat16_takes_the_masks_as_they_are():
    options = {key: value for key, value in ALL.items() if key != "drop_connect"}
    whole, half = layer_of(**options), layer_of(**options, dtype=torch.bfloat16)
    half.load_state_dict(whole.state_dict())
    whole.load_state_dict(half.state_dict())
    torch.manual_seed(1)
    y = whole(X.bfloat16().float())[0]
    torch.manual_seed(1)
    # numbers of 8 bits through four steps
    torch.testing.assert_close(half(X.bfloat16())[0].float(), y, rtol=0.05, atol=0.02)


def test_noisy_layers_are_copied_and_compiled():
    layer = layer_of(**ALL, activation_penalty=1.0)
    layer(X)
    layer.step(X[0])
    torch.testing.assert_close(results(copy.deepcopy(layer), X), results(layer, X))
    compiled = torch.compile(lambda x: layer(x)[0].sum(), fullgraph=True, backend="aot_eager")
    torch.manual_seed(1)
    expected = torch.autograd.grad(layer(X)[0].sum(), list(layer.parameters()))
    torch.manual_seed(1)
    found = torch.autograd.grad(compiled(X), list(layer.parameters()))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("backend", few(ANY_CELL, keep="native".__eq__))
def test_torch_finds_nothing_wrong_with_an_operator_that_has_masks(backend):
    cell = layer_of(recurrent_dropout=0.5, zoneout=0.5).stack.in_training
    layer = layer_of(dtype=torch.float64)
    x = X.double().requires_grad_()
    states = [torch.randn(3, HIDDEN, dtype=torch.float64, requires_grad=True) for _ in "hc"]
    masks = [
        torch.rand((3, HIDDEN) if m.attribute[2] == "sequence" else (4, 3, HIDDEN)).double()
        for m in cell.masks
    ]
    given = (x, states, list(layer.parameters()), torch.tensor([4, 0, 2]), cell.text, True, True)
    torch.library.opcheck(torch.ops.elman.recurrent.default, (*given, backend, masks))

    def outputs(x, h, c, *parameters):
        run = torch.ops.elman.recurrent
        return tuple(run(x, [h, c], list(parameters), *given[3:], backend, masks)[:3])

    assert torch.autograd.gradgradcheck(outputs, (x, *states, *layer.parameters()))


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("lstm", {"zoneout": 1.5}, "zoneout is 1.5; it must be a probability from 0 to 1."),
        (
            "lstm",
            {"zoneout": {"h": -1}},
            "zoneout of h is -1; it must be a probability from 0 to 1.",
        ),
        ("gru", {"zoneout": {"c": 0.5}}, "zoneout names c, but the cell's states are h."),
        (
            "gru",
            {"drop_connect": True},
            "drop_connect is True; it must be a probability from 0 to 1.",
        ),
        ("rnn", {"candidate_dropout": 0.5}, "candidate_dropout needs a candidate, a tanh or relu "),
        (
            "lstm",
            {"activation_penalty": -1.0},
            "activation_penalty is -1.0; it must be at least 0.",
        ),
        ("lstm", {"initial": "zeros"}, "initial is 'zeros'; it must be \"orthogonal\", "),
        ("gru", {"forget_bias": 1.0}, "forget_bias sets b.f, which is not one of the cell's"),
    ],
    ids=lambda v: v if isinstance(v, str) and len(v) < 6 else "",
)
def test_options_that_cannot_be_are_refused_in_a_sentence(name, options, said):
    with pytest.raises(OptionError) as refusal:
        layer_of(name, **options)
    assert str(refusal.value).startswith(f"Recurrent({name}): {said}")


def test_variational_dropout_may_leave_out_everything():
    assert (VariationalDropout(1.0)(torch.ones(2, 3, 4)) == 0).all()
    with pytest.raises(OptionError, match=r"p is 1\.1; it must be from 0 to 1"):
        VariationalDropout(1.1)


@pytest.mark.parametrize("initial", ["orthogonal", "identity", "glorot"])
def test_recurrent_weights_begin_as_asked(initial):
    layer = layer_of("peephole_lstm", initial=initial, forget_bias=2.0)
    own = dict(layer.named_parameters())
    for gate in "ifgo":
        for block in own[f"layers.0.0.W.{gate}"].detach()[:, : 5 * (1 + (gate != "g"))].split(5, 1):
            if initial == "glorot":
                assert block.abs().max() <= (6 / 10) ** 0.5
                assert not torch.allclose(block @ block.T, torch.eye(5), atol=0.1)
            else:
                torch.testing.assert_close(block @ block.T, torch.eye(5))
            assert torch.equal(block, torch.eye(5)) == (initial == "identity")
    assert (own["layers.0.0.b.f"] == 2).all()
    assert (own["layers.0.0.b.i"] == 0).all()


def test_penalties_are_means_over_the_steps_that_count():
    options = {"activation_penalty": 2.0, "temporal_penalty": 3.0, "bidirectional": True}
    layer = layer_of("gru", output_dropout=0.5, **options, dtype=torch.float64)
    lengths = [4, 0, 2]
    torch.manual_seed(1)
    y, _ = layer(X.double(), lengths=lengths)
    whole, _ = copy.deepcopy(layer).eval()(X.double(), lengths=lengths)
    expected_a = torch.stack([y[t, b] for b in range(3) for t in range(lengths[b])]).square().mean()
    changes = [whole[t + 1, b] - whole[t, b] for b in range(3) for t in range(lengths[b] - 1)]
    expected = 2 * expected_a + 3 * torch.stack(changes).square().mean()
    torch.testing.assert_close(layer.penalty, expected)
    layer.eval()(X.double())
    assert layer.penalty is None
