"""Every mistake in a cell is one sentence: the cell's name, the line, its text, what to do.

Each wrong cell has the comment ``# here`` at the line that its sentence must name.  Beside each
family of mistakes stands a cell that is right, in ``test_trace.py``.
"""

import inspect
import math

import numpy as np
import pytest
import torch

from elman.errors import CellError, ElmanError
from elman.graph import cell, exp, layer_norm, maximum, sigmoid, tanh, where


def place(function):
    """What the sentence must begin with: name, line, file, and the text of the line."""
    lines, first = inspect.getsourcelines(function)
    found = [k for k, line in enumerate(lines) if "# here" in line]
    (offset,) = found
    return (
        f"{function.__name__}, line {first + offset} of test_mistakes.py, "
        f"`{lines[offset].strip()}`: "
    )


def sentence(function, **options):
    with pytest.raises(CellError) as caught:
        cell(**options)(function) if options else cell(function)
    assert isinstance(caught.value, ElmanError)
    return str(caught.value)


# names of gates


def typo(x, h, *, W, b):
    f = sigmoid(W.f @ [h, x] + b.f)
    g = tanh(W.gg @ [h, x] + b.g)  # here
    return f * h + g


def typo_in_a_vector(x, h, *, W, b):
    f = sigmoid(W.f @ [h, x])
    g = tanh(
        W.g @ [h, x] + b.h  # here
    )
    return f * h + g


@pytest.mark.parametrize(("function", "name"), [(typo, "W.gg"), (typo_in_a_vector, "b.h")])
def test_a_typo_of_a_gate(function, name):
    assert sentence(function, gates="f g") == place(function) + (
        f'{name}: "{name[2:]}" is not one of the declared gates f, g; correct it or add it to '
        'gates="...".'
    )


def one_gate(x, h, *, W, b):  # here
    return tanh(W.f @ [h, x])


def declaration(function):
    """Sentences on the decorator's options name the line where the function begins."""
    _, first = inspect.getsourcelines(function)
    text = inspect.getsource(function).splitlines()[0]
    return f"{function.__name__}, line {first} of test_mistakes.py, `{text}`: "


@pytest.mark.parametrize(
    ("gates", "said"),
    [
        ("f g", 'the declared gate g never occurs in the equations; correct gates="..." or use '),
        ("f g o", 'the declared gates g, o never occur in the equations; correct gates="..." or '),
        ("f f", "the gate f is declared twice."),
        ("i, f", "gates is 'i, f'; separate the names with blanks, as in gates="),
        (["f"], "gates is ['f']; separate the names with blanks, as in gates="),
    ],
)
def test_declared_gates_that_cannot_be(gates, said):
    assert sentence(one_gate, gates=gates).startswith(declaration(one_gate) + said)


def private_gate(x, h, *, W, b):
    return tanh(W._f @ [h, x])  # here


def test_a_gate_that_begins_with_an_underscore():
    assert sentence(private_gate) == place(private_gate) + (
        'W._f: the name of a gate cannot begin with "_".'
    )


@pytest.mark.parametrize(
    ("init", "said"),
    [
        ({"b.f": 1.0}, "init names b.f; its parameters are W.f."),
        ({"W": 1.0}, "init names W; its parameters are W.f."),
        ({"W.f": "1"}, "init gives W.f the value '1', not a number."),
        ({"W.f": True}, "init gives W.f the value True, not a number."),
        (["W.f"], 'init must map names of parameters to numbers, as in {"b.f": 1.0}.'),
        ({1: 1.0}, 'init must map names of parameters to numbers, as in {"b.f": 1.0}.'),
    ],
)
def test_first_values_that_cannot_be(init, said):
    assert sentence(one_gate, init=init) == declaration(one_gate) + said


def no_parameter(x, h):
    return tanh(h)


def test_first_values_for_a_cell_without_parameters():
    assert sentence(no_parameter, init={"b.f": 1.0}) == declaration(no_parameter) + (
        "init names b.f; it has no parameters."
    )


# what is returned


def one_too_few(x, h, c, *, W):
    c = tanh(W.c @ [h, x]) + c
    return c  # here


def one_too_many(x, h, *, W):
    h = tanh(W.c @ [h, x])
    return (  # here
        h,
        h,
    )


def nothing(x, h, c, *, W):
    h = tanh(W.c @ [h, x])
    c = h + c  # here


def test_a_wrong_number_of_returned_states():
    assert sentence(one_too_few) == place(one_too_few) + (
        "one_too_few has 2 states (h, c) but returns 1; end with `return h, c`, the next value of "
        "each state."
    )
    assert sentence(one_too_many) == place(one_too_many) + (
        "one_too_many has 1 state (h) but returns 2; end with `return h`, the next value of each "
        "state."
    )
    assert sentence(nothing) == place(nothing) + (
        "nothing returns nothing; end with `return h, c`, the next value of each state."
    )


