"""LSTMs, GRUs and other cells with gates and a recurrent matrix."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from elman import cell, cells, exp, heads, layer_norm, maximum, relu, sigmoid, softplus, tanh
from published.published import Published, Weights, as_units


def _mgu(w: Weights, x: Tensor, h: Tensor):
    of_gate, of_value, ys = w.recurrent("f"), w.recurrent("h"), []
    for gate, value in w.steps(x, "f", "h"):
        f = torch.sigmoid(torch.addmm(gate, h, of_gate))
        h = (1 - f) * h + f * torch.tanh(torch.addmm(value, f * h, of_value))
        ys.append(h)
    return torch.stack(ys), h


def _janet(w: Weights, x: Tensor, c: Tensor):
    """The paper's β is 1."""
    matrix, ys = w.recurrent("f h"), []
    for (sums,) in w.steps(x, "f h"):
        s, value = torch.addmm(sums, c, matrix).chunk(2, 1)
        c = torch.sigmoid(s) * c + (1 - torch.sigmoid(s - 1)) * torch.tanh(value)
        ys.append(c)
    return torch.stack(ys), c


# An LSTM search space odyssey (Greff et al. 2015): the LSTM with peepholes, less or more a part.


@cell(gates="f g o", init={"b.f": 1.0})
def no_input_gate(x, h, c, *, W, b, p):
    """LSTM without input gate (Greff et al. 2015)."""
    f = sigmoid(W.f @ [h, x] + p.f * c + b.f)
    c = f * c + tanh(W.g @ [h, x] + b.g)
    o = sigmoid(W.o @ [h, x] + p.o * c + b.o)
    return o * tanh(c), c


@cell(gates="i g o")
def no_forget_gate(x, h, c, *, W, b, p):
    """LSTM without forget gate (Greff et al. 2015; Hochreiter and Schmidhuber 1997)."""
    i = sigmoid(W.i @ [h, x] + p.i * c + b.i)
    c = c + i * tanh(W.g @ [h, x] + b.g)
    o = sigmoid(W.o @ [h, x] + p.o * c + b.o)
    return o * tanh(c), c


@cell(gates="i f g", init={"b.f": 1.0})
def no_output_gate(x, h, c, *, W, b, p):
    """LSTM without output gate (Greff et al. 2015)."""
    i = sigmoid(W.i @ [h, x] + p.i * c + b.i)
    f = sigmoid(W.f @ [h, x] + p.f * c + b.f)
    c = f * c + i * tanh(W.g @ [h, x] + b.g)
    return tanh(c), c


@cell(gates="i f g o", init={"b.f": 1.0})
def no_input_activation(x, h, c, *, W, b, p):
    """LSTM whose candidate is not squashed (Greff et al. 2015)."""
    i = sigmoid(W.i @ [h, x] + p.i * c + b.i)
    f = sigmoid(W.f @ [h, x] + p.f * c + b.f)
    c = f * c + i * (W.g @ [h, x] + b.g)
    o = sigmoid(W.o @ [h, x] + p.o * c + b.o)
    return o * tanh(c), c


@cell(gates="i f g o", init={"b.f": 1.0})
def no_output_activation(x, h, c, *, W, b, p):
    """LSTM whose memory is not squashed (Greff et al. 2015)."""
    i = sigmoid(W.i @ [h, x] + p.i * c + b.i)
    f = sigmoid(W.f @ [h, x] + p.f * c + b.f)
    c = f * c + i * tanh(W.g @ [h, x] + b.g)
    o = sigmoid(W.o @ [h, x] + p.o * c + b.o)
    return o * c, c


@cell(gates="i f g o", init={"b.f": 1.0})
def full_gate_recurrence(x, h, c, i, f, o, *, W, R, b, p):
    """LSTM whose gates read the gates of the step before (Greff et al. 2015)."""
    new_i = sigmoid(W.i @ [h, x] + R.i @ [i, f, o] + p.i * c + b.i)
    new_f = sigmoid(W.f @ [h, x] + R.f @ [i, f, o] + p.f * c + b.f)
    c = new_f * c + new_i * tanh(W.g @ [h, x] + b.g)
    o = sigmoid(W.o @ [h, x] + R.o @ [i, f, o] + p.o * c + b.o)
    return o * tanh(c), c, new_i, new_f, o


