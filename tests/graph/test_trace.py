"""What `@cell` understands: states, gates, parameters, and everything Python may do around them."""

import copy
import pickle
import threading

import numpy as np
import pytest

from elman.errors import CellError
from elman.graph import (
    Cell,
    cell,
    exp,
    maximum,
    read_cell,
    relu,
    sigmoid,
    softplus,
    tanh,
    where,
)
from elman.graph.node import intern
from elman.graph.show import expression
from elman.graph.sizes import Sizes


def state(name):
    return intern("state", (), name)


@cell(gates="i f g o", init={"b.f": 1.0})
def long_short_term_memory(x, h, c, *, W, b):
    """Seven lines.

    And a second paragraph.
    """
    f = sigmoid(W.f @ [h, x] + b.f)
    i = sigmoid(W.i @ [h, x] + b.i)
    g = tanh(W.g @ [h, x] + b.g)
    o = sigmoid(W.o @ [h, x] + b.o)
    c = f * c + i * g
    h = o * tanh(c)
    return h, c


def test_the_lstm_is_read_as_written():
    read = long_short_term_memory
    assert isinstance(read, Cell)
    assert read.name == "long_short_term_memory"
    assert read.input == "x"
    assert read.states == ("h", "c")
    assert read.gates == ("i", "f", "g", "o")
    assert read.init == {"b.f": 1.0}
    assert read.doc == "Seven lines.\n\nAnd a second paragraph."


def test_parameters_come_by_family_in_the_declared_order_of_gates():
    found = [(p.key, p.kind, p.columns) for p in long_short_term_memory.parameters]
    matrices = [(f"W.{gate}", "matrix", ("hidden", "input")) for gate in "ifgo"]
    assert found == matrices + [(f"b.{gate}", "vector", ()) for gate in "ifgo"]


def test_without_declared_gates_the_order_is_that_of_first_use():
    @cell
    def undeclared(x, h, *, W, b):
        return tanh(W.second @ x + b.bias) * sigmoid(W.first @ h)

    assert undeclared.gates == ("second", "bias", "first")
    assert [p.key for p in undeclared.parameters] == ["W.second", "W.first", "b.bias"]


def test_shapes_follow_the_operands_in_the_order_written():
    @cell
    def shaped(x, h, c, *, W, b):
        return W.wide @ [c, h, x] + W.tall @ x + b.v, W.square @ h

    sizes = Sizes(input=5, hidden=3)
    assert {p.key: p.shape(sizes) for p in shaped.parameters} == {
        "W.wide": (3, 3 + 3 + 5),
        "W.tall": (3, 5),
        "W.square": (3, 3),
        "b.v": (3,),
    }


def test_a_cell_has_one_state_or_two_or_three_or_four():
    @cell
    def one(x, h, *, W):
        return tanh(W.a @ [h, x])

    @cell
    def three(x, fast, middle, slow, *, W):
        middle = 0.9 * middle + 0.1 * fast
        slow = 0.99 * slow + 0.01 * middle
        return tanh(W.a @ [fast, middle, slow, x]), middle, slow

    @cell
    def exponential_gates(x, h, c, n, m, *, W, b):
        """An LSTM with exponential gates and a stabiliser (Beck et al. 2024, sLSTM)."""
        i = W.i @ [h, x] + b.i
        f = W.f @ [h, x] + b.f
        new_m = maximum(f + m, i)
        c = exp(f + m - new_m) * c + exp(i - new_m) * tanh(W.z @ [h, x] + b.z)
        n = exp(f + m - new_m) * n + exp(i - new_m)
        h = sigmoid(W.o @ [h, x] + b.o) * (c / n)
        return h, c, n, new_m

    assert one.states == ("h",)
    assert three.states == ("fast", "middle", "slow")
    assert exponential_gates.states == ("h", "c", "n", "m")
    assert [len(c.next_states) for c in (one, three, exponential_gates)] == [1, 3, 4]
    # f + m is one value however often it is written
    sums = [n for n in exponential_gates.nodes if expression(n, exponential_gates) == "f + m"]
    assert len(sums) == 1


