"""Layers with what stands between them agree with a loop over rows, layers and steps."""

import copy
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import elman
from elman.errors import OptionError, ShapeError
from elman.export.importing.importer import import_weights
from elman.export.importing.layer_file import save_layer
from engines import ANY_CELL

INPUT, HIDDEN, DEPTH, TIME = 5, 5, 3, 6
LENGTHS = [6, 0, 3, 1]

#: each option alone, and all at once
ONE_WAY = {
    "residual": {"residual": True},
    "norm": {"norm": True},
    "learned": {"learned_state": True},
    "all": {"residual": True, "norm": True, "learned_state": True},
}
BOTH_WAYS = {
    **{name: {"bidirectional": True, **options} for name, options in ONE_WAY.items()},
    "sum": {"bidirectional": True, "merge": "sum"},
    "mean": {"bidirectional": True, "merge": "mean"},
    "all and sum": {"bidirectional": True, "merge": "sum", **ONE_WAY["all"]},
    "all and mean": {"bidirectional": True, "merge": "mean", **ONE_WAY["all"]},
}
OPTIONS = {**ONE_WAY, **{f"both ways, {name}": each for name, each in BOTH_WAYS.items()}}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
one_way = pytest.mark.parametrize("options", ONE_WAY.values(), ids=ONE_WAY)


def layer_of(options, cell=elman.cells.lstm, **others):
    """A layer whose parameters are all random, as are its norms and initial states."""
    torch.manual_seed(0)
    others = {"dtype": torch.float64, "num_layers": DEPTH, **others}
    layer = elman.Recurrent(cell, INPUT, HIDDEN, **options, **others)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn_like(parameter) / 2)
    return layer


def lstm_step(named, place, x, h, c):
    """One step of one row, by the equations of an LSTM as they are in every textbook."""
    both = torch.cat([h, x])
    i, f, o = [
        torch.sigmoid(named[f"{place}.W.{g}"] @ both + named[f"{place}.b.{g}"]) for g in "ifo"
    ]
    g = torch.tanh(named[f"{place}.W.g"] @ both + named[f"{place}.b.g"])
    c = f * c + i * g
    return o * torch.tanh(c), c


def loop(layer, x, state=None, lengths=None):
    """Row by row, layer by layer, step by step; x is (time, batch, input)."""
    between, named = layer.stack.between, dict(layer.named_parameters())
    directions = 2 if layer.bidirectional else 1
    rows, ends = [], []
    for row in range(x.shape[1]):
        length = x.shape[0] if lengths is None else lengths[row]
        sequence, last = list(x[:length, row]), []
        for k in range(layer.num_layers):
            if k and between.norm:
                weight, bias = named[f"norms.{k - 1}.weight"], named[f"norms.{k - 1}.bias"]
                sequence = [
                    (v - v.mean()) / torch.sqrt(((v - v.mean()) ** 2).mean() + 1e-5) * weight + bias
                    for v in sequence
                ]
            found = []
            for d in range(directions):
                at = k * directions + d
                if state is not None:
                    h, c = [s[at, row] for s in state]
                elif between.learned_state:
                    h, c = [named[f"initial_state.{2 * at + n}"] for n in range(2)]
                else:
                    h = c = x.new_zeros(HIDDEN)
                outputs = {}
                for t in range(length) if d == 0 else reversed(range(length)):
                    h, c = lstm_step(named, f"layers.{k}.{d}", sequence[t], h, c)
                    outputs[t] = h
                found.append([outputs[t] for t in range(length)])
                last.append((h, c))
            merged = found[0]
            if directions == 2:
                join = {
                    "concatenate": lambda a, b: torch.cat([a, b]),
                    "sum": lambda a, b: a + b,
                    "mean": lambda a, b: (a + b) / 2,
                }[between.merge]
                merged = [join(a, b) for a, b in zip(*found, strict=True)]
            if between.residual and merged and merged[0].shape == sequence[0].shape:
                merged = [a + b for a, b in zip(merged, sequence, strict=True)]
            sequence = merged
        zeros = [x.new_zeros(layer.output_size)] * (x.shape[0] - length)
        rows.append(torch.stack(sequence + zeros))
        ends.append(last)
    final = [
        torch.stack([torch.stack([place[n] for place in row]) for row in ends], 1) for n in range(2)
    ]
    return torch.stack(rows, 1), final


