"""No name that the language accepts changes what is computed, kept, saved or loaded.

States, gates and families are called as Python's keywords, as attributes of torch's modules, as
methods of dictionaries and as the engine's own buffers are; results are those of the same cell with
plain names, to the last bit.
"""

import copy
import io
import keyword
import pickle

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

import elman
from elman.backends.native.llvm.ir import Builder
from elman.backends.native.programs import programs_of
from elman.errors import CellError
from elman.graph import Cell, cell, sigmoid, tanh
from elman.training.weights import model_tensors, put_model_tensors, read_tensors, write_tensors
from graph.renamed import renamed

STATES, FAMILIES, GATES = ("h", "c", "n"), ("W", "b", "p"), ("f", "g", "o")


@cell
def plain(x, h, c, n, *, W, b, p):
    """Three states, all of which backward reads at every step."""
    f = sigmoid(W.f @ [h, tanh(x)] + b.f)
    g = tanh(W.g @ [f * c, x] + b.g)
    n = f * n + (1 - f) * g
    c = sigmoid(p.o * c + b.o) * c + g * n
    h = tanh(W.o @ c) * tanh(n)
    return h, c, n


def own_names() -> set[str]:
    """The words in the names of the engine's own buffers."""
    found = {"x", "y", "dx", "dy"}
    for half in (False, True):
        programs = programs_of(plain.text, bf16=half)
        made = [programs.backward, programs.projection, programs.precompute, programs.into_input]
        made += [programs.forward(save=k, hoisted=h) for k in (False, True) for h in (False, True)]
        for program in made:
            for buffer in program.buffers if program else ():
                found.update([buffer.name, buffer.name.replace(" ", "_"), *buffer.name.split()])
    return {name for name in found if name.isidentifier()}


def _known() -> list[str]:
    direction = elman.Recurrent(plain, 1, 1).layers[0][0]
    found = {*keyword.kwlist, *dir(nn.Module()), *dir({}), *dir(nn.ParameterDict()), *own_names()}
    found |= {*dir(direction), *vars(direction), *dir(direction.W), "cell", "layers", "input"}
    return sorted(found)


KNOWN = _known()
any_name = st.sampled_from(KNOWN) | st.from_regex(r"[^\W\d]\w{0,8}", fullmatch=True).filter(
    str.isidentifier
)
gate_name = any_name.filter(lambda name: not name.startswith("_"))


@st.composite
def all_names(draw):
    """New names for everything in ``plain``."""
    states = draw(st.lists(any_name, min_size=3, max_size=3, unique=True))
    families = draw(st.lists(any_name, min_size=3, max_size=3, unique=True))
    gates = draw(st.lists(gate_name, min_size=3, max_size=3, unique=True))
    return names(states, families, gates, draw(any_name))


def names(states=STATES, families=FAMILIES, gates=GATES, x="x"):
    found = {"x": x}
    for kind, old, new in (
        ("state", STATES, states),
        ("family", FAMILIES, families),
        ("gate", GATES, gates),
    ):
        found |= {f"{kind} {a}": b for a, b in zip(old, new, strict=True)}
    return found


def layer_of(own: Cell, backend: str = "native", dtype=torch.float32, **options) -> elman.Recurrent:
    """A layer whose weights depend on their places only."""
    made = elman.Recurrent(own, 3, 4, backend=backend, dtype=dtype, **options)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 2)
    return made


def results(layer: elman.Recurrent) -> list[torch.Tensor]:
    """Outputs, states and all gradients of a ragged batch, from starting states."""
    generator = torch.Generator().manual_seed(6)
    dtype = next(layer.parameters()).dtype

    def draw(*shape):
        return torch.randn(shape, generator=generator).to(dtype).requires_grad_()

    x, first = draw(6, 4, 3), tuple([draw(2, 4, 4) for _ in range(3)])
    y, last = layer(x, first, lengths=[6, 2, 0, 5])
    outputs = [y, *last]
    grads = [draw(*output.shape).detach() for output in outputs]
    wanted = [x, *first, *layer.parameters()]
    return [*outputs, *torch.autograd.grad(outputs, wanted, grads)]


def steps(layer: elman.Recurrent) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    state, found = None, []
    with torch.no_grad():
        for _ in range(3):
            y, state = layer.step(torch.randn(2, 3, generator=generator), state)
            found += [y, *state]
    return found


def assert_same(found, expected):
    assert all([torch.equal(a, b) for a, b in zip(found, expected, strict=True)])


@pytest.fixture(scope="module")
def expected():
    with torch.no_grad():
        streaming = steps(layer_of(plain))
    return {
        backend: results(layer_of(plain, backend, bidirectional=True))
        for backend in ("native", "reference")
    } | {"steps": streaming}


def test_the_two_engines_agree_on_the_plain_cell():
    found, reference = (
        results(layer_of(plain, backend, torch.float64, bidirectional=True))
        for backend in ("native", "reference")
    )
    for ours, theirs in zip(found, reference, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-11)


