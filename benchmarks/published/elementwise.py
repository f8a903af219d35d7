"""Cells whose states meet no matrix: all products with x are computed before the steps."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, silu

from elman import cell, cells, cos, exp, maximum, sigmoid, sin, softplus, sqrt, tanh
from published.published import Published, Weights, as_units, before, scans


def _ind_rnn(w: Weights, x: Tensor, h: Tensor):
    own, ys = w["u.h"], []
    for (sums,) in w.steps(x, "h"):
        h = torch.relu(torch.addcmul(sums, own, h))
        ys.append(h)
    return torch.stack(ys), h


@cell(
    gates="r k v w u y",
    inputs={"before": "input"},
    sizes={"m.r": "input", "m.k": "input", "m.v": "input"},
    init={"m.r": 0.5, "m.k": 0.5, "m.v": 0.5},
)
def rwkv_4(x, y, a, b, top, before, *, W, m, p):
    """Time mixing of RWKV-4 (Peng et al. 2023): x is mixed with that of the step before."""
    r = W.r @ (m.r * x + (1 - m.r) * before)
    k = W.k @ (m.k * x + (1 - m.k) * before)
    v = W.v @ (m.v * x + (1 - m.v) * before)
    now = maximum(top, p.u + k)
    old, new = exp(top - now), exp(p.u + k - now)
    y = W.y @ (sigmoid(r) * (old * a + new * v) / (old * b + new))
    faded = top - exp(p.w)
    top = maximum(faded, k)
    old, new = exp(faded - top), exp(k - top)
    return y, old * a + new * v, old * b + new, top


def _rwkv_4(w: Weights, x: Tensor, y, a, b, top, *, before: Tensor):
    """Equations 19 to 28 of the paper's appendix, which keep the exponents small."""
    parts = [
        torch.nn.functional.linear(w[f"m.{g}"] * x + (1 - w[f"m.{g}"]) * before, w[f"W.{g}"])
        for g in "rkv"
    ]
    decay, bonus, ys = torch.exp(w["p.w"]), w["p.u"], []
    first = bonus + parts[1]
    for k, v, now in zip(*[s.unbind(0) for s in (parts[1], parts[2], first)], strict=True):
        q = torch.maximum(top, now)
        e, f = torch.exp(top - q), torch.exp(now - q)
        ys.append((e * a + f * v) / (e * b + f))
        q = torch.maximum(top - decay, k)
        e, f = torch.exp(top - decay - q), torch.exp(k - q)
        a, b, top = e * a + f * v, e * b + f, q
    ys = (torch.sigmoid(parts[0]) * torch.stack(ys)) @ w["W.y"].t()
    return ys, ys[-1], a, b, top


@cell(gates="c f r", inputs={"u": "hidden"}, init={"b.f": 1.0})
def simple_recurrent_unit(x, h, c, u, *, W, v, b):
    """Simple recurrent unit (Lei et al. 2018); u is x, of hidden size."""
    f = sigmoid(W.f @ x + v.f * c + b.f)
    r = sigmoid(W.r @ x + v.r * c + b.r)
    c = f * c + (1 - f) * (W.c @ x)
    return r * c + (1 - r) * u, c


def _simple_recurrent_unit(w: Weights, x: Tensor, h: Tensor, c: Tensor, *, u: Tensor):
    own, cs, resets = w.stack("v.f v.r"), [], []
    gates, values = w.project(x, "f r"), w.project(x, "c", bias="none")
    for sums, value in zip(gates.unbind(0), values.unbind(0), strict=True):
        f, r = torch.sigmoid(torch.addcmul(sums, own, torch.cat([c, c], 1))).chunk(2, 1)
        c = torch.lerp(value, c, f)
        cs.append(c)
        resets.append(r)
    ys = torch.lerp(u, torch.stack(cs), torch.stack(resets))
    return ys, ys[-1], c


def _min_gru(w: Weights, x: Tensor, h: Tensor):
    ys = []
    for (sums,) in w.steps(x, "z h"):
        z, n = sums.chunk(2, 1)
        z = torch.sigmoid(z)
        h = (1 - z) * h + z * n
        ys.append(h)
    return torch.stack(ys), h


def _whole_min_gru(scan, w: Weights, x: Tensor):
    z, n = w.project(x, "z h").chunk(2, -1)
    return scan(torch.sigmoid(-z), torch.sigmoid(z) * n)


def _min_lstm(w: Weights, x: Tensor, h: Tensor):
    ys = []
    for (sums,) in w.steps(x, "f i h"):
        f, i, n = sums.chunk(3, 1)
        f, i = torch.sigmoid(f), torch.sigmoid(i)
        h = (f * h + i * n) / (f + i)
        ys.append(h)
    return torch.stack(ys), h


def _whole_min_lstm(scan, w: Weights, x: Tensor):
    f, i, n = w.project(x, "f i h").chunk(3, -1)
    f, i = torch.sigmoid(f), torch.sigmoid(i)
    whole = f + i
    return scan(f / whole, i / whole * n)