def gradients(layer, x, results):
    y, state = results
    torch.manual_seed(1)
    loss = sum([(each * torch.randn_like(each)).sum() for each in (y, *state)])
    wanted = [x, *layer.parameters()]
    return torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True)


def agree(ours, theirs, **bounds):
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, **bounds)


@pytest.mark.thinned(3)
@pytest.mark.parametrize("engine", ANY_CELL)
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
@pytest.mark.parametrize("given", [False, True], ids=["", "from a state"])
@every_option
def test_values_and_gradients_are_those_of_the_loop(options, given, lengths, engine):
    layer = layer_of(options, backend=engine)
    x = torch.randn(TIME, len(LENGTHS), INPUT, dtype=torch.float64, requires_grad=True)
    state = None
    if given:
        shape = layer.stack.state_shape("h", len(LENGTHS))
        state = tuple([torch.randn(shape, dtype=torch.float64) for _ in range(2)])
    ours, theirs = layer(x, state, lengths=lengths), loop(layer, x, state, lengths)
    assert ours[0].shape[-1] == layer.output_size
    agree([ours[0], *ours[1]], [theirs[0], *theirs[1]])
    agree(gradients(layer, x, ours), gradients(layer, x, theirs))


@every_option
def test_any_layout_has_the_same_values(options):
    layer = layer_of(options)
    x = torch.randn(TIME, 3, INPUT, dtype=torch.float64)
    lengths = [3, 6, 1]
    wanted, last = loop(layer, x, None, lengths)
    packed, after = layer(pack_padded_sequence(x, lengths, enforce_sorted=False))
    agree([pad_packed_sequence(packed)[0], *after], [wanted, *last])
    first = layer_of(options, batch_first=True)
    y, after = first(x.transpose(0, 1), lengths=lengths)
    agree([y.transpose(0, 1), *after], [wanted, *last])
    alone, after = layer(x[:, 1])
    agree([alone, *after], [wanted[:, 1], *[s[:, 1] for s in last]])
    no_steps, states = layer(x[:0])
    assert no_steps.shape == (0, 3, layer.output_size)
    agree(states, layer.first_state(3))


@every_option
def test_what_lies_past_a_row_changes_nothing(options):
    layer = layer_of(options)
    x = torch.randn(TIME, len(LENGTHS), INPUT, dtype=torch.float64)
    padded = x.clone()
    for row, length in enumerate(LENGTHS):
        padded[length:, row] = torch.nan
    assert torch.equal(layer(x, lengths=LENGTHS)[0], layer(padded, lengths=LENGTHS)[0])


@pytest.mark.parametrize("engine", ANY_CELL)
@pytest.mark.parametrize("grad", [False, True], ids=["", "with gradients"])
@one_way
def test_steps_are_the_sequence(options, grad, engine):
    layer = layer_of(options, backend=engine)
    x = torch.randn(TIME, 3, INPUT, dtype=torch.float64, requires_grad=True)

    def by_steps():
        state, outputs = None, []
        for x_t in x:
            y, state = layer.step(x_t, state)
            outputs.append(y)
        return torch.stack(outputs), state

    with torch.set_grad_enabled(grad):
        for _ in range(2):  # the second time, steps may be kept ones
            ours, theirs = by_steps(), loop(layer, x)
            agree([ours[0], *ours[1]], [theirs[0], *theirs[1]])
    if grad:
        agree(gradients(layer, x, ours), gradients(layer, x, theirs))


@one_way
def test_steps_follow_parameters_that_change(options):
    layer = layer_of(options)
    x = torch.randn(2, INPUT, dtype=torch.float64)
    with torch.no_grad():
        for _ in range(3):
            _, state = layer.step(x)
            layer.step(x, state)
            for parameter in layer.parameters():
                parameter.add_(0.1)
            y, after = layer.step(x)
            wanted, last = loop(layer, x[None])
            agree([y, *after], [wanted[0], *last])