def gate(W, b, h, x):
    return sigmoid(W @ [h, x] + b)


def test_helper_functions_and_closures_are_plain_python():
    slope = 0.25

    @cell(gates="f g")
    def helped(x, h, *, W, b):
        f = gate(W.f, b.f, h, x)
        leak = lambda v: maximum(v, slope * v)  # noqa: E731
        h = f * h + (1 - f) * leak(W.g @ [h, x])
        return h

    assert str(helped) == (
        "f = σ(W.f · [h, x] + b.f)\nh' = f * h + (1 - f) * max(W.g · [h, x], 0.25 * W.g · [h, x])"
    )


def test_python_loops_are_written_out():
    @cell
    def looped(x, h, *, W, b):
        total = W.x @ x
        for name in ("first", "second"):
            total = total + sigmoid(getattr(b, name)) * h
        return tanh(total)

    total = "total = W.x · x + σ(b.first) * h + σ(b.second) * h"
    assert str(looped) == f"{total}\nh' = tanh(total)"
    assert [p.key for p in looped.parameters] == ["W.x", "b.first", "b.second"]


def test_a_name_that_is_used_again_means_its_last_value():
    @cell
    def again(x, h, *, W):
        u = W.u @ x
        u = u + h
        u = tanh(u)
        return u * u

    assert str(again) == "u = tanh(W.u · x + h)\nh' = u * u"


@pytest.mark.parametrize(
    "number", [2, 2.0, np.float64(2), np.float32(2), np.int64(2)], ids=lambda n: type(n).__name__
)
def test_numbers_may_be_of_python_or_numpy(number):
    @cell
    def left(x, h):
        return number * h

    @cell
    def right(x, h):
        return h * number

    two = intern("constant", (), 2.0)
    assert left.next_states == (intern("multiply", (two, state("h")), None),)
    assert right.next_states == (intern("multiply", (state("h"), two), None),)


def test_the_next_state_may_be_another_state_or_shared_or_a_parameter():
    @cell
    def swap(x, h, c, n, *, b):
        return c, b.n, c

    assert swap.next_states == (state("c"), intern("vector", (), ("b", "n")), state("c"))
    assert [p.key for p in swap.parameters] == ["b.n"]


def test_a_list_may_be_returned_and_columns_may_be_a_tuple():
    @cell
    def listed(x, h, c, *, W):
        return [W.a @ (h, x), h]

    @cell
    def plain(x, h, c, *, W):
        return W.a @ [h, x], h

    assert listed.next_states == plain.next_states


def test_neither_input_nor_states_nor_parameters_must_be_used():
    @cell
    def idle(x, h, c, *, W, b):
        return 0.5 * h, h

    assert idle.parameters == ()
    assert idle.gates == ()
    assert [node.operation for node in idle.nodes] == ["constant", "state", "multiply"]


def test_one_matrix_may_stand_in_two_products_of_the_same_columns():
    @cell
    def shared(x, h, c, *, W):
        return tanh(W.a @ [h, x]), tanh(W.a @ [c, x])

    assert [(p.key, p.columns) for p in shared.parameters] == [("W.a", ("hidden", "input"))]


def test_a_first_value_may_be_an_integer():
    @cell(init={"b.f": 1})
    def started(x, h, *, b):
        return h + b.f

    assert started.init == {"b.f": 1.0}
    assert read_cell(started.text) == started


def test_comparisons_of_any_direction_are_two_operations():
    @cell
    def compared(x, h, c):
        v = where(h > c, 1.0, h) + where(c < h, 2.0, h)
        w = where(h >= c, 3.0, h) + where(c <= h, 4.0, h)
        return v, w

    found = [n for n in compared.nodes if n.operation in {"greater", "at_least"}]
    assert [(n.operation, n.operands) for n in found] == [
        ("greater", (state("h"), state("c"))),
        ("at_least", (state("h"), state("c"))),
    ]


# bias=False