def _odyssey(gates: str, *, peepholes: str, squash=torch.tanh, out=torch.tanh):
    """The vanilla LSTM of the paper with these gates; a gate that is not there is 1."""
    names = gates.split()

    def run(w: Weights, x: Tensor, h: Tensor, c: Tensor):
        matrix, ys = w.recurrent(gates), []
        of = {name: w[f"p.{name}"] for name in peepholes.split()}
        see = lambda name, a, c: a + of[name] * c if name in of else a  # noqa: E731
        for (sums,) in w.steps(x, gates):
            a = dict(zip(names, torch.addmm(sums, h, matrix).chunk(len(names), 1), strict=True))
            new = squash(a["g"])
            if "i" in a:
                new = torch.sigmoid(see("i", a["i"], c)) * new
            c = (torch.sigmoid(see("f", a["f"], c)) * c if "f" in a else c) + new
            h = out(c)
            if "o" in a:
                h = torch.sigmoid(see("o", a["o"], c)) * h
            ys.append(h)
        return torch.stack(ys), h, c

    return run


def _full_gate_recurrence(w: Weights, x: Tensor, h, c, i, f, o):
    matrix, ys = w.recurrent("i f o g"), []
    of_gates = w.stack("R.i R.f R.o").t()
    p_i, p_f, p_o = w["p.i"], w["p.f"], w["p.o"]
    for (sums,) in w.steps(x, "i f o g"):
        gates, g = torch.addmm(sums, h, matrix).split([3 * w.hidden, w.hidden], 1)
        a, b, d = torch.addmm(gates, torch.cat([i, f, o], 1), of_gates).chunk(3, 1)
        i, f = torch.sigmoid(a + p_i * c), torch.sigmoid(b + p_f * c)
        c = f * c + i * torch.tanh(g)
        o = torch.sigmoid(d + p_o * c)
        h = o * torch.tanh(c)
        ys.append(h)
    return torch.stack(ys), h, c, i, f, o


def _lstmp(w: Weights, x: Tensor, h: Tensor, c: Tensor):
    small, down, ys = h.shape[1], w["W.p"].t(), []
    matrix = w.stack("W.i W.f W.g W.o", 0, small).t()
    for (sums,) in w.steps(x, "i f g o"):
        i, f, g, o = torch.addmm(sums, h, matrix).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = (torch.sigmoid(o) * torch.tanh(c)) @ down
        ys.append(h)
    return torch.stack(ys), h, c


def _lstmp_in_torch(w: Weights, x: Tensor, h: Tensor, c: Tensor):
    gates, bias = "W.i W.f W.g W.o", w.stack("b.i b.f b.g b.o")
    matrices = [w.stack(gates, -w.inputs), w.stack(gates, 0, h.shape[1])]
    weights = [*[each.contiguous() for each in matrices], bias, torch.zeros_like(bias), w["W.p"]]
    y, _, _ = torch.lstm(x, [h[None], c[None]], weights, True, 1, 0.0, False, False, False)
    return (y,)


def _nas(w: Weights, x: Tensor, h: Tensor, c: Tensor):
    """The gate with d multiplies its two products, so it stands apart."""
    summed, ys = "a b c e f g h", []
    matrix, of_d = w.recurrent(summed, "R"), w.recurrent("d", "R")
    for now, d in w.steps(x, summed, "d"):
        a, b, g, e, f, k, m = torch.addmm(now, h, matrix).chunk(7, 1)
        first = torch.tanh(torch.sigmoid(a) * torch.relu(b))
        second = torch.tanh(torch.sigmoid(g) + torch.relu(d * (h @ of_d)))
        third = torch.tanh(torch.tanh(e) * torch.sigmoid(f))
        fourth = torch.sigmoid(torch.tanh(k) + torch.sigmoid(m))
        c = torch.tanh(first + c) * second
        h = torch.tanh(c * torch.tanh(third + fourth))
        ys.append(h)
    return torch.stack(ys), h, c


def _multiplicative_lstm(w: Weights, x: Tensor, h: Tensor, c: Tensor):
    of_h, of_m, ys = w.recurrent("m", "R"), w.recurrent("i f g o"), []
    factor = w.project(x, "m", bias="none").unbind(0)
    for (sums,), now in zip(w.steps(x, "i f g o"), factor, strict=True):
        i, f, g, o = torch.addmm(sums, now * (h @ of_h), of_m).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        ys.append(h)
    return torch.stack(ys), h, c


