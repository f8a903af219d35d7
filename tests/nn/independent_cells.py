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


def mgu(m, x, s, W, b, p):
    (h,) = s
    f = sigmoid(m, *_gates(m, x, h, W, b, "f"))
    n = m.tanh(W["h", "h"] @ (f * h) + W["h", "x"] @ x + b("h"))
    return (h + f * (n - h),)


def janet(m, x, s, W, b, p):
    (h,) = s
    f, n = _gates(m, x, h, W, b, "fh")
    return (sigmoid(m, f) * h + (1 - sigmoid(m, f - 1)) * m.tanh(n),)


def fast_grnn(m, x, s, W, b, p):
    (h,) = s
    a = W["a", "h"] @ h + W["a", "x"] @ x
    z, n = sigmoid(m, a + b("z")), m.tanh(a + b("h"))
    zeta, nu = sigmoid(m, p("z", "s")), sigmoid(m, p("h", "s"))
    return (zeta * (1 - z) * n + nu * n + z * h,)


def ind_rnn(m, x, s, W, b, p):
    (h,) = s
    v = W["h", "x"] @ x + p("h", "u") * h + b("h")
    return (v * (v > 0),)


def _inputs(m, x, W, b, names):
    return [W[g, "x"] @ x + b(g) for g in names]


def min_gru(m, x, s, W, b, p):
    (h,) = s
    z, n = _inputs(m, x, W, b, "zh")
    return (h + sigmoid(m, z) * (n - h),)


def min_lstm(m, x, s, W, b, p):
    (h,) = s
    f, i, n = _inputs(m, x, W, b, "fih")
    f, i = sigmoid(m, f), sigmoid(m, i)
    return (f / (f + i) * h + i / (f + i) * n,)


def qrnn(m, x, s, W, b, p):
    _, c = s
    z, f, o = _inputs(m, x, W, b, "zfo")
    c = c + (1 - sigmoid(m, f)) * (m.tanh(z) - c)
    return sigmoid(m, o) * c, c


def sru(m, x, s, W, b, p):
    _, c = s
    f, r = _inputs(m, x, W, b, "fr")
    f, r = sigmoid(m, f + p("f", "v") * c), sigmoid(m, r + p("r", "v") * c)
    c = f * c + (1 - f) * (W["c", "x"] @ x)
    return r * c + (1 - r) * (W["p", "x"] @ x), c


def rg_lru(m, x, s, W, b, p):
    (h,) = s
    r, i, u = _inputs(m, x, W, b, "riu")
    # a = sigmoid(-p)^(8 r)
    a = (1 / (1 + m.exp(p("a")))) ** (8 * sigmoid(m, r))
    return (a * h + m.sqrt(1 - a * a) * sigmoid(m, i) * u,)


def lru(m, x, s, W, b, p):
    _, r, i = s
    size, turn = m.exp(-m.exp(p("a"))), p("t")
    scale = m.sqrt(1 - size**2)
    new_r = size * (m.cos(turn) * r - m.sin(turn) * i) + scale * (W["r", "x"] @ x)
    new_i = size * (m.sin(turn) * r + m.cos(turn) * i) + scale * (W["i", "x"] @ x)
    return W["o", "r"] @ new_r + W["o", "i"] @ new_i + W["o", "x"] @ x, new_r, new_i


def slstm(m, x, s, W, b, p):
    h, c, n, top = s
    i, f, z, o = _gates(m, x, h, W, b, "ifzo")
    decay = -m.log(1 + m.exp(-f))
    new = m.where(n != 0, m.maximum(decay + top, i), i)
    keep, write = m.exp(decay + top - new), m.exp(i - new)
    c, n = keep * c + write * m.tanh(z), keep * n + write
    return sigmoid(m, o) * c / m.where(n > 0.5, n, 0.5 + 0 * n), c, n, new


