"""Each cell of the catalogue once more, from the papers' equations, without Elman's graph.

A step takes the module of functions (numpy or torch), one row's x and states as vectors, and the
parameters by key with the columns of ``W`` already apart: ``W["f", "h"]`` meets h.  A matrix of
another family is called by its key, ``W["R.f", "h"]``; so are vectors, ``b`` being those of b.
"""

import numpy as np


def sigmoid(m, a):
    return 1 / (1 + m.exp(-a))


def rnn(m, x, s, W, b, p):
    (a,) = s
    return (m.tanh(W["a", "a"] @ a + W["a", "x"] @ x + b("a")),)


def relu_rnn(m, x, s, W, b, p):
    (a,) = s
    v = W["a", "a"] @ a + W["a", "x"] @ x + b("a")
    return (v * (v > 0),)


def _gates(m, x, h, W, b, names):
    return [W[g, "h"] @ h + W[g, "x"] @ x + b(g) for g in names]


def lstm(m, x, s, W, b, p):
    h, c = s
    i, f, g, o = _gates(m, x, h, W, b, "ifgo")
    c = sigmoid(m, f) * c + sigmoid(m, i) * m.tanh(g)
    return sigmoid(m, o) * m.tanh(c), c


def coupled_lstm(m, x, s, W, b, p):
    h, c = s
    f, g, o = _gates(m, x, h, W, b, "fgo")
    keep = sigmoid(m, f)
    c = keep * c + (1 - keep) * m.tanh(g)
    return sigmoid(m, o) * m.tanh(c), c


def peephole_lstm(m, x, s, W, b, p):
    h, c = s
    i, f, g, o = _gates(m, x, h, W, b, "ifgo")
    new = sigmoid(m, f + W["f", "c"] @ c) * c + sigmoid(m, i + W["i", "c"] @ c) * m.tanh(g)
    return sigmoid(m, o + W["o", "c"] @ new) * m.tanh(new), new


def diagonal_peephole_lstm(m, x, s, W, b, p):
    h, c = s
    i, f, g, o = _gates(m, x, h, W, b, "ifgo")
    new = sigmoid(m, f + p("f") * c) * c + sigmoid(m, i + p("i") * c) * m.tanh(g)
    return sigmoid(m, o + p("o") * new) * m.tanh(new), new


def coupled_peephole_lstm(m, x, s, W, b, p):
    h, c = s
    f, g, o = _gates(m, x, h, W, b, "fgo")
    keep = sigmoid(m, f + W["f", "c"] @ c)
    new = keep * c + (1 - keep) * m.tanh(g)
    return sigmoid(m, o + W["o", "c"] @ new) * m.tanh(new), new


def gru(m, x, s, W, b, p):
    (h,) = s
    z, r = (sigmoid(m, a) for a in _gates(m, x, h, W, b, "zr"))
    n = m.tanh(W["h", "h"] @ (r * h) + W["h", "x"] @ x + b("h"))
    return ((1 - z) * h + z * n,)


def gru_reset_after(m, x, s, W, b, p):
    (h,) = s
    r, z = (sigmoid(m, a) for a in _gates(m, x, h, W, b, "rz"))
    n = m.tanh(W["n", "x"] @ x + b("n") + r * (W["m", "h"] @ h + b("m")))
    return ((1 - z) * n + z * h,)


def _normalised(m, a):
    centred = a - a.mean()
    return centred / m.sqrt((centred * centred).mean() + 1e-5)


def _normalised_gates(m, x, h, W, b, p, names):
    return [
        p(g) * _normalised(m, W[f"R.{g}", "h"] @ h)
        + p(g, "q") * _normalised(m, W[g, "x"] @ x)
        + b(g)
        for g in names
    ]


def layer_norm_lstm(m, x, s, W, b, p):
    h, c = s
    i, f, g, o = _normalised_gates(m, x, h, W, b, p, "ifgo")
    c = sigmoid(m, f) * c + sigmoid(m, i) * m.tanh(g)
    return sigmoid(m, o) * m.tanh(p("c") * _normalised(m, c) + b("c")), c