def returned_number(x, h, c):
    return h, 0.5  # here


def returned_input(x, h, c):
    return h, tanh(x)  # here


def returned_constant(x, h, c):
    return h, tanh(1.0)  # here


def returned_matrix(x, h, c, *, W):
    h = W.f @ h
    return h, W.f  # here


def returned_family(x, h, c, *, W):
    return h, W  # here


def returned_comparison(x, h, c):
    return h, h > c  # here


def returned_function(x, h):
    return tanh  # here


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (returned_number, "the next c is 0.5, which is not a value of the cell."),
        (returned_input, "the next c has size input; a state has size hidden."),
        (returned_constant, "the next c has size one; a state has size hidden."),
        (returned_matrix, "W.f is used as a matrix (left operand of @) and as a vector; these "),
        (returned_family, "W is a family of parameters; use one, such as W.f."),
        (returned_comparison, "the next c is a comparison; use where(condition, a, b)."),
        (returned_function, "the next h is <function tanh at "),
    ],
)
def test_a_returned_value_that_is_no_state(function, said):
    assert sentence(function).startswith(place(function) + said)


# Python that needs a value


def branch(x, h, *, W):
    h = W.f @ [h, x]
    if h > 0:  # here
        return h
    return -h


def both(x, h, *, W):
    return W.f @ x and h  # here


def negated(x, h):
    return where(not h, h, 1.0)  # here


def chained(x, h):
    return where(0 < h < 1, h, 1.0)  # here


def largest(x, h, *, W):
    return max(h, W.f @ x)  # here


def while_loop(x, h):
    while h > 1:  # here
        h = 0.5 * h
    return h


@pytest.mark.parametrize("function", [branch, both, negated, chained, largest, while_loop])
def test_python_cannot_branch_on_a_value(function):
    assert sentence(function) == place(function) + (
        "a value is symbolic while the cell is traced, so Python cannot branch on it; use "
        "where(condition, a, b), maximum or minimum."
    )


def of_math(x, h):
    return math.tanh(h)  # here


def as_float(x, h):
    return float(h) * h  # here


@pytest.mark.parametrize("function", [of_math, as_float])
def test_a_value_is_no_number_yet(function):
    assert sentence(function) == place(function) + (
        "a value is symbolic while the cell is traced; use Elman's sigmoid, tanh, exp ... instead "
        "of those of math, numpy or torch."
    )


def of_numpy(x, h):
    return np.tanh(h)  # here


def of_numpy_on_a_parameter(x, h, *, b):
    return h + np.exp(b.f)  # here


def of_torch(x, h):
    return torch.tanh(h)  # here


def of_torch_on_a_family(x, h, *, b):
    return h + torch.sigmoid(b)  # here


def method(x, h):
    return h.sigmoid()  # here


def whole_number(x, h):
    return round(h)  # here


def remainder(x, h):
    return h % 2  # here


def power_of_two(x, h):
    return 2**h  # here


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (of_numpy, "operand 'Node' does not support ufuncs"),
        (of_numpy_on_a_parameter, "operand 'LearnedParameter' does not support ufuncs"),
        (of_torch, "must be Tensor, not Node"),
        (of_torch_on_a_family, "must be Tensor, not Family"),
        (whole_number, "type Node doesn't define __round__ method"),
        (remainder, "unsupported operand type(s) for %: 'Node' and 'int'"),
        (power_of_two, "unsupported operand type(s) for ** or pow(): 'int' and 'Node'"),
    ],
)
def test_what_the_language_does_not_have(function, reason):
    said = sentence(function)
    assert said.startswith(
        place(function) + "the cell language does not support this; it has + - * /, @, "
        "comparisons in where, and Elman's sigmoid, tanh, relu, exp ... ("
    )
    assert reason in said
    assert said.endswith(").")


def unknown_name(x, h):
    return sigmoidd(h)  # here  # noqa: F821


def test_other_errors_of_python_are_passed_on_with_the_line():
    with pytest.raises(CellError) as caught:
        cell(unknown_name)
    assert str(caught.value) == place(unknown_name) + "name 'sigmoidd' is not defined."
    assert isinstance(caught.value.__cause__, NameError)


def indexed(x, h):
    return h[0] * h  # here


def unpacked(x, h):
    first, second = h  # here
    return first + second


def power(x, h):
    return h**2  # here


def without_star(x, h, W):
    return W.f @ [h, x], W  # here


def product_with_a_list(x, h, *, W):
    return W.f * [h, x]  # here


