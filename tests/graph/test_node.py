"""Nodes are interned: one value, one object, for as long as somebody holds it."""

import copy
import gc
import pickle
import sys
import threading

import pytest

from elman.errors import CellError
from elman.graph import cell, sigmoid, tanh
from elman.graph import node as nodes
from elman.graph.node import Misuse, SizeClash, ancestors, apply, intern

H = intern("state", (), "h")
C = intern("state", (), "c")
X = intern("input", (), None)


def test_the_same_expression_is_the_same_node():
    assert tanh(H + C) is tanh(H + C)
    assert (1 - H) is (1.0 - H)
    assert intern("state", (), "h") is H


def test_other_expressions_are_other_nodes():
    assert (H + C) is not (C + H)
    assert (H - C) is not (H + C)
    assert 2 * H is not 3 * H
    assert intern("vector", (), ("W", "f")) is not intern("matrix", (), ("W", "f"))
    assert intern("vector", (), ("b", "f")) is not intern("vector", (), ("b", "g"))


def test_equality_is_identity():
    assert (H == H) is True
    assert (H == C) is False
    assert (H != C) is True


def test_a_node_cannot_be_changed():
    with pytest.raises(AttributeError, match="a node is immutable: cannot set size"):
        H.size = "input"


def test_copies_and_pickles_of_a_node_are_the_node():
    node = sigmoid(H * 2 + C)
    assert copy.copy(node) is node
    assert copy.deepcopy({"here": [node]})["here"][0] is node
    assert pickle.loads(pickle.dumps(node)) is node  # noqa: S301


def test_a_node_shows_how_it_was_made():
    assert repr(tanh(H + 1)) == "tanh(add(state(h), constant(1.0)))"


def test_nodes_die_with_the_cells_that_hold_them():
    gc.collect()
    before = len(nodes._interned)

    @cell
    def short_lived(x, h, *, W):
        for number in range(50):
            h = tanh(W.a @ [h, x] + 0.125 * number)
        return h

    assert len(nodes._interned) >= before + 150
    del short_lived
    gc.collect()
    assert len(nodes._interned) == before


@pytest.mark.thorough
def test_nodes_die_with_a_cell_that_could_not_be_traced():
    gc.collect()
    before = len(nodes._interned)

    def wrong(x, h, *, W):
        return tanh(W.a @ h * 0.123) + x

    with pytest.raises(CellError):
        cell(wrong)
    gc.collect()
    assert len(nodes._interned) == before


def test_a_long_chain_of_nodes_is_made_and_forgotten():
    gc.collect()
    before = len(nodes._interned)
    node = H
    for _ in range(20_000):  # deeper than Python may recurse
        node = node + 1.5
    assert len(ancestors([node])) == 20_002
    del node
    gc.collect()
    assert len(nodes._interned) <= before + 1


def test_threads_that_make_one_node_get_one_node():
    """Many short races: two threads must never both make it."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    count, rounds = 4, 60
    barrier = threading.Barrier(count)
    made = [[] for _ in range(count)]

    def work(k):
        for trial in range(rounds):
            barrier.wait()
            made[k].extend([apply("add", H, 1000.5 + 20 * trial + j) for j in range(20)])

    threads = [threading.Thread(target=work, args=(k,)) for k in range(count)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert [len(found) for found in made] == [rounds * 20] * count
    assert all(len(set(same)) == 1 for same in zip(*made, strict=True))


def test_ancestors_come_operands_first_and_once():
    node = tanh(H + C) * (H + C)
    assert ancestors([node, H]) == (H, C, H + C, tanh(H + C), node)
    assert ancestors([C, H]) == (C, H)


def test_ancestors_stop_where_they_are_told_to():
    inner = H + C
    assert ancestors([tanh(inner)], stop={inner}) == (inner, tanh(inner))


# sizes


def test_sizes_follow_from_the_operands():
    matrix = intern("matrix", (), ("W", "f"))
    assert X.size == "input"
    assert H.size == "hidden"
    assert tanh(X * 2).size == "input"
    assert (2 + tanh(H)).size == "hidden"
    assert apply("tanh", 1.0).size == "one"
    assert apply("product", matrix, H, X).size == "hidden"


def test_operands_of_two_sizes_clash_and_say_which():
    with pytest.raises(SizeClash) as caught:
        apply("add", 1 + H, X)
    assert (caught.value.first, caught.value.second) == (0, 1)
    assert caught.value.operands == (1 + H, X)
    with pytest.raises(SizeClash) as caught:
        apply("where", H < 1.0, 2.0, X)
    assert (caught.value.first, caught.value.second) == (0, 2)


def test_a_matrix_is_for_products_and_functions_of_matrices():
    matrix = intern("matrix", (), ("W", "f"))
    assert apply("tanh", matrix).size == "matrix"
    with pytest.raises(Misuse, match="a matrix and a vector are not of one size"):
        apply("add", matrix, H)
    with pytest.raises(Misuse, match="the left operand of @ must be a matrix"):
        apply("product", H, X)
    with pytest.raises(Misuse, match="the product of two matrices is not available"):
        apply("product", matrix, matrix)