def test_leaving_out_the_bias_takes_it_out_of_its_sums_only():
    bare = long_short_term_memory.without("b")
    assert [p.key for p in bare.parameters] == ["W.i", "W.f", "W.g", "W.o"]
    assert bare.init == {}
    assert bare.gates == long_short_term_memory.gates
    assert str(bare).splitlines()[0] == "f = σ(W.f · [h, x])"
    assert str(bare).splitlines()[-1] == "h' = o * tanh(c')"
    assert read_cell(bare.text) == bare


def test_a_bias_leaves_a_sum_of_any_form():
    @cell
    def sums(x, h, c, *, W, b):
        return b.f + W.f @ x, tanh((b.g + b.h) + h + b.f)

    @cell
    def bare(x, h, c, *, W, b):
        return W.f @ x, tanh(h)

    assert sums.without("b").next_states == bare.next_states


def test_a_cell_without_the_family_stays_as_it_is():
    @cell
    def none(x, h, *, W):
        return W.f @ x

    assert none.without("b") == none


def _decay(x, h, *, b):
    return exp(-softplus(b.f)) * h


def _only(x, h, *, b):
    return b.f + b.g


def _difference(x, h, *, b):
    f = h - b.f
    return f


def _number(x, h, *, b):
    return b.f + 1.0


def _matrix(x, h, *, b):
    return b.f @ x


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (_decay, "softplus(b.f)"),
        (_only, "b.f + b.g"),
        (_difference, "h - b.f"),
        (_number, "b.f + 1"),
        (_matrix, "b.f · x"),
    ],
)
def test_a_bias_that_is_more_than_added_cannot_be_left_out(function, text):
    made = cell(function)
    with pytest.raises(CellError) as caught:
        made.without("b")
    assert str(caught.value) == (
        f"{function.__name__}: bias=False cannot remove b from `{text}`; b must be added to "
        "something."
    )


# a cell is a value


def test_a_copy_of_a_cell_is_the_cell():
    assert copy.copy(long_short_term_memory) is long_short_term_memory
    assert copy.deepcopy([long_short_term_memory])[0] is long_short_term_memory


def test_a_pickled_cell_is_an_equal_cell():
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(long_short_term_memory, protocol))  # noqa: S301
        assert again == long_short_term_memory
        assert hash(again) == hash(long_short_term_memory)
        assert again.next_states == long_short_term_memory.next_states


def test_cells_with_the_same_equations_are_equal_and_others_are_not():
    def make(factor, doc=""):
        def f(x, h):
            return factor * relu(h)

        f.__doc__ = doc
        return cell(f)

    assert make(2.0) == make(2.0)
    assert make(2.0) != make(2.5)
    assert make(2.0) != make(2.0, doc="another docstring")
    assert make(2.0) != "f"


def test_a_cell_cannot_be_changed():
    with pytest.raises(AttributeError):
        long_short_term_memory.name = "other"


def test_a_cell_says_in_short_what_it_is():
    assert repr(long_short_term_memory) == "<cell long_short_term_memory: states h, c>"


def test_cells_traced_in_several_threads_do_not_disturb_one_another():
    def make(number):
        def f(x, h, *, W, b):
            for _ in range(20):
                u = tanh(W.a @ [h, x] + b.a)
                v = u * h
                h = v + where(u > v, u, number)
            return h

        return cell(f)

    alone = [make(k) for k in range(4)]
    found: dict[int, Cell] = {}
    start = threading.Barrier(4)

    def work(k):
        start.wait()
        found[k] = make(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, expected in enumerate(alone):
        assert found[k].next_states == expected.next_states
        assert found[k] == expected


def test_first_values_go_by_init_and_by_their_old_name():
    def gated(x, h, *, W, b):
        return sigmoid(W.f @ [h, x] + b.f)

    now = cell(init={"b.f": 1.0})(gated)
    assert now.init == {"b.f": 1.0}
    assert cell(start={"b.f": 1.0})(gated) == now
    with pytest.raises(CellError, match="start is the old name of init; omit start"):
        cell(init={}, start={})(gated)