@one_way
def test_steps_follow_a_layer_that_is_replaced_or_frozen(options):
    layer, other = layer_of(options, batch_first=True), layer_of(options, cell=elman.cells.lstm)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(-1)
    x = torch.randn(2, INPUT, dtype=torch.float64)
    before = loop(layer, x[None])[0][0]
    with torch.inference_mode():
        torch.testing.assert_close(layer.step(x)[0], before)
        layer.layers[1] = other.layers[1]
        y, state = layer.step(x)
        wanted, last = loop(layer, x[None])
        assert not torch.equal(wanted[0], before)
        agree([y, *state], [wanted[0], *last])
        layer.freeze()
        torch.testing.assert_close(layer.step(x, state)[0], loop(layer, x[None], state)[0][0])
        torch.testing.assert_close(layer.step(x, state)[0], loop(layer, x[None], state)[0][0])
    again = copy.deepcopy(layer).train()
    for parameter in again.parameters():
        parameter.data.add_(0.1)
    y, state = again.step(x)
    agree([y, *state], [loop(again, x[None])[0][0], *loop(again, x[None])[1]])


@one_way
def test_a_state_of_another_shape_is_refused_by_a_step(options):
    layer, x = layer_of(options), torch.randn(2, INPUT, dtype=torch.float64)
    for grad in (False, True):
        with torch.set_grad_enabled(grad):
            _, (h, c) = layer.step(x)
            layer.step(x, (h, c))
            with pytest.raises(ShapeError, match=r"the initial c has the shape \(3, 1, 5\)"):
                layer.step(x, (h, c[:, :1]))
            with pytest.raises(ShapeError, match="x ends in 4 features"):
                layer.step(x[:, :4], (h, c))
    single, state = layer.step(x[0])
    torch.testing.assert_close(single, layer.step(x)[0][0])
    assert state[0].shape == (DEPTH, HIDDEN)


def test_training_steps_with_noise_are_those_of_a_sequence():
    """A layer without noise at evaluation draws masks once it trains, though steps were kept."""
    layer = layer_of(OPTIONS["all"], dropout=0.5).eval()
    x = torch.randn(2, INPUT, dtype=torch.float64)
    plain = layer.step(x)[0]
    assert torch.equal(layer.step(x)[0], plain)
    layer.train()
    assert not torch.equal(layer.step(x)[0], layer.step(x)[0])
    torch.testing.assert_close(layer.eval().step(x)[0], plain)


@pytest.mark.parametrize("engine", ANY_CELL)
@one_way
def test_a_stepper_runs_the_same_steps(options, engine):
    layer, output = layer_of(options, backend=engine), torch.nn.Linear(HIDDEN, 2).double()
    x = torch.randn(TIME, 2, INPUT, dtype=torch.float64)
    wanted, last = loop(layer, x)
    for head in (None, output):
        stepper = layer.stepper(2, output=head)
        above = wanted if head is None else head(wanted)
        for _ in range(2):
            agree(stepper.state, layer.first_state(2))
            with torch.no_grad():
                found = torch.stack([stepper(x_t).clone() for x_t in x])
            agree([found, *stepper.state], [above, *last])
            stepper.reset()
    kept = layer.first_state(2)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
    agree(stepper.state, kept)


@pytest.mark.thinned(2)
@every_option
@pytest.mark.parametrize("cell", ["delta_net", "mlstm"])
def test_cells_with_a_matrix_state_do_it_too(cell, options):
    cell = getattr(elman.cells, cell)
    torch.manual_seed(0)
    size = {"heads": 1, "key_size": 3, "dtype": torch.float64}
    layer = elman.Recurrent(cell, INPUT, HIDDEN, 2, **options, **size)
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(torch.randn_like(p) / 2)
    ways = {"bidirectional": options.get("bidirectional", False)}
    singles = [
        elman.Recurrent(cell, layer.stack.layer_input_size(k), HIDDEN, **ways, **size)
        for k in range(2)
    ]
    for k, single in enumerate(singles):
        single.layers[0].load_state_dict(layer.layers[k].state_dict())
    between = {k: v for k, v in options.items() if k != "bidirectional"}
    stack = elman.Stack(singles, **between)
    if options.get("norm"):
        stack.norms.load_state_dict(layer.norms.state_dict())
    x = torch.randn(TIME, len(LENGTHS), INPUT, dtype=torch.float64)
    first = layer.first_state(len(LENGTHS))
    count = layer.stack.directions
    given = [tuple([s[k * count : (k + 1) * count] for s in first]) for k in range(2)]
    y, _ = layer(x, lengths=LENGTHS)
    torch.testing.assert_close(y, stack(x, given, lengths=LENGTHS)[0])
    if count == 1:
        with torch.no_grad():
            stepper, stepped = layer.stepper(len(LENGTHS)), None
            for x_t, wanted in zip(x, layer(x)[0], strict=True):
                y, stepped = layer.step(x_t, stepped)
                torch.testing.assert_close(y, wanted)
                torch.testing.assert_close(stepper(x_t), wanted)


