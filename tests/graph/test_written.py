"""Equations read from text: the same cells as ``@cell`` makes, and nothing is executed."""

import builtins
import sys
from contextlib import suppress
from types import FunctionType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import elman.graph
from elman.errors import CellError
from elman.graph import cell, read_equations, sigmoid, tanh, where
from elman.graph.written import FUNCTIONS

GATED = '''
from elman import cell, sigmoid, tanh

@cell(gates="f g", init={"b.f": 1.0})
def gated(x, h, c, *, W, b):
    """A gated unit."""
    f = sigmoid(W.f @ [h, x] + b.f)
    g, old = tanh(W.g @ (f * h, x) + b.g), c
    c = where(f > 0.5, g, -old) / 2
    c += 3 * g - 1
    h = (1 - f) * h + f * c
    return h, c
'''


@cell(gates="f g", init={"b.f": 1.0})
def gated(x, h, c, *, W, b):
    """A gated unit."""
    f = sigmoid(W.f @ [h, x] + b.f)
    g, old = tanh(W.g @ (f * h, x) + b.g), c
    c = where(f > 0.5, g, -old) / 2
    c += 3 * g - 1
    h = (1 - f) * h + f * c
    return h, c


def test_a_cell_from_text_is_the_cell_of_the_function():
    found = read_equations(GATED)
    assert found == gated
    assert (found.doc, found.init, str(found)) == (gated.doc, gated.init, str(gated))


def test_every_function_of_the_language_can_be_written():
    exported = {
        name for name in elman.graph.__all__ if isinstance(getattr(elman.graph, name), FunctionType)
    } - {"cell", "read_cell", "read_equations", "write_cell"}
    assert set(FUNCTIONS) == exported