def _pooled(sums: Tensor, h: Tensor, c: Tensor):
    ys = []
    for now in sums.unbind(0):
        z, f, o = now.chunk(3, 1)
        f = torch.sigmoid(f)
        c = f * c + (1 - f) * torch.tanh(z)
        h = torch.sigmoid(o) * c
        ys.append(h)
    return torch.stack(ys), h, c


def _whole_pooled(scan, sums: Tensor):
    z, f, o = sums.chunk(3, -1)
    return torch.sigmoid(o) * scan(torch.sigmoid(f), torch.sigmoid(-f) * torch.tanh(z))


def _qrnn(w: Weights, x: Tensor, h: Tensor, c: Tensor):
    return _pooled(w.project(x, "z f o"), h, c)


@cell(gates="z f o", inputs={"before": "input"}, init={"b.f": 1.0})
def qrnn_of_two(x, h, c, before, *, W, b):
    """Quasi-recurrent network, window 2, fo-pooling (Bradbury et al. 2017)."""
    z = tanh(W.z @ [before, x] + b.z)
    f = sigmoid(W.f @ [before, x] + b.f)
    o = sigmoid(W.o @ [before, x] + b.o)
    c = f * c + (1 - f) * z
    return o * c, c


def _windows(w: Weights, x: Tensor, before: Tensor) -> Tensor:
    return torch.nn.functional.linear(
        torch.cat([before, x], -1), w.stack("W.z W.f W.o"), w.stack("b.z b.f b.o")
    )


def _qrnn_of_two(w: Weights, x: Tensor, h: Tensor, c: Tensor, *, before: Tensor):
    return _pooled(_windows(w, x, before), h, c)


@cell(gates="f c g l", init={"b.f": 1.0})
def hgrn(x, y, h, *, W, b, p):
    """Hierarchically gated recurrent unit, real (Qin, Yang and Zhong 2023), before its norm.

    p.l is the lower bound of the forget gate, which the paper shares among layers.
    """
    bound = sigmoid(p.l)
    keep = bound + (1 - bound) * sigmoid(W.f @ x + b.f)
    c = W.c @ x + b.c
    h = keep * h + (1 - keep) * (c * sigmoid(c))
    return sigmoid(W.g @ x + b.g) * h, h


def _hgrn(w: Weights, x: Tensor, y: Tensor, h: Tensor):
    bound, ys = torch.sigmoid(w["p.l"]), []
    for (sums,) in w.steps(x, "f c g"):
        f, c, g = sums.chunk(3, 1)
        keep = bound + (1 - bound) * torch.sigmoid(f)
        h = keep * h + (1 - keep) * silu(c)
        ys.append(torch.sigmoid(g) * h)
    return torch.stack(ys), ys[-1], h


def _whole_hgrn(scan, w: Weights, x: Tensor):
    bound = torch.sigmoid(w["p.l"])
    f, c, g = w.project(x, "f c g").chunk(3, -1)
    keep = bound + (1 - bound) * torch.sigmoid(f)
    return torch.sigmoid(g) * scan(keep, (1 - keep) * silu(c))


@cell(gates="f r i g l t y", init={"b.f": 1.0})
def complex_hgrn(x, y, r, i, *, W, b, p):
    """Hierarchically gated recurrent unit, complex (Qin, Yang and Zhong 2023), before its norm.

    The states r and i are a complex number, which turns by p.t in each step.
    """
    bound = sigmoid(p.l)
    keep = bound + (1 - bound) * sigmoid(W.f @ x + b.f)
    to_r, to_i = W.r @ x + b.r, W.i @ x + b.i
    new_r = keep * (cos(p.t) * r - sin(p.t) * i) + (1 - keep) * (to_r * sigmoid(to_r))
    new_i = keep * (sin(p.t) * r + cos(p.t) * i) + (1 - keep) * (to_i * sigmoid(to_i))
    g = sigmoid(W.g @ x + b.g)
    return W.y @ [g * new_r, g * new_i], new_r, new_i


