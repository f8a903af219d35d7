"""Cells from the literature that are not in the catalogue, and cells at the edge of the language.

The first eight are the variants of "LSTM: A Search Space Odyssey" (Greff et al. 2015), each the
LSTM with diagonal peepholes with one thing changed.  ``VARIANTS`` and ``EDGES`` are for any test
that runs over many cells.
"""

from elman.graph import (
    Cell,
    cell,
    exp,
    log,
    maximum,
    minimum,
    relu,
    sigmoid,
    softplus,
    tanh,
    where,
)


@cell(gates="f g o")
def no_input_gate(x, h, c, *, W, b, p):
    """NIG: i = 1."""
    f = sigmoid(W.f @ [h, x] + p.f * c + b.f)
    g = tanh(W.g @ [h, x] + b.g)
    c = f * c + g
    o = sigmoid(W.o @ [h, x] + p.o * c + b.o)
    h = o * tanh(c)
    return h, c


@cell(gates="i g o")
def no_forget_gate(x, h, c, *, W, b, p):
    """NFG: f = 1."""
    i = sigmoid(W.i @ [h, x] + p.i * c + b.i)
    g = tanh(W.g @ [h, x] + b.g)
    c = c + i * g
    o = sigmoid(W.o @ [h, x] + p.o * c + b.o)
    h = o * tanh(c)
    return h, c


@cell(gates="i f g")
def no_output_gate(x, h, c, *, W, b, p):
    """NOG: o = 1."""
    f = sigmoid(W.f @ [h, x] + p.f * c + b.f)
    i = sigmoid(W.i @ [h, x] + p.i * c + b.i)
    g = tanh(W.g @ [h, x] + b.g)
    c = f * c + i * g
    h = tanh(c)
    return h, c


@cell(gates="i f g o")
def no_input_activation(x, h, c, *, W, b, p):
    """NIAF: the block's input is linear."""
    f = sigmoid(W.f @ [h, x] + p.f * c + b.f)
    i = sigmoid(W.i @ [h, x] + p.i * c + b.i)
    g = W.g @ [h, x] + b.g
    c = f * c + i * g
    o = sigmoid(W.o @ [h, x] + p.o * c + b.o)
    h = o * tanh(c)
    return h, c


@cell(gates="i f g o")
def no_output_activation(x, h, c, *, W, b, p):
    """NOAF: the block's output is linear."""
    f = sigmoid(W.f @ [h, x] + p.f * c + b.f)
    i = sigmoid(W.i @ [h, x] + p.i * c + b.i)
    g = tanh(W.g @ [h, x] + b.g)
    c = f * c + i * g
    o = sigmoid(W.o @ [h, x] + p.o * c + b.o)
    h = o * c
    return h, c


@cell(gates="i f g o")
def no_peepholes(x, h, c, *, W, b):
    """NP."""
    f = sigmoid(W.f @ [h, x] + b.f)
    i = sigmoid(W.i @ [h, x] + b.i)
    g = tanh(W.g @ [h, x] + b.g)
    o = sigmoid(W.o @ [h, x] + b.o)
    c = f * c + i * g
    h = o * tanh(c)
    return h, c


@cell(gates="i g o")
def coupled_gates(x, h, c, *, W, b, p):
    """CIFG: f = 1 - i."""
    i = sigmoid(W.i @ [h, x] + p.i * c + b.i)
    f = 1 - i
    g = tanh(W.g @ [h, x] + b.g)
    c = f * c + i * g
    o = sigmoid(W.o @ [h, x] + p.o * c + b.o)
    h = o * tanh(c)
    return h, c


@cell(gates="i f g o")
def full_gate_recurrence(x, h, c, i, f, o, *, W, b, p):
    """FGR: the gates see one another's last values, so they are states."""
    gates = [i, f, o, h, x]
    new_f = sigmoid(W.f @ gates + p.f * c + b.f)
    new_i = sigmoid(W.i @ gates + p.i * c + b.i)
    g = tanh(W.g @ [h, x] + b.g)
    c = new_f * c + new_i * g
    new_o = sigmoid(W.o @ gates + p.o * c + b.o)
    h = new_o * tanh(c)
    return h, c, new_i, new_f, new_o


@cell(gates="f g", init={"b.f": 1.0})
def minimal_gated_unit(x, h, *, W, b):
    """Zhou et al. 2016."""
    f = sigmoid(W.f @ [h, x] + b.f)
    g = tanh(W.g @ [f * h, x] + b.g)
    h = (1 - f) * h + f * g
    return h


@cell(gates="i f z o")
def exponential_gates(x, h, c, n, m, *, W, b):
    """Exponential gates with a stabiliser, four states (sLSTM, Beck et al. 2024)."""
    i = W.i @ [h, x] + b.i
    f = W.f @ [h, x] + b.f
    z = tanh(W.z @ [h, x] + b.z)
    o = sigmoid(W.o @ [h, x] + b.o)
    new_m = maximum(f + m, i)
    keep = exp(f + m - new_m)
    write = exp(i - new_m)
    c = keep * c + write * z
    n = keep * n + write
    h = o * (c / (n + 2.0))
    return h, c, n, new_m