@pytest.mark.thorough
@settings(deadline=None, max_examples=12)
@example(names(("y", "x", "dy")))
@example(names(("dx", "d", "x")))
@example(names(gates=("keys", "values", "items"), families=("float", "reset", "forward")))
@example(names(gates=("type", "training", "train"), families=("__class__", "training", "_modules")))
@example(names(gates=("half", "as_node", "lambda"), families=("train", "_parameters", "eval")))
@given(all_names())
def test_names_change_nothing(expected, tmp_path_factory, new):
    own = renamed(plain, new)
    for backend in ("reference", "native"):
        layer = layer_of(own, backend, bidirectional=True)
        assert_same(results(layer), expected[backend])
    keys = [
        f"layers.0.{d}.{new[f'family {p.family}']}.{new[f'gate {p.gate}']}"
        for d in range(2)
        for p in plain.parameters
    ]
    assert list(layer.state_dict()) == keys == [name for name, _ in layer.named_parameters()]

    path = tmp_path_factory.mktemp("names") / "model.safetensors"
    write_tensors(path, model_tensors(layer), {})
    for assign in (False, True):
        read = elman.Recurrent(own, 3, 4, bidirectional=True)
        read.load_state_dict(read_tensors(path)[0], assign=assign)
        assert_same(results(read.eval().train()), expected["native"])
    again = elman.Recurrent(own, 3, 4, bidirectional=True)
    put_model_tensors(again, read_tensors(path)[0], path)
    for twin in (
        again,
        copy.deepcopy(layer),
        pickle.loads(pickle.dumps(layer)),  # noqa: S301
        layer.double().float().requires_grad_(),
    ):
        assert_same(results(twin), expected["native"])
    whole = io.BytesIO()
    torch.save(layer, whole)
    whole.seek(0)
    assert_same(results(torch.load(whole, weights_only=False)), expected["native"])


@settings(deadline=None, max_examples=6)
@example(names(("y", "x", "dy"), ("reset", "step", "b")))
@given(all_names())
def test_names_change_no_step(expected, new):
    assert_same(steps(layer_of(renamed(plain, new))), expected["steps"])


@pytest.mark.parametrize("states", [("y", "x", "dy"), ("x", "y", "half"), ("first", "last", "x")])
def test_names_change_nothing_in_bfloat16(states):
    found = results(
        layer_of(renamed(plain, names(states)), dtype=torch.bfloat16, bidirectional=True)
    )
    assert_same(found, results(layer_of(plain, dtype=torch.bfloat16, bidirectional=True)))


def test_a_traced_state_may_be_called_y_or_x():
    @cell
    def reversed_names(y, x, *, W):
        return tanh(W.as_node @ [x, y])

    @cell
    def usual_names(x, h, *, W):
        return tanh(W.a @ [h, x])

    found = []
    for own in (reversed_names, usual_names):
        layer = layer_of(own)
        x = torch.linspace(-1, 1, 30).view(5, 2, 3).requires_grad_()
        y, _ = layer(x)
        found.append([y, *torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])])
    assert_same(*found)


def test_the_gates_of_a_declaration_are_read_as_python_reads_names():
    @cell(gates="ﬁ")
    def ligature(x, h, *, W):
        return tanh(W.ﬁ @ [h, x])

    assert ligature.gates == ("fi",)


# names that cannot be

SENTENCE = "must be a Python identifier of at most 100 characters."


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (
            names(("y of this step", "c", "n")),
            f"the name of the state 'y of this step' {SENTENCE}",
        ),
        (names(("a\nb", "c", "n")), f"the name of the state 'a\\nb' {SENTENCE}"),
        (names(families=("W.x", "b", "p")), f"the name of the family 'W.x' {SENTENCE}"),
        (names(gates=("", "g", "o")), f"the name of the gate '' {SENTENCE}"),
        (names(gates=("\ud800", "g", "o")), f"the name of the gate '\\ud800' {SENTENCE}"),
        (names(gates=("_f", "g", "o")), 'the name of the gate _f must not begin with "_".'),
        (names(("h", "h", "n")), "two of its states have the same name."),
        (names(x="x\u2028"), f"the name of the input 'x\\u2028' {SENTENCE}"),
        (
            names(("h" * 101, "c", "n")),
            f"the name of the state '{'h' * 59}... {SENTENCE}",
        ),
    ],
)
def test_a_name_that_cannot_be_is_refused_by_one_sentence(new, said):
    with pytest.raises(CellError) as caught:
        renamed(plain, new)
    assert str(caught.value) == f"plain: {said}"


def test_the_engine_has_no_buffer_that_is_called_as_a_state_is():
    for half in (False, True):
        usual = programs_of(plain.text, bf16=half)
        odd = programs_of(renamed(plain, names(("y", "x", "dy"))).text, bf16=half)
        for one, other in (
            (usual.backward, odd.backward),
            (usual.forward(save=True, hoisted=False), odd.forward(save=True, hoisted=False)),
        ):
            called = [buffer.name for buffer in one.buffers]
            assert called == [buffer.name for buffer in other.buffers]
            assert len(set(called)) == len(called)


def test_a_comment_in_a_kernel_ends_with_its_line():
    builder = Builder("float", 4)
    builder.comment("h\n  ret void\r; \u2028\x85\ud800")
    assert builder.lines == ["  ; h?  ret void?; ???"]