def layer_norm_gru(m, x, s, W, b, p):
    (h,) = s
    z, r = (sigmoid(m, a) for a in _normalised_gates(m, x, h, W, b, p, "zr"))
    inner = p("m") * _normalised(m, W["R.m", "h"] @ h) + b("m")
    n = m.tanh(p("n", "q") * _normalised(m, W["n", "x"] @ x) + b("n") + r * inner)
    return ((1 - z) * h + z * n,)


STEPS = {
    step.__name__: step
    for step in (
        rnn, relu_rnn, lstm, coupled_lstm, peephole_lstm, diagonal_peephole_lstm,
        coupled_peephole_lstm, gru, gru_reset_after, layer_norm_lstm, layer_norm_gru,
    )
}  # fmt: skip

#: what each matrix meets, in the order of its columns
COLUMNS = {
    "rnn": {"a": "ax"},
    "relu_rnn": {"a": "ax"},
    "lstm": dict.fromkeys("ifgo", "hx"),
    "coupled_lstm": dict.fromkeys("fgo", "hx"),
    "peephole_lstm": {"i": "chx", "f": "chx", "g": "hx", "o": "chx"},
    "diagonal_peephole_lstm": dict.fromkeys("ifgo", "hx"),
    "coupled_peephole_lstm": {"f": "chx", "g": "hx", "o": "chx"},
    "gru": dict.fromkeys("zrh", "hx"),
    "gru_reset_after": {"r": "hx", "z": "hx", "n": "x", "m": "h"},
    "layer_norm_lstm": {**dict.fromkeys("ifgo", "x"), **{f"R.{g}": "h" for g in "ifgo"}},
    "layer_norm_gru": {**dict.fromkeys("zrn", "x"), **{f"R.{g}": "h" for g in "zrm"}},
}


def run(m, name, layers, x, state, lengths, hidden, stack):
    """Row by row, step by step: (y (time, batch, hidden * directions), last states).

    ``layers[k][d]`` are the parameters by key; ``stack`` joins arrays along a new first axis.
    """
    directions = len(layers[0])
    time, batch = x.shape[0], x.shape[1]
    rows = [[x[t, row] for t in range(lengths[row])] for row in range(batch)]
    last = [[None] * batch for _ in range(len(layers) * directions)]
    for k, layer in enumerate(layers):
        outputs = [[None] * len(steps) for steps in rows]
        for d, parameters in enumerate(layer):
            place = k * directions + d
            for row, steps in enumerate(rows):
                states = tuple([s[place, row] for s in state])
                order = range(len(steps))
                for t in reversed(order) if d else order:
                    states = _step(m, name, steps[t], states, parameters, hidden)
                    outputs[row][t] = [*(outputs[row][t] or []), states[0]]
                last[place][row] = states
        rows = [[_beside(m, parts) for parts in steps] for steps in outputs]
    zero = 0 * _beside(m, [state[0][0, 0]] * directions)
    y = stack(
        [
            stack([rows[row][t] if t < len(rows[row]) else zero for row in range(batch)])
            for t in range(time)
        ]
    )
    states = [
        stack([stack([last[p][row][k] for row in range(batch)]) for p in range(len(last))])
        for k in range(len(state))
    ]
    return y, states


def _beside(m, parts):
    return m.concatenate(parts) if m is np else m.cat(parts)


def _step(m, name, x, states, parameters, hidden):
    W = {}
    for gate, operands in COLUMNS[name].items():
        key = gate if "." in gate else f"W.{gate}"
        start = 0
        for operand in operands:
            width = len(x) if operand == "x" else hidden
            W[gate, operand] = parameters[key][:, start : start + width]
            start += width
        assert start == parameters[key].shape[1]

    def b(gate):
        return parameters.get(f"b.{gate}", 0)

    def p(gate, family="p"):
        return parameters[f"{family}.{gate}"]

    return STEPS[name](m, x, states, W, b, p)