def _complex_gates(w: Weights, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What the complex state is multiplied with, what is added, and the output gate."""
    bound, angle = torch.sigmoid(w["p.l"]), w["p.t"]
    f, r, i, g = w.project(x, "f r i g").chunk(4, -1)
    keep = bound + (1 - bound) * torch.sigmoid(f)
    turned = torch.polar(torch.ones_like(angle), angle)
    return keep * turned, (1 - keep) * torch.complex(silu(r), silu(i)), torch.sigmoid(g)


def _complex_output(w: Weights, states: Tensor, g: Tensor) -> Tensor:
    return torch.cat([g * states.real, g * states.imag], -1) @ w["W.y"].t()


def _complex_hgrn(w: Weights, x: Tensor, y: Tensor, r: Tensor, i: Tensor):
    keep, write, g = _complex_gates(w, x)
    state, found = torch.complex(r, i), []
    for k, new in zip(keep.unbind(0), write.unbind(0), strict=True):
        state = torch.addcmul(new, k, state)
        found.append(state)
    ys = _complex_output(w, torch.stack(found), g)
    return ys, ys[-1], state.real, state.imag


def _whole_complex_hgrn(scan, w: Weights, x: Tensor):
    keep, write, g = _complex_gates(w, x)
    return _complex_output(w, scan(keep, write), g)


@cell(gates="r i a", inputs={"u": "hidden"}, init={"p.a": -4.3})
def real_gated_lru(x, h, u, *, W, b, p):
    """Real-gated linear recurrent unit (De et al. 2024); u is x, of hidden size."""
    r = sigmoid(W.r @ x + b.r)
    i = sigmoid(W.i @ x + b.i)
    log_a = -8 * softplus(p.a) * r
    return exp(log_a) * h + sqrt(1 - exp(2 * log_a)) * (i * u)


def _real_gates(w: Weights, sums: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """a = σ(Λ)^(8 r), here by its logarithm, and √(1 - a²) i x."""
    r, i = torch.sigmoid(sums).chunk(2, -1)
    a = torch.exp(8 * logsigmoid(-w["p.a"]) * r)
    return a, torch.sqrt(1 - a * a) * (i * u)


def _real_gated_lru(w: Weights, x: Tensor, h: Tensor, *, u: Tensor):
    ys = []
    for sums, now in w.steps(x, "r i", beside=(u,)):
        a, new = _real_gates(w, sums, now)
        h = a * h + new
        ys.append(h)
    return torch.stack(ys), h


def _whole_real_gated_lru(scan, w: Weights, x: Tensor, u: Tensor):
    return scan(*_real_gates(w, w.project(x, "r i"), u))


def _linear_parts(w: Weights, x: Tensor) -> tuple[Tensor, Tensor]:
    """λ = exp(-exp(ν) + iθ), and √(1 - |λ|²) B x."""
    size = torch.exp(-torch.exp(w["p.a"]))
    r, i = w.project(x, "r i", bias="none").chunk(2, -1)
    return torch.polar(size, w["p.t"]), torch.sqrt(1 - size * size) * torch.complex(r, i)


def _linear_output(w: Weights, states: Tensor, x: Tensor) -> Tensor:
    """Re(C s) + D x."""
    return torch.cat([states.real, states.imag, x], -1) @ w["W.o"].t()


def _lru(w: Weights, x: Tensor, h: Tensor, r: Tensor, i: Tensor):
    keep, write = _linear_parts(w, x)
    state, found = torch.complex(r, i), []
    for new in write.unbind(0):
        state = torch.addcmul(new, keep, state)
        found.append(state)
    ys = _linear_output(w, torch.stack(found), x)
    return ys, ys[-1], state.real, state.imag


def _whole_lru(scan, w: Weights, x: Tensor):
    keep, write = _linear_parts(w, x)
    return _linear_output(w, scan(keep.expand_as(write), write), x)


ELEMENTWISE = (
    Published("IndRNN", cells.ind_rnn, _ind_rnn),
    Published(
        "RWKV-4 time mixing",
        rwkv_4,
        _rwkv_4,
        beside=before,
        from_zero=True,
    ),
    Published(
        "SRU",
        simple_recurrent_unit,
        _simple_recurrent_unit,
        beside=as_units,
        square=True,
        gone="frozen identity for x: x as an input of hidden size",
    ),
    Published("minGRU", cells.min_gru, _min_gru, rivals=scans(_whole_min_gru)),
    Published("minLSTM", cells.min_lstm, _min_lstm, rivals=scans(_whole_min_lstm)),
    Published(
        "QRNN, window 1",
        cells.qrnn,
        _qrnn,
        rivals=scans(lambda scan, w, x: _whole_pooled(scan, w.project(x, "z f o"))),
    ),
    Published(
        "QRNN, window 2",
        qrnn_of_two,
        _qrnn_of_two,
        rivals=scans(lambda scan, w, x, before: _whole_pooled(scan, _windows(w, x, before))),
        beside=before,
        gone="three states for the step before: x of the step before as an input",
    ),
    Published("HGRN, real", hgrn, _hgrn, rivals=scans(_whole_hgrn)),
    Published(
        "HGRN, complex",
        complex_hgrn,
        _complex_hgrn,
        rivals=scans(_whole_complex_hgrn),
        gone="could not be written: `cos` and `sin`",
    ),
    Published(
        "RG-LRU",
        real_gated_lru,
        _real_gated_lru,
        rivals=scans(_whole_real_gated_lru),
        beside=as_units,
        square=True,
        gone="frozen identity for x: an input of hidden size; root as exp(0.5 log): `sqrt`",
    ),
    Published(
        "LRU",
        cells.lru,
        _lru,
        rivals=scans(_whole_lru),
        gone="polar form outside: `exp`, `cos` and `sin` of parameters",
    ),
)