@cell(gates="h", init={"p.h": 1.0, "q.h": 1.0, "r.h": 1.0})
def multiplicative_integration_rnn(x, h, *, W, U, b, p, q, r):
    """RNN with multiplicative integration (Wu et al. 2016)."""
    of_x, of_h = W.h @ x, U.h @ h
    return tanh(p.h * of_x * of_h + q.h * of_h + r.h * of_x + b.h)


def _multiplicative_integration_rnn(w: Weights, x: Tensor, h: Tensor):
    matrix, ys = w.recurrent("h", "U"), []
    of_x = w.project(x, "h", bias="none")
    factor, added = w["p.h"] * of_x + w["q.h"], w["r.h"] * of_x + w["b.h"]
    for now, rest in zip(factor.unbind(0), added.unbind(0), strict=True):
        h = torch.tanh(torch.addcmul(rest, now, h @ matrix))
        ys.append(h)
    return torch.stack(ys), h


def _rhn(w: Weights, x: Tensor, s: Tensor):
    deep = [(w.recurrent(f"g{k} t{k}", "R"), w.stack(f"b.g{k} b.t{k}")) for k in (2, 3)]
    first, ys = w.recurrent("g t", "R"), []
    for (sums,) in w.steps(x, "g t"):
        for matrix, vector in ((first, sums), *deep):
            g, t = torch.addmm(vector, s, matrix).chunk(2, 1)
            t = torch.sigmoid(t)
            s = torch.tanh(g) * t + s * (1 - t)
        ys.append(s)
    return torch.stack(ys), s


def _scalar_lstm_step(sums: Tensor, c: Tensor, n: Tensor, m: Tensor):
    i, f, z, o = sums.chunk(4, -1)
    f = logsigmoid(f)
    top = torch.maximum(f + m, i)
    f, i = torch.exp(f + m - top), torch.exp(i - top)
    c, n = f * c + i * torch.tanh(z), f * n + i
    return torch.sigmoid(o) * c / n, c, n, top


def _slstm(w: Weights, x: Tensor, h, c, n, m):
    """The stabiliser begins below every gate, so that the first step writes with i' = 1."""
    matrix, ys, m = w.recurrent("i f z o"), [], torch.full_like(m, -1e9)
    for (sums,) in w.steps(x, "i f z o"):
        h, c, n, m = _scalar_lstm_step(torch.addmm(sums, h, matrix), c, n, m)
        ys.append(h)
    return torch.stack(ys), h, c, n, m


@cell(gates="i f z o", init={"b.f": 1.0})
def slstm_in_heads(x, h, c, n, m, *, W, R, b):
    """Scalar LSTM of xLSTM in four heads (Beck et al. 2024)."""
    log_f = -softplus(-(W.f @ x + heads(R.f, 4) @ h + b.f))
    log_i = W.i @ x + heads(R.i, 4) @ h + b.i
    z = tanh(W.z @ x + heads(R.z, 4) @ h + b.z)
    o = sigmoid(W.o @ x + heads(R.o, 4) @ h + b.o)
    top = maximum(log_f + m, log_i)
    f = exp(log_f + m - top)
    i = exp(log_i - top)
    c = f * c + i * z
    n = f * n + i
    return o * (c / n), c, n, top


def _slstm_in_heads(w: Weights, x: Tensor, h, c, n, m):
    """Products of all heads in one ``bmm``."""
    count, units = 4, w.hidden // 4
    blocks = w.stack("R.i R.f R.z R.o").reshape(4, count, units, units)
    matrix = blocks.permute(1, 3, 0, 2).reshape(count, units, 4 * units)
    ys = []
    # head, batch, unit
    h, c, n, m = [s.unflatten(1, (count, units)).transpose(0, 1) for s in (h, c, n, m)]
    sums = w.project(x, "i f z o").unflatten(-1, (4, count, units))
    for now in sums.permute(0, 3, 1, 2, 4).flatten(3).unbind(0):
        h, c, n, m = _scalar_lstm_step(torch.baddbmm(now, h, matrix), c, n, m)
        ys.append(h)
    y = torch.stack(ys).transpose(1, 2).flatten(2)
    return y, *[s.transpose(0, 1).flatten(1) for s in (h, c, n, m)]


