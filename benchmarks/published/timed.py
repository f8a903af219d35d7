"""Cells that are told how much time has passed, or what time it is."""

import torch
from torch import Tensor

import elman
from elman import cell, cells, exp, floor, heads, log, lower_triangle, sigmoid, tanh, where
from published.published import Published, Weights


def _gaps(x: Tensor, hidden: int) -> dict[str, Tensor]:
    """The time since the last step, 0.1 to 1.1."""
    return {"dt": torch.rand(*x.shape[:2], 1, dtype=x.dtype) + 0.1}


def _times(x: Tensor, hidden: int) -> dict[str, Tensor]:
    """The time of each step, which are 0.1 to 1.1 apart."""
    return {"t": _gaps(x, hidden)["dt"].cumsum(0)}


def _numbers(x: Tensor, hidden: int) -> dict[str, Tensor]:
    """The number of each step."""
    counted = torch.arange(len(x), dtype=x.dtype)[:, None, None]
    return {"t": counted.expand(-1, x.shape[1], -1).contiguous()}


def _missing(x: Tensor, hidden: int) -> dict[str, Tensor]:
    """Which values are there, and the time since the last one."""
    return {"m": (torch.rand_like(x) > 0.3).to(x.dtype), "d": torch.rand_like(x)}


def _cfc(w: Weights, x: Tensor, h: Tensor, *, dt: Tensor):
    matrix, ys = w.recurrent("f g a t"), []
    for sums, now in w.steps(x, "f g a t", beside=(dt,)):
        f, g, a, t = torch.addmm(sums, h, matrix).chunk(4, 1)
        passed = torch.sigmoid(a * now + t)
        h = torch.tanh(f) * (1 - passed) + passed * torch.tanh(g)
        ys.append(h)
    return torch.stack(ys), h


@cell(gates="d i f g o", inputs={"dt": "one"}, init={"b.f": 1.0})
def time_aware_lstm(x, h, c, dt, *, W, b):
    """Time-aware LSTM (Baytas et al. 2017): short-term memory fades with the time since."""
    short = tanh(W.d @ c + b.d)
    c = c - short + short / log(2.718281828459045 + dt)
    i = sigmoid(W.i @ [h, x] + b.i)
    f = sigmoid(W.f @ [h, x] + b.f)
    c = f * c + i * tanh(W.g @ [h, x] + b.g)
    o = sigmoid(W.o @ [h, x] + b.o)
    return o * tanh(c), c


def _time_aware_lstm(w: Weights, x: Tensor, h: Tensor, c: Tensor, *, dt: Tensor):
    of_h, of_c, bias, ys = w.recurrent("i f g o"), w["W.d"].t(), w["b.d"], []
    less = 1 / torch.log(torch.e + dt) - 1
    for sums, now in w.steps(x, "i f g o", beside=(less,)):
        c = torch.addcmul(c, torch.tanh(torch.addmm(bias, c, of_c)), now)
        i, f, g, o = torch.addmm(sums, h, of_h).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        ys.append(h)
    return torch.stack(ys), h, c


def _gru_d(w: Weights, x: Tensor, h: Tensor, *, m: Tensor, d: Tensor):
    seen = m * x + (1 - m) * torch.exp(-torch.relu(w["w.x"] * d + w["b.x"])) * x
    decay = torch.exp(-torch.relu(torch.nn.functional.linear(d, w["W.s"], w["b.s"])))
    matrix = w.stack("W.z W.r W.h", w.hidden)
    sums = torch.nn.functional.linear(torch.cat([seen, m], -1), matrix, w.stack("b.z b.r b.h"))
    gates, values = sums.split([2 * w.hidden, w.hidden], -1)
    of_h, of_reset, ys = w.recurrent("z r"), w.recurrent("h"), []
    steps = zip(gates.unbind(0), values.unbind(0), decay.unbind(0), strict=True)
    for gate, value, fade in steps:
        h = fade * h
        z, r = torch.sigmoid(torch.addmm(gate, h, of_h)).chunk(2, 1)
        h = (1 - z) * h + z * torch.tanh(torch.addmm(value, r * h, of_reset))
        ys.append(h)
    return torch.stack(ys), h