def of_an_array(x, h):
    return np.ones(3) * h  # here


def of_a_tensor(x, h):
    return torch.tensor(2.0) * h  # here


def of_a_string(x, h):
    return h + "1"  # here


def equal(x, h):
    return where(h == 0, h, 1.0)  # here


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (indexed, "a value of the cell cannot be indexed."),
        (unpacked, "a value of the cell cannot be iterated over or unpacked."),
        (
            method,
            'a value of a cell has no attribute "sigmoid"; declare parameters after a *, as in ',
        ),
        (
            without_star,
            'a value of a cell has no attribute "f"; declare parameters after a *, as in ',
        ),
        (
            product_with_a_list,
            "this takes one value, not a list; only a matrix product takes a list",
        ),
        (power, "the cell language has no **; write a product, or exp(... * log(...))."),
        (of_an_array, "array([1., 1., 1.]) is a ndarray; equations may only contain the cell's "),
        (of_a_tensor, "tensor(2.) is a Tensor; equations may only contain the cell's values, its "),
        (of_a_string, "'1' is a str; equations may only contain the cell's values, its parameter"),
        (equal, "False is a Python bool, such as == and != return; write a condition with "),
    ],
)
def test_what_a_value_cannot_do(function, said):
    assert sentence(function).startswith(place(function) + said)


# comparisons


def as_factor(x, h, *, W):
    open_gate = W.f @ x > 0
    return open_gate * h  # here


def as_operand(x, h, *, W):
    return W.f @ [h > 0, x]  # here


def in_tanh(x, h):
    return tanh(h >= 0)  # here


@pytest.mark.parametrize("function", [as_factor, as_operand, in_tanh])
def test_a_comparison_is_the_condition_of_where_only(function):
    assert sentence(function) == place(function) + (
        "a comparison can only be the first operand of where(condition, a, b)."
    )


def no_condition(x, h, *, W):
    return where(W.f @ x, h, 1.0)  # here


def test_where_needs_a_comparison():
    assert sentence(no_condition) == place(no_condition) + (
        "the first operand of where is not a comparison; write where(a > b, ...)."
    )


# sizes


def clash(x, h, c, *, W):
    g = tanh(x)
    c = c * W.f @ x if False else c * g  # here
    return h, c


def clash_of_expressions(x, h, *, W, b):
    h = tanh(W.f @ [h, x] + b.f) + 2 * x  # here
    return h


def clash_of_a_parameter(x, h, *, p):
    return h + p.f * x  # here


def clash_in_where(x, h, c):
    return where(h > c, h, x), c  # here


def clash_in_a_comparison(x, h):
    return where(h > x, h, 1.0)  # here


def clash_with_a_choice(x, h):
    return maximum(x, h)  # here


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (clash, "c has size hidden, g has size input."),
        (
            clash_of_expressions,
            "tanh(W.f · [h, x] + b.f) has size hidden, 2 * x has size input.",
        ),
        (clash_of_a_parameter, "p.f has size hidden, x has size input."),
        (clash_in_where, "h > c has size hidden, x has size input."),
        (clash_in_a_comparison, "h has size hidden, x has size input."),
        (clash_with_a_choice, "x has size input, h has size hidden."),
    ],
)
def test_sizes_that_clash_are_named(function, said):
    assert sentence(function) == place(function) + said


def helper(a, b):
    return a + b


def clash_in_a_helper(x, h):
    u = tanh(x)
    return helper(h, u)  # here


def test_a_clash_in_a_helper_names_the_line_of_the_cell():
    assert sentence(clash_in_a_helper) == place(clash_in_a_helper) + (
        "h has size hidden, u has size input."
    )


# matrices and vectors


def matrix_as_vector(x, h, *, W):
    f = sigmoid(W.f @ [h, x])
    return f * W.f  # here


def vector_as_matrix(x, h, *, W):
    f = sigmoid(W.f)
    return f * (W.f @ [h, x])  # here


@pytest.mark.parametrize("function", [matrix_as_vector, vector_as_matrix])
def test_one_parameter_is_a_matrix_or_a_vector(function):
    assert sentence(function) == place(function) + (
        "W.f is used as a matrix (left operand of @) and as a vector; these are two parameters, "
        "so give them two names."
    )


def no_gate(x, h, *, W):
    return tanh(W @ [h, x])  # here


def family_as_value(x, h, *, W, b):
    return tanh(W.f @ [h, x] + b)  # here


def family_on_the_left(x, h, *, W, b):
    return b * h  # here


def family_by_index(x, h, *, W):
    return W["f"] @ h  # here