@cell(gates="q1 r2 q3 r4 q5 i f g o", inputs={"u": "hidden"}, init={"b.f": 1.0})
def mogrifier(x, h, c, u, *, W, Q, R, b):
    """Mogrifier LSTM of five rounds (Melis et al. 2020); u is x, of hidden size."""
    u = 2 * sigmoid(Q.q1 @ h) * u
    h = 2 * sigmoid(R.r2 @ u) * h
    u = 2 * sigmoid(Q.q3 @ h) * u
    h = 2 * sigmoid(R.r4 @ u) * h
    u = 2 * sigmoid(Q.q5 @ h) * u
    i = sigmoid(W.i @ [h, u] + b.i)
    f = sigmoid(W.f @ [h, u] + b.f)
    g = tanh(W.g @ [h, u] + b.g)
    o = sigmoid(W.o @ [h, u] + b.o)
    c = f * c + i * g
    return o * tanh(c), c


def _mogrifier(w: Weights, x: Tensor, h: Tensor, c: Tensor, *, u: Tensor):
    """No product with x alone can be computed before the steps."""
    gates, bias = w.stack("W.i W.f W.g W.o").t(), w.stack("b.i b.f b.g b.o")
    rounds = [w[key].t() for key in ("Q.q1", "R.r2", "Q.q3", "R.r4", "Q.q5")]
    ys = []
    for now in u.unbind(0):
        for k, matrix in enumerate(rounds):
            if k % 2 == 0:
                now = 2 * torch.sigmoid(h @ matrix) * now
            else:
                h = 2 * torch.sigmoid(now @ matrix) * h
        i, f, g, o = torch.addmm(bias, torch.cat([h, now], 1), gates).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        ys.append(h)
    return torch.stack(ys), h, c


@cell(gates="z h", init={"p.z": 1.0, "p.h": 1.0})
def li_gru(x, h, *, W, U, b, p):
    """Light GRU (Ravanelli et al. 2018), with layer in place of batch normalisation."""
    z = sigmoid(p.z * layer_norm(W.z @ x) + U.z @ h + b.z)
    n = relu(p.h * layer_norm(W.h @ x) + U.h @ h + b.h)
    return z * h + (1 - z) * n


def _li_gru(w: Weights, x: Tensor, h: Tensor):
    matrix, ys = w.recurrent("z h", "U"), []
    sums = w.project(x, "z h", bias="none").unflatten(-1, (2, w.hidden))
    sums = torch.nn.functional.layer_norm(sums, (w.hidden,), eps=1e-5).flatten(-2)
    for now in (w.stack("p.z p.h") * sums + w.stack("b.z b.h")).unbind(0):
        z, n = torch.addmm(now, h, matrix).chunk(2, 1)
        z = torch.sigmoid(z)
        h = z * h + (1 - z) * torch.relu(n)
        ys.append(h)
    return torch.stack(ys), h


@cell(gates="s h y", sizes={"s": "context", "W.s": "context"})
def scrn(x, y, s, h, *, W):
    """Structurally constrained network (Mikolov et al. 2015); the paper's α is 0.95."""
    s = 0.05 * (W.s @ x) + 0.95 * s
    h = sigmoid(W.h @ [s, h, x])
    return sigmoid(W.y @ [h, s]), s, h


def _scrn(w: Weights, x: Tensor, y: Tensor, s: Tensor, h: Tensor):
    """The context needs x alone, and so does its product; the output is computed at the end."""
    contexts, hs, size = [], [], s.shape[1]
    for now in (0.05 * (x @ w["W.s"].t())).unbind(0):
        s = now + 0.95 * s
        contexts.append(s)
    context = torch.stack(contexts)
    fast = w.project(x, "h") + context @ w.stack("W.h", 0, size).t()
    matrix = w.stack("W.h", size, size + w.hidden).t()
    for now in fast.unbind(0):
        h = torch.sigmoid(torch.addmm(now, h, matrix))
        hs.append(h)
    ys = torch.sigmoid(torch.cat([torch.stack(hs), context], -1) @ w["W.y"].t())
    return ys, ys[-1], s, h


@cell(gates="a z h", sizes={"s.z": 1, "s.h": 1}, init={"s.z": 1.0, "s.h": -4.0})
def fast_grnn(x, h, *, W, b, s):
    """FastGRNN: two learned numbers weight the gate (Kusupati et al. 2018)."""
    a = W.a @ [h, x]
    z = sigmoid(a + b.z)
    return (sigmoid(s.z) * (1 - z) + sigmoid(s.h)) * tanh(a + b.h) + z * h