@cell(gates="a d z r h", inputs={"dt": "one"})
def ode_rnn(x, h, dt, *, W, b):
    """ODE-RNN (Rubanova, Chen and Duvenaud 2019): three Euler steps, then a GRU."""
    for _ in range(3):
        h = h + (dt / 3) * (W.d @ tanh(W.a @ h + b.a) + b.d)
    z = sigmoid(W.z @ [h, x] + b.z)
    r = sigmoid(W.r @ [h, x] + b.r)
    n = tanh(W.h @ [r * h, x] + b.h)
    return (1 - z) * h + z * n


def _ode_rnn(w: Weights, x: Tensor, h: Tensor, *, dt: Tensor):
    a, of_a, d, of_d = w["b.a"], w["W.a"].t(), w["b.d"], w["W.d"].t()
    of_h, of_reset, ys = w.recurrent("z r"), w.recurrent("h"), []
    for gate, value, now in w.steps(x, "z r", "h", beside=(dt / 3,)):
        for _ in range(3):
            h = torch.addcmul(h, now, torch.addmm(d, torch.tanh(torch.addmm(a, h, of_a)), of_d))
        z, r = torch.sigmoid(torch.addmm(gate, h, of_h)).chunk(2, 1)
        h = torch.lerp(h, torch.tanh(torch.addmm(value, r * h, of_reset)), z)
        ys.append(h)
    return torch.stack(ys), h


@cell(gates="i f g o t s r", inputs={"t": "one"}, init={"b.f": 1.0, "v.t": 2.0, "v.r": 0.05})
def phased_lstm(x, h, c, t, *, W, b, p, v):
    """Phased LSTM (Neil, Pfeiffer and Liu 2016): units open a part of their period; leak 0.001."""
    turns = (t - v.s) / exp(v.t)
    phase = turns - floor(turns)
    falling = where(phase < v.r, 2 - 2 * phase / v.r, 0.001 * phase)
    k = where(phase < 0.5 * v.r, 2 * phase / v.r, falling)
    i = sigmoid(W.i @ [h, x] + p.i * c + b.i)
    f = sigmoid(W.f @ [h, x] + p.f * c + b.f)
    c = k * (f * c + i * tanh(W.g @ [h, x] + b.g)) + (1 - k) * c
    o = sigmoid(W.o @ [h, x] + p.o * c + b.o)
    h = k * (o * tanh(c)) + (1 - k) * h
    return h, c


def _open_half(layer: elman.Recurrent) -> None:
    """Periods of 2 to 20, phases within them, units open for 0.3 to 0.7 of a period."""
    named = dict(layer.named_parameters())
    with torch.no_grad():
        named["layers.0.0.v.t"].uniform_(0.7, 3.0)
        named["layers.0.0.v.s"].uniform_(0.0, 2.0)
        named["layers.0.0.v.r"].uniform_(0.3, 0.7)


def _phased_lstm(w: Weights, x: Tensor, h: Tensor, c: Tensor, *, t: Tensor):
    period, ratio, ys = torch.exp(w["v.t"]), w["v.r"], []
    phase = torch.remainder(t - w["v.s"], period) / period
    rising, falling = 2 * phase / ratio, 2 - 2 * phase / ratio
    k = torch.where(phase < ratio / 2, rising, torch.where(phase < ratio, falling, 0.001 * phase))
    p_i, p_f, p_o = w["p.i"], w["p.f"], w["p.o"]
    matrix = w.recurrent("i f g o")
    for sums, now in w.steps(x, "i f g o", beside=(k,)):
        i, f, g, o = torch.addmm(sums, h, matrix).chunk(4, 1)
        i, f = torch.sigmoid(i + p_i * c), torch.sigmoid(f + p_f * c)
        c = torch.lerp(c, f * c + i * torch.tanh(g), now)
        h = torch.lerp(h, torch.sigmoid(o + p_o * c) * torch.tanh(c), now)
        ys.append(h)
    return torch.stack(ys), h, c