@one_way
def test_computed_matrices_do_not_lose_it(options):
    torch.manual_seed(0)
    layer = elman.Recurrent(elman.cells.orthogonal_rnn, INPUT, HIDDEN, DEPTH, **options)
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(torch.randn_like(p) / 2)
        x = torch.randn(TIME, 2, INPUT)
        wanted = layer(x)[0]
        torch.testing.assert_close(layer.core("test")(x)[0], wanted)
        stepper = layer.stepper(2)
        for x_t, y in zip(x, wanted, strict=True):
            torch.testing.assert_close(stepper(x_t), y)


def test_dropout_is_between_norm_and_layer():
    layer = layer_of(OPTIONS["all"], dropout=0.5, locked_dropout=True)
    x = torch.randn(TIME, 3, INPUT, dtype=torch.float64)
    assert not torch.equal(layer(x)[0], layer(x)[0])
    seen, original = [], type(layer.stack).run_direction

    def recorded(self, k, parameters, x, *rest):
        y, last = original(self, k, parameters, x, *rest)
        seen.append((x, y))
        return y, last

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(layer.stack), "run_direction", recorded)
        y, _ = layer(x)
    for k, (given, output) in enumerate(seen):
        after = output + given  # what is dropped is not added either
        if k + 1 == DEPTH:
            assert torch.equal(after, y)
            break
        norm = layer.norms[k]
        normed = torch.nn.functional.layer_norm(after, (HIDDEN,), norm.weight, norm.bias)
        mask = seen[k + 1][0] / normed
        torch.testing.assert_close(mask, mask[:1].round().expand_as(mask))
        assert set(mask.detach().round().unique().tolist()) == {0.0, 2.0}


@every_option
def test_a_saved_layer_is_the_same(options, tmp_path):
    layer, x = layer_of(options), torch.randn(TIME, 2, INPUT, dtype=torch.float64)
    other = elman.Recurrent(elman.cells.lstm, INPUT, HIDDEN, DEPTH, dtype=torch.float64, **options)
    other.load_state_dict(layer.state_dict())
    torch.save(layer, tmp_path / "layer.pt")
    loaded = torch.load(tmp_path / "layer.pt", weights_only=True)
    for again in (other, copy.deepcopy(layer), loaded):
        assert torch.equal(again(x)[0], layer(x)[0])
        assert repr(again) == repr(layer)
    for name, value in options.items():
        wanted = name if name == "bidirectional" else f"{name}={value!r}"
        assert wanted in repr(layer)
    layer.reset_parameters()
    for name, parameter in layer.named_parameters():
        if not name.startswith("layers"):
            assert torch.equal(parameter, torch.full_like(parameter, name.endswith("weight")))
    assert "native engine" in layer.backend_report()
    assert layer.leaves_out_parameters == options.get("learned_state", False)
    save_layer(loaded, tmp_path / "layer.safetensors")
    assert torch.equal(import_weights(tmp_path / "layer.safetensors")(x)[0], loaded(x)[0])


def test_a_layer_without_options_has_no_further_parameters():
    names = [name for name, _ in elman.Recurrent(elman.cells.gru, 3, 4, 2).named_parameters()]
    assert all([name.startswith("layers.") for name in names])
    old = elman.Recurrent(elman.cells.gru, 3, 4, 2)
    del vars(old.stack)["between"]  # a whole layer that an earlier version saved
    again = copy.deepcopy(old)
    x = torch.randn(5, 2, 3)
    assert torch.equal(again(x)[0], elman.Recurrent.forward(old, x)[0])
    assert repr(again) == "Recurrent(gru, 3, 4, num_layers=2)"


def test_a_stack_does_not_merge_twice():
    torch.manual_seed(0)
    layer = elman.Recurrent(elman.cells.gru, INPUT, 4, 2, bidirectional=True, merge="sum")
    above, x = elman.Recurrent(elman.cells.gru, 4, 4), torch.randn(TIME, 2, INPUT)
    for merge in ("concatenate", "sum", "mean"):
        stack = elman.Stack([layer, above], merge=merge)
        assert torch.equal(stack(x)[0], above(layer(x)[0])[0])