@cell(
    gates="x h d u z",
    sizes={"W.d": "rank", "W.u": "rank", "s.z": 1, "s.h": 1},
    init={"s.z": 1.0, "s.h": -4.0},
)
def fast_grnn_of_low_rank(x, h, *, W, b, s):
    """FastGRNN with matrices of low rank (Kusupati et al. 2018)."""
    a = W.x @ (W.d @ x) + W.h @ (W.u @ h)
    z = sigmoid(a + b.z)
    return (sigmoid(s.z) * (1 - z) + sigmoid(s.h)) * tanh(a + b.h) + z * h


def _fast_grnn(w: Weights, x: Tensor, h: Tensor):
    matrix = w.recurrent("a")
    return _fast_grnn_steps(
        w, w.project(x, "a", bias="none"), h, lambda now, h: now.addmm(h, matrix)
    )


def _fast_grnn_of_low_rank(w: Weights, x: Tensor, h: Tensor):
    up, down = w["W.h"].t(), w["W.u"].t()
    sums = x @ w["W.d"].t() @ w["W.x"].t()
    return _fast_grnn_steps(w, sums, h, lambda now, h: now.addmm(h @ down, up))


def _fast_grnn_steps(
    w: Weights, sums: Tensor, h: Tensor, add: Callable[[Tensor, Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    zeta, nu, b_z, b_h = torch.sigmoid(w["s.z"]), torch.sigmoid(w["s.h"]), w["b.z"], w["b.h"]
    ys = []
    for now in sums.unbind(0):
        a = add(now, h)
        z = torch.sigmoid(a + b_z)
        h = (zeta * (1 - z) + nu) * torch.tanh(a + b_h) + z * h
        ys.append(h)
    return torch.stack(ys), h


GATED = (
    Published("MGU", cells.mgu, _mgu),
    Published("JANET", cells.janet, _janet),
    Published("LSTM without input gate", no_input_gate, _odyssey("f g o", peepholes="f o")),
    Published("LSTM without forget gate", no_forget_gate, _odyssey("i g o", peepholes="i o")),
    Published("LSTM without output gate", no_output_gate, _odyssey("i f g", peepholes="i f")),
    Published(
        "LSTM without input activation",
        no_input_activation,
        _odyssey("i f g o", peepholes="i f o", squash=lambda a: a),
    ),
    Published(
        "LSTM without output activation",
        no_output_activation,
        _odyssey("i f g o", peepholes="i f o", out=lambda a: a),
    ),
    Published("LSTM without peepholes", cells.lstm, _odyssey("i f g o", peepholes="")),
    Published("LSTM with full gate recurrence", full_gate_recurrence, _full_gate_recurrence),
    Published(
        "LSTMP, half the units",
        cells.lstmp,
        _lstmp,
        rivals={"torch.nn.LSTM(proj_size=...)": _lstmp_in_torch},
        options=lambda hidden: {"sizes": {"projection": hidden // 2}},
        gone='rows padded with zeros: `sizes={"h": "projection"}`',
    ),
    Published("NAS", cells.nas, _nas),
    Published("multiplicative LSTM", cells.multiplicative_lstm, _multiplicative_lstm),
    Published("MI-RNN", multiplicative_integration_rnn, _multiplicative_integration_rnn),
    Published("RHN, depth 3", cells.rhn, _rhn),
    Published("sLSTM", cells.slstm, _slstm, from_zero=True),
    Published(
        "sLSTM, 4 heads",
        slstm_in_heads,
        _slstm_in_heads,
        from_zero=True,
        gone="frozen zeros outside the heads: `heads(R.f, 4)`",
    ),
    Published(
        "Mogrifier, 5 rounds",
        mogrifier,
        _mogrifier,
        beside=as_units,
        square=True,
        gone="frozen identity for x: x as an input of hidden size",
        left="x has as many values as there are units",
    ),
    Published("Li-GRU with layer norm", li_gru, _li_gru),
    Published(
        "SCRN",
        scrn,
        _scrn,
        options=lambda hidden: {"sizes": {"context": hidden // 4}},
        gone='one size for both: `sizes={"s": "context"}`',
    ),
    Published("FastGRNN", fast_grnn, _fast_grnn, gone='scalars as vectors: `sizes={"s.z": 1}`'),
    Published(
        "FastGRNN, a quarter of the rank",
        fast_grnn_of_low_rank,
        _fast_grnn_of_low_rank,
        options=lambda hidden: {"sizes": {"rank": hidden // 4}},
        gone="could not be written",
    ),
)