@cell(gates="h x t", inputs={"t": "one"}, init={"v.t": 1.0})
def clockwork_rnn(x, h, t, *, W, R, b, v):
    """Clockwork RNN (Koutník et al. 2014) of four modules, the slowest first; v.t are periods.

    Units read those of slower modules and their own: a triangle, and the blocks on its diagonal.
    """
    new = tanh(lower_triangle(W.h) @ h + heads(R.h, 4) @ h + W.x @ x + b.h)
    return where(t - v.t * floor(t / v.t) < 0.5, new, h)


def _periods(layer: elman.Recurrent) -> None:
    """8, 4, 2 and 1 step."""
    named = dict(layer.named_parameters())
    periods = torch.tensor([8.0, 4.0, 2.0, 1.0]).repeat_interleave(layer.hidden_size // 4)
    named["layers.0.0.v.t"].data.copy_(periods)


def _clockwork_parts(w: Weights, x: Tensor) -> tuple[Tensor, Tensor]:
    matrix = w["W.h"].tril() + torch.block_diag(*w["R.h"].split(w.hidden // 4))
    return matrix, w.project(x, "x", bias="none") + w["b.h"]


def _clockwork_rnn(w: Weights, x: Tensor, h: Tensor, *, t: Tensor):
    matrix, sums = _clockwork_parts(w, x)
    awake, ys = torch.remainder(t, w["v.t"]) < 0.5, []
    for now, its_turn in zip(sums.unbind(0), awake.unbind(0), strict=True):
        h = torch.where(its_turn, torch.tanh(torch.addmm(now, h, matrix.t())), h)
        ys.append(h)
    return torch.stack(ys), h


def _clockwork_that_skips(w: Weights, x: Tensor, h: Tensor, *, t: Tensor):
    """Only the rows of modules whose turn it is, at the end of the units, are multiplied."""
    matrix, sums = _clockwork_parts(w, x)
    units, ys = w.hidden // 4, []
    rows = [matrix[k * units :].t() for k in range(4)]
    numbers = [round(number) for number in t[:, 0, 0].tolist()]
    for now, number in zip(sums.unbind(0), numbers, strict=True):
        waiting = next(k for k, period in enumerate((8, 4, 2, 1)) if number % period == 0)
        new = torch.tanh(torch.addmm(now[:, waiting * units :], h, rows[waiting]))
        h = torch.cat([h[:, : waiting * units], new], 1) if waiting else new
        ys.append(h)
    return torch.stack(ys), h


TIMED = (
    Published(
        "CfC", cells.cfc, _cfc, beside=_gaps, gone="frozen selection of the gap: an input dt"
    ),
    Published(
        "T-LSTM",
        time_aware_lstm,
        _time_aware_lstm,
        beside=_gaps,
        gone="frozen selection of the gap: an input dt",
    ),
    Published(
        "GRU-D",
        cells.gru_d,
        _gru_d,
        beside=_missing,
        gone="frozen selection of mask and gap: inputs m and d",
    ),
    Published(
        "ODE-RNN, 3 Euler steps",
        ode_rnn,
        _ode_rnn,
        beside=_gaps,
        gone="frozen selection of the gap: an input dt",
    ),
    Published(
        "Phased LSTM",
        phased_lstm,
        _phased_lstm,
        beside=_times,
        prepare=_open_half,
        gone="phase as a state: an input t and `floor`",
    ),
    Published(
        "Clockwork, 4 modules",
        clockwork_rnn,
        _clockwork_rnn,
        rivals={"loop that skips": _clockwork_that_skips},
        beside=_numbers,
        prepare=_periods,
        gone="counter as a state: an input t and `floor`",
        left="units that wait are computed, then dropped",
    ),
)