@every_option
def test_half_precision_by_autocast_keeps_its_type(options):
    layer, x = layer_of(options, dtype=torch.float32), torch.randn(TIME, 2, INPUT)
    with torch.autocast("cpu", torch.bfloat16):
        y, state = layer(x, lengths=[6, 2])
    assert {y.dtype, *[s.dtype for s in state]} == {torch.bfloat16}
    wanted, _ = layer(x, lengths=[6, 2])
    torch.testing.assert_close(y.float(), wanted, atol=0.1, rtol=0.1)  # bfloat16 has 8 bits


@every_option
def test_diagnosis_follows_gradients_through_it(options):
    """Its gradients of each layer's output are those of torch, which sees the whole loss."""
    from elman.diagnose.examination import _directions, _visit

    for cell, count in ((elman.cells.lstm, 2), (elman.cells.mlstm, 2)):
        extra = {"heads": 1, "key_size": 3} if cell.has_memory else {}
        layer = layer_of(options, cell=cell, num_layers=2, **extra)
        x = torch.randn(TIME, len(LENGTHS), INPUT, dtype=torch.float64)
        above = torch.randn(TIME, len(LENGTHS), layer.output_size, dtype=torch.float64)
        for row, length in enumerate(LENGTHS):
            above[length:, row] = 0
        outputs = {}
        original = type(layer.stack).run_direction

        def recorded(self, k, *args, original=original, outputs=outputs):
            y, last = original(self, k, *args)
            outputs[k] = y
            return y, last

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(layer.stack), "run_direction", recorded)
            y, _ = layer(x, lengths=LENGTHS)
        wanted = torch.autograd.grad((y * above).sum(), list(outputs.values()))
        found = _directions(_visit(layer, x, LENGTHS, above, {}))
        assert len(found) == count * layer.stack.directions
        for (_, trajectory, gradient), theirs, k in zip(found, wanted, outputs, strict=True):
            reverse = k % layer.stack.directions == 1
            for row, length in enumerate(LENGTHS):
                own = gradient[:length, row]
                torch.testing.assert_close(own.flip(0) if reverse else own, theirs[:length, row])
                last = trajectory.states[0][length, row].reshape(-1)
                end = outputs[k][0 if reverse else length - 1, row] if length else last
                if cell is elman.cells.lstm:
                    torch.testing.assert_close(last, end)


def test_diagnosis_records_steps_of_a_model():
    layer = layer_of(OPTIONS["all"])
    x = torch.randn(TIME, 2, INPUT, dtype=torch.float64)

    def loss():
        state, total = None, 0.0
        for x_t in x:
            y, state = layer.step(x_t, state)
            total = total + y.square().sum()
        return total

    loss()  # steps are kept from now on
    by_steps = elman.diagnose(layer, loss=loss, exact=0)
    whole = elman.diagnose(layer, loss=lambda: layer(x)[0].square().sum(), exact=0)
    assert [*by_steps] == [*whole]
    assert len([*whole]) == DEPTH
    for name in whole:
        for state in "hc":
            ours, theirs = by_steps[name].gradient[state], whole[name].gradient[state]
            torch.testing.assert_close(*map(torch.from_numpy, (ours, theirs)), equal_nan=True)
    y, _ = layer.step(x[0])
    torch.testing.assert_close(y, loop(layer, x[:1])[0][0])


def test_options_that_do_not_fit_are_refused():
    with pytest.raises(OptionError, match='merge is "sum", but the layers run in one direction'):
        elman.Recurrent(elman.cells.gru, 3, 4, merge="sum")
    with pytest.raises(OptionError, match="merge is 'add'; it must be one of \"concatenate\""):
        elman.Recurrent(elman.cells.gru, 3, 4, bidirectional=True, merge="add")


def test_torch_layers_have_none_of_it():
    layer = elman.Recurrent(elman.cells.gru_reset_after, 3, 4, 2, norm=True)
    with pytest.raises(OptionError, match="the layer has the option norm"):
        elman.nn.to_torch(layer)