@pytest.mark.parametrize(
    ("function", "name"),
    [(no_gate, "W"), (family_as_value, "b"), (family_on_the_left, "b"), (family_by_index, "W")],
)
def test_a_family_without_a_gate(function, name):
    assert sentence(function) == place(function) + (
        f"{name} is a family of parameters; use one, such as {name}.f."
    )


def wrong_way_round(x, h, *, W):
    return tanh(h @ W.f)  # here


def two_values(x, h, *, W):
    h = tanh(h) @ h  # here
    return h


@pytest.mark.parametrize("function", [wrong_way_round, two_values])
def test_the_left_of_a_product_is_a_matrix(function):
    assert sentence(function) == place(function) + (
        "the left operand of @ must be a matrix of learned parameters, as in W.f @ [h, x], or a "
        "matrix state; write a matrix that is computed from parameters with matrix(W.f)."
    )


def list_on_the_left(x, h, *, W):
    return [h, x] @ W.f  # here


def test_a_list_on_the_left_of_a_product():
    assert sentence(list_on_the_left) == place(list_on_the_left) + (
        "the left operand of @ must be a matrix of learned parameters, as in W.f @ [h, x], or a "
        "matrix state; write a matrix that is computed from parameters with matrix(W.f)."
    )


def other_columns(x, h, c, *, W):
    f = sigmoid(W.f @ [h, x])
    return f, W.f @ [h, c, x]  # here


def test_a_matrix_has_one_set_of_columns():
    assert sentence(other_columns) == place(other_columns) + (
        "W.f multiplies [hidden, hidden, input] here but multiplied [hidden, input] before; the "
        "columns of a matrix must match."
    )


def empty_list(x, h, *, W):
    return W.f @ []  # here


def product_with_a_number(x, h, *, W):
    return W.f @ [h, 1.0]  # here


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (empty_list, "the list that is the right operand of @ is empty."),
        (
            product_with_a_number,
            "a matrix cannot multiply a constant or another value of size one; use a vector, such "
            "as b.f or p.f * dt, or give what it multiplies a size with a name, to which a layer "
            'gives the number 1, as in sizes={"W.d": "single"}.',
        ),
    ],
)
def test_the_right_of_a_product_are_values(function, said):
    assert sentence(function) == place(function) + said


# the function itself


def starred(x, h, *more):
    return h


def any_keyword(x, h, **families):
    return h


def no_state(x, *, W):
    return W.f @ x


def no_input(*, W):
    return W


def with_a_default(x, h, *, W, slope=0.1):
    return slope * (W.f @ x)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (
            with_a_default,
            "slope has the default 0.1; arguments are the input, the states and the families of "
            "parameters. Write numbers in the equations.",
        ),
        (starred, "*more is not allowed; name every state and family."),
        (any_keyword, "**families is not allowed; name every state and family."),
        (
            no_state,
            "a cell takes an input, at least one state, and families of parameters "
            "after a *, as in def no_state(x, h, *, W, b).",
        ),
        (
            no_input,
            "a cell takes an input, at least one state, and families of parameters "
            "after a *, as in def no_input(x, h, *, W, b).",
        ),
    ],
)
def test_arguments_that_cannot_be(function, said):
    assert sentence(function) == declaration(function) + said


@pytest.mark.parametrize("given", ["f g", 3, cell(no_parameter), np.tanh])
def test_what_is_no_function(given):
    with pytest.raises(CellError) as caught:
        cell(given)
    assert str(caught.value) == (
        f"@cell decorates a function, not {given!r}; pass options by keyword, as in "
        '@cell(gates="i f g o").'
    )


def test_a_cell_whose_source_is_nowhere_still_names_its_line():
    names = {"cell": cell, "exp": exp}
    exec("def typed(x, h):\n    y = exp(h)\n    return y + x\n", names)
    assert sentence(names["typed"]) == "typed, line 3: y has size hidden, x has size input."


def test_the_sentence_names_the_line_below_the_decorator():
    with pytest.raises(CellError) as caught:

        @cell(
            gates="f",
            init={"b.f": 1.0},
        )
        def decorated(x, h, *, W, b):
            f = sigmoid(W.f @ [h, x] + b.f)
            return layer_norm(f) * x

    line = inspect.getsourcelines(test_the_sentence_names_the_line_below_the_decorator)[1] + 9
    assert str(caught.value) == (
        f"decorated, line {line} of test_mistakes.py, `return layer_norm(f) * x`: "
        "layer_norm(f) has size hidden, x has size input."
    )


def test_a_mistake_leaves_nothing_behind_for_the_next_cell():
    with pytest.raises(CellError):
        cell(clash)

    @cell
    def right(x, h, *, W):
        f = sigmoid(W.f @ [h, x])
        return f

    assert right.gates == ("f",)
    assert str(right) == "h' = σ(W.f · [h, x])"