def step(line, arguments="x, h, *, W, b"):
    return f"def a({arguments}):\n    {line}\n    return h"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        # what would run if the text were executed
        (step("h = __import__('os').system('true')"), "line 2, `h = __import__('os').system('true')`: call a function by its name"),
        (step("h = eval('h')"), "there is no function eval"),
        (step("h = open(h)"), "there is no function open"),
        (step("h = W.__class__"), 'W.__class__: the name of a gate cannot begin with "_"'),
        (step("h = W._recorder"), 'W._recorder: the name of a gate cannot begin with "_"'),
        (step("h = h.__class__"), 'h has no attribute "__class__"'),
        (step("h = W.f.g"), "the cell language does not have `W.f.g`"),
        (step("h = (lambda: h)()"), "call a function by its name"),
        (step("h = [h for h in h]"), "the cell language does not have `[h for h in h]`"),
        (step("h = (k := h)"), "the cell language does not have `(k := h)`"),
        (step("h = f'{h}'"), "the cell language does not have"),
        (step("h = h if h > 0 else x"), "the cell language does not have"),
        (step("h = tanh"), "tanh is a function; call it, as in tanh(h)"),
        (step("tanh(h)"), "this is not an equation"),
        (step("import os"), "this is not an equation"),
        (step("h[0] = h"), "the left side of an equation must be a name"),
        (step("h.x = h"), "the left side of an equation must be a name"),
        (step("for h in x: pass"), "this is not an equation"),
        (step("h: print(1) = h"), "this is not an equation"),
        ("print(1)", "the equations, line 1, `print(1)`: this is not an equation; write one function"),
        ("@print\ndef a(x, h): return h", "the decorator must be @cell"),
        ("@cell(gates=print(1))\ndef a(x, h): return h", "gates must be written out, without names"),
        ("@cell(init={print: 1})\ndef a(x, h): return h", "init must be written out, without names"),
        ("def a(x, h=print(1)): return h", "an argument has a default"),
        ("class a: pass", "write one function"),
        ("import elman", "write one function"),
        # mistakes
        ("", "the equations are missing"),
        ("def a(x, h) return h", "this is not valid Python"),
        ("def a(x, h): return h\ndef b(x, h): return h", "there is a second function"),
        ("def a(x): return x", "a cell takes an input, at least one state"),
        ("def a(x, *h): return h", "* and ** are not allowed"),
        (step("h = hh"), "hh is not defined; the names are x, h, W, b, and the functions"),
        (step("h = W.f @ [h, x] + b.f * h + W.f"), "W.f is used as a matrix"),
        (step("h = h ** 2"), "the cell language has no **; write a product"),
        (step("h = h % 2"), "the cell language has no such operator"),
        (step("h = h + x"), "h has size hidden, x has size input"),
        (step("h = tanh(h, h)"), "takes 1 positional argument but 2 were given"),
        (step("h = tanh(a=h)"), "tanh takes its operands without names"),
        (step("h = tanh(*h)"), "tanh takes its operands without names"),
        (step("h = h > 1"), "the next h is a comparison"),
        (step("h = 0 < h < 1"), "the cell language does not have `0 < h < 1`"),
        (step("h = 1 / 0 * h"), "this divides by the number 0; divide by another number"),
        (step("h = 1 / (2 - 2) * h"), "this divides by the number 0; divide by another number"),
        (step("h = h / 0"), "this divides by the number 0; divide by another number"),
        (step("h = b.f / 0.0 + h"), "this divides by the number 0; divide by another number"),
        (step("h /= 1 - 1"), "this divides by the number 0; divide by another number"),
        (step("h = h * 99999999999999999999"), "a number is too large"),
        (step("h = 1e999 * h"), "a number is too large"),
        (step("h = 1e300 * 1e300 * h"), "a number is too large"),
        (step("h = True * h"), "True is not a number"),
        (step("h = 'h'"), "'h' is not a number"),
        (step("h = W @ h"), "W is a family of parameters"),
        (step("h = tanh.f"), "tanh is not a family of parameters"),
        (step("return h"), "return must be the last line"),
        ("def a(x, h):\n    k = h", "a returns nothing"),
        ("def a(x, h):\n    return h, h", "a has 1 state (h) but returns 2"),
        ("@cell(gates='f ff')\n" + step("h = b.f"), "the declared gate ff never occurs"),
        ("@cell(init={'b.q': 1})\n" + step("h = b.f"), "init names b.q; its parameters are b.f"),
        ("@cell(init={'b.f': 'x'})\n" + step("h = b.f"), "init gives b.f the value 'x', not a number"),
        ("@cell(init=3)\n" + step("h = b.f"), "init must map names of parameters to numbers"),
        ("@cell(inputs={'k'})\n" + step("h = b.f"), "inputs must map names of inputs to sizes"),
        ("@cell(sizes=['b.f'])\n" + step("h = b.f"), "sizes must map names of states and parameters to sizes"),
        ("def a(x, h, h):\n    return h, h", "the argument h is declared twice"),
        ("def a(x, h, *, h):\n    return h", "the argument h is declared twice"),
        ("@cell(heads=3)\n" + step("h = b.f"), "@cell takes gates, init, inputs, sizes here, not heads"),
        # what would take too long
        (step("h = " + "-" * 3000 + "h"), "nested too deeply"),
        (step("h = " + "(" * 150 + "h" + ")" * 150 + "+ 1" * 300), "in a chain"),
        (step("\n    ".join([f"h = tanh(h + {k})" for k in range(300)])), "a step has"),
        (step("\n    ".join(["k = h + h"] * 1200)), "the equations are too long"),
        ("#" * 30_000, "the equations have 30,000 characters"),
        ("def a(x, h): return h\0", "null bytes"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_in_a_sentence(source, sentence, monkeypatch, request):
    executed = []
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)  # torch's compiler raises it
    request.addfinalizer(lambda: sys.setrecursionlimit(limit))
    with monkeypatch.context() as patched:
        for name in ("exec", "eval", "print"):
            patched.setattr(builtins, name, lambda *given, name=name: executed.append(name))
        with pytest.raises(CellError) as refused:
            read_equations(source)
    assert executed == []
    assert sentence in str(refused.value)


def test_annotations_are_not_evaluated():
    assert read_equations("def a(x: 1 / 0, h) -> 1 / 0: return h").states == ("h",)


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text):
    with suppress(CellError):
        read_equations(text)


@settings(deadline=None)
@given(st.data())
def test_a_damaged_cell_is_read_or_refused(data):
    start = data.draw(st.integers(0, len(GATED) - 1))
    length = data.draw(st.integers(0, 12))
    new = data.draw(st.text(alphabet="()[]{}.,@*:=+-x hW1f\n_\"'#\\", max_size=8))
    with suppress(CellError):
        read_equations(GATED[:start] + new + GATED[start + length :])