@pytest.mark.thinned(2)
@every_option
@pytest.mark.parametrize("cell", ["lstm", "mgu", "mlstm"])
def test_onnx_files_compute_the_same(cell, options, tmp_path):
    """One cell is an operator of ONNX, one is written out, one has a matrix state."""
    cell = getattr(elman.cells, cell)
    extra = {"heads": 1, "key_size": 3} if cell.has_memory else {}
    layer = layer_of(options, cell=cell, dtype=torch.float32, batch_first=True, **extra)
    onnxruntime = pytest.importorskip("onnxruntime")
    elman.export.onnx(layer, tmp_path / "layer.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "layer.onnx")
    x = torch.randn(2, TIME, INPUT)
    y, *state = session.run(None, {"x": x.numpy()})  # from its own initial state
    with torch.no_grad():
        wanted, last = layer(x)
    bounds = {"atol": 1e-4, "rtol": 1e-4}  # float32 in another order
    agree(map(torch.from_numpy, [y, *state]), [wanted, *last], **bounds)
    if layer.bidirectional:
        return
    elman.export.onnx(layer, tmp_path / "step.onnx", step=True)
    session = onnxruntime.InferenceSession(tmp_path / "step.onnx")
    feeds = {}
    if not options.get("learned_state"):
        first = layer.first_state(2)
        feeds = {f"state.{n}": s.numpy() for n, s in zip(cell.states, first, strict=True)}
    for t in range(TIME):
        y, *state = session.run(None, {"x": x[:, t].numpy(), **feeds})
        torch.testing.assert_close(torch.from_numpy(y), wanted[:, t], **bounds)
        feeds = {f"state.{n}": s for n, s in zip(cell.states, state, strict=True)}


@pytest.mark.parametrize("options", [OPTIONS["all"], OPTIONS["both ways, all and mean"]])
def test_torch_programs_compute_the_same(options, tmp_path):
    layer = layer_of(options, dtype=torch.float32)
    done = elman.export.torch_program(layer, tmp_path / "layer.pt2")
    assert done.difference < 1e-5
    if not layer.bidirectional:
        assert elman.export.torch_program(layer, tmp_path / "s.pt2", step=True).difference < 1e-5


@pytest.mark.parametrize("quantize", [None, "int8"])
@one_way
def test_c_computes_the_same(options, quantize, tmp_path):
    """The exporter compiles the program and compares it, half of its rows from their first state."""
    layer = layer_of(options, cell=elman.cells.gru, dtype=torch.float32)
    done = elman.export.c(
        layer, tmp_path / "layer.c", output=torch.nn.Linear(HIDDEN, 2), quantize=quantize
    )
    assert done.difference < 1e-5
    assert "static void layer_norm(" in done.files[0].read_text() or not options.get("norm")


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("options", [OPTIONS["all"], OPTIONS["both ways, all and sum"]])
def test_compiled_layers_are_the_same(options):
    layer = layer_of(options)
    x = torch.randn(TIME, 2, INPUT, dtype=torch.float64, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = torch.compile(layer, fullgraph=True)(x, lengths=torch.tensor([6, 2]))
    theirs = loop(layer, x, None, [6, 2])
    agree([ours[0], *ours[1]], [theirs[0], *theirs[1]])
    agree(gradients(layer, x, ours), gradients(layer, x, theirs))


@pytest.mark.parametrize(
    "other", [nn.LayerNorm(6, eps=1e-6), nn.LayerNorm(6, elementwise_affine=False), nn.Identity()]
)
@pytest.mark.parametrize("kind", ["Recurrent", "Stack"])
def test_norms_of_another_kind_are_refused(kind, other):
    if kind == "Stack":
        layers = [elman.Recurrent(elman.cells.gru, 6, 6) for _ in range(2)]
        module = elman.Stack(layers, norm=True)
    else:
        module = elman.Recurrent(elman.cells.gru, 6, 6, 2, norm=True)
    module.norms[0] = other
    with pytest.raises(OptionError, match="it must stay a LayerNorm with eps 1e-05"):
        module(torch.randn(3, 2, 6))


def test_a_norm_without_a_bias():
    layer = elman.Recurrent(elman.cells.gru, 6, 6, 2, norm=True)
    wanted, _ = layer(x := torch.randn(3, 2, 6))
    layer.norms[0] = nn.LayerNorm(6, bias=False)
    torch.testing.assert_close(layer(x)[0], wanted)