@cell(gates="a d")
def three_clocks(x, fast, middle, slow, *, W, b):
    """Three states, each a slower mean of the one before."""
    fast = tanh(W.a @ [fast, middle, slow, x] + b.a)
    middle = 0.75 * middle + 0.25 * fast
    d = sigmoid(b.d)
    slow = d * slow + (1 - d) * middle
    return fast, middle, slow


@cell(gates="r i a")
def gated_decay(x, h, *, W, b, p):
    """A decay for each unit, exp(-softplus(p)), opened by a gate (after De et al. 2024)."""
    r = sigmoid(W.r @ x + b.r)
    i = sigmoid(W.i @ x + b.i)
    a = exp(-softplus(p.a) * r)
    h = a * h + (1 - a) * (i * (W.a @ x))
    return h


@cell(gates="f g")
def leaky_units(x, h, c, *, W, b):
    """Branches by where, minimum and relu."""
    u = W.f @ [h, x] + b.f
    v = where(u > 0.05, u, 0.2 * u)
    c = minimum(maximum(c + v, -1.5), 1.5)
    h = relu(W.g @ [c, x] + b.g) - log(1 + exp(-c))
    return h, c


#: what somebody has published, or might have
VARIANTS: dict[str, Cell] = {
    c.name: c
    for c in (
        no_input_gate,
        no_forget_gate,
        no_output_gate,
        no_input_activation,
        no_output_activation,
        no_peepholes,
        coupled_gates,
        full_gate_recurrence,
        minimal_gated_unit,
        exponential_gates,
        three_clocks,
        gated_decay,
        leaky_units,
    )
}


@cell
def learned_decay(x, h, *, W, p):
    """A value of parameters only is a factor at each step."""
    return exp(-softplus(p.f)) * h + W.a @ x


@cell
def next_is_a_parameter(x, h, c, *, W, b):
    return tanh(W.a @ [h, c, x]), b.h


@cell
def output_is_a_parameter(x, h, *, b):
    return b.h


@cell
def output_is_made_of_parameters(x, h, c, *, W, b):
    return tanh(W.a @ exp(b.h)) + b.h, h


@cell
def product_of_a_parameter(x, h, *, W, b):
    """A matrix meets a vector that is the same for each row and step."""
    return tanh(W.a @ b.a + W.c @ [h, b.a, x])


@cell
def no_input(x, h, *, W, b):
    """x is not used at all."""
    return tanh(W.a @ h + b.a)


@cell
def idle_state(x, h, c, n, *, W):
    """c is not used at all, n is only carried on."""
    return tanh(W.a @ [h, x]), 0.5 * h, n


@cell
def dead_value(x, h, *, W, b):
    """W.d and b.d reach no state."""
    d = W.d @ [h, x] + b.d
    d = tanh(d)
    return tanh(W.a @ [h, x])


@cell
def no_parameters(x, h, c):
    return tanh(h + 0.5 * c), h - c


@cell
def swapped_states(x, h, c, *, W):
    return c, h


@cell
def one_value_for_two_states(x, h, c, *, W):
    h = tanh(W.a @ [h, c, x])
    return h, h


@cell
def nothing_happens(x, h, c):
    return h, c


@cell
def memoryless(x, h, *, W, b):
    """Needs no state: all of it is done before the first step."""
    return tanh(W.a @ x + b.a)


@cell
def input_alone_is_shaped(x, h, *, W):
    """Values of the input's size; the same columns twice."""
    u = tanh(2 * x) * x
    return tanh(W.a @ [h, u, x] + W.b @ [h, h])


@cell
def zeros_and_ones(x, h, c, *, W):
    """Arithmetic with nothing to do, and values that it leaves without any size but their own."""
    return W.a @ [0 * h, x] + 1 * h - 0 * c, where(h > c, 1.0, 1.0) + 0 * tanh(1.0)


@cell
def all_zero(x, h, c):
    return 0 * h, where(h > c, 2.0, 2.0)


@cell
def shared_matrix(x, h, c, *, W):
    """One matrix in two products; one vector in two sums."""
    return tanh(W.a @ [h, x]), tanh(W.a @ [c, x]) * W.v + W.v


#: what nobody may need, and which has to be right all the same
EDGES: dict[str, Cell] = {
    c.name: c
    for c in (
        learned_decay,
        next_is_a_parameter,
        output_is_a_parameter,
        output_is_made_of_parameters,
        product_of_a_parameter,
        no_input,
        idle_state,
        dead_value,
        no_parameters,
        swapped_states,
        one_value_for_two_states,
        nothing_happens,
        memoryless,
        input_alone_is_shaped,
        zeros_and_ones,
        all_zero,
        shared_matrix,
    )
}