def multiplicative_lstm(m, x, s, W, b, p):
    h, c = s
    u = (W["m", "x"] @ x) * (W["R.m", "h"] @ h)
    i, f, g, o = [W[k, "m"] @ u + W[k, "x"] @ x + b(k) for k in "ifgo"]
    c = sigmoid(m, f) * c + sigmoid(m, i) * m.tanh(g)
    return sigmoid(m, o) * m.tanh(c), c


def nas(m, x, s, W, b, p):
    h, c = s
    xs, hs = [W[k, "x"] @ x for k in "abcdefgh"], [W[f"R.{k}", "h"] @ h for k in "abcdefgh"]
    sums = [left + right for left, right in zip(xs, hs, strict=True)]

    def rectified(v):
        return v * (v > 0)

    first = m.tanh(sigmoid(m, sums[0]) * rectified(sums[1]))
    second = m.tanh(sigmoid(m, sums[2]) + rectified(xs[3] * hs[3]))
    third = m.tanh(m.tanh(sums[4]) * sigmoid(m, sums[5]))
    fourth = sigmoid(m, m.tanh(sums[6]) + sigmoid(m, sums[7]))
    c = m.tanh(first + c) * second
    return m.tanh(c * m.tanh(third + fourth)), c


def rhn(m, x, s, W, b, p):
    (h,) = s
    for depth in ("", "2", "3"):
        g, t = [W[f"R.{k}{depth}", "h"] @ h + b(f"{k}{depth}") for k in "gt"]
        if not depth:
            g, t = g + W["g", "x"] @ x, t + W["t", "x"] @ x
        h = h + sigmoid(m, t) * (m.tanh(g) - h)
    return (h,)


def co_rnn(m, x, s, W, b, p):
    h, v = s
    force = m.tanh(W["v", "h"] @ h + W["v", "v"] @ v + W["v", "x"] @ x + b("v"))
    v = v + 0.042 * (force - 2.7 * h - 4.7 * v)
    return h + 0.042 * v, v


def lem(m, x, s, W, b, p):
    h, z = s
    first, second = (sigmoid(m, a) for a in _gates(m, x, h, W, b, "st"))
    z = z + first * (m.tanh(*_gates(m, x, h, W, b, "z")) - z)
    return h + second * (m.tanh(W["h", "z"] @ z + W["h", "x"] @ x + b("h")) - h), z


STEPS = {
    step.__name__: step
    for step in (
        rnn, relu_rnn, lstm, coupled_lstm, peephole_lstm, diagonal_peephole_lstm,
        coupled_peephole_lstm, gru, gru_reset_after, layer_norm_lstm, layer_norm_gru, mgu, janet,
        fast_grnn, ind_rnn, min_gru, min_lstm, qrnn, sru, rg_lru, lru, slstm, multiplicative_lstm, nas,
        rhn, co_rnn, lem,
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
    "mgu": dict.fromkeys("fh", "hx"),
    "janet": dict.fromkeys("fh", "hx"),
    "fast_grnn": {"a": "hx"},
    "ind_rnn": {"h": "x"},
    "min_gru": dict.fromkeys("zh", "x"),
    "min_lstm": dict.fromkeys("fih", "x"),
    "qrnn": dict.fromkeys("zfo", "x"),
    "sru": dict.fromkeys("cfrp", "x"),
    "rg_lru": dict.fromkeys("riu", "x"),
    "lru": {"r": "x", "i": "x", "o": "rix"},
    "slstm": dict.fromkeys("ifzo", "hx"),
    "multiplicative_lstm": {**dict.fromkeys("ifgo", "mx"), "m": "x", "R.m": "h"},
    "nas": {**dict.fromkeys("abcdefgh", "x"), **{f"R.{g}": "h" for g in "abcdefgh"}},
    "rhn": {
        **dict.fromkeys("gt", "x"),
        **{f"R.{g}{depth}": "h" for g in "gt" for depth in ("", "2", "3")},
    },
    "co_rnn": {"v": "hvx"},
    "lem": {**dict.fromkeys("stz", "hx"), "h": "zx"},
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
