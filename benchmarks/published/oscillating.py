"""Cells that keep gradients in bounds: oscillators, equations of motion, constrained matrices."""

import torch
from torch import Tensor

from elman import cell, cells, sigmoid, tanh
from published.published import Published, Weights


def _co_rnn(w: Weights, x: Tensor, y: Tensor, z: Tensor):
    """Δt 0.042, γ 2.7, ε 4.7."""
    matrix, ys = w.stack("W.v", 0, 2 * w.hidden).t(), []
    for (sums,) in w.steps(x, "v"):
        a = torch.tanh(torch.addmm(sums, torch.cat([y, z], 1), matrix))
        z = z + 0.042 * (a - 2.7 * y - 4.7 * z)
        y = y + 0.042 * z
        ys.append(y)
    return torch.stack(ys), y, z


def _lem(w: Weights, x: Tensor, y: Tensor, z: Tensor):
    of_y, of_z, ys = w.recurrent("s t z"), w.recurrent("h"), []
    for sums, last in w.steps(x, "s t z", "h"):
        s, t, new = torch.addmm(sums, y, of_y).chunk(3, 1)
        s, t = torch.sigmoid(s), torch.sigmoid(t)
        z = (1 - s) * z + s * torch.tanh(new)
        y = (1 - t) * y + t * torch.tanh(torch.addmm(last, z, of_z))
        ys.append(y)
    return torch.stack(ys), y, z


@cell(gates="h c")
def unicornn(x, y, z, *, W, w, b, p):
    """UnICORNN (Rusch and Mishra 2021): independent, undamped oscillators; Δt 0.1, α 0.9."""
    step = 0.1 * sigmoid(p.c)
    z = z - step * (tanh(w.h * y + W.h @ x + b.h) + 0.9 * y)
    y = y + step * z
    return y, z


def _unicornn(w: Weights, x: Tensor, y: Tensor, z: Tensor):
    own, step, ys = w["w.h"], 0.1 * (0.5 + 0.5 * torch.tanh(w["p.c"] / 2)), []
    for (sums,) in w.steps(x, "h"):
        z = z - step * (torch.tanh(torch.addcmul(sums, own, y)) + 0.9 * y)
        y = torch.addcmul(y, step, z)
        ys.append(y)
    return torch.stack(ys), y, z


def _antisymmetric_rnn(w: Weights, x: Tensor, h: Tensor):
    """ε 0.1, γ 0.01."""
    own, ys = w["W.h"], []
    matrix = own - own.t() - 0.01 * torch.eye(w.hidden, dtype=x.dtype)
    for (sums,) in w.steps(x, "z x", family="V"):
        moved = h @ matrix.t()
        z, new = sums.chunk(2, 1)
        h = h + 0.1 * torch.sigmoid(z + moved) * torch.tanh(new + moved)
        ys.append(h)
    return torch.stack(ys), h


def _lipschitz_rnn(w: Weights, x: Tensor, h: Tensor):
    """β 0.75, γ 0.001, Δt 0.03: A = (1 - β) (M + Mᵀ) + β (M - Mᵀ) - γ I, by Euler."""
    damping, ys = 0.001 * torch.eye(w.hidden, dtype=x.dtype), []
    made = [0.25 * (m + m.t()) + 0.75 * (m - m.t()) - damping for m in (w["W.a"], w["W.h"])]
    matrix = torch.cat(made).t()
    sums = w.project(x, "x", bias="none") + w["b.h"]
    for now in sums.unbind(0):
        linear, squashed = (h @ matrix).chunk(2, 1)
        h = h + 0.03 * (linear + torch.tanh(squashed + now))
        ys.append(h)
    return torch.stack(ys), h


def _orthogonal_rnn(w: Weights, x: Tensor, h: Tensor):
    """The Cayley transform of A = W - Wᵀ, (I + A)⁻¹ (I - A), and modReLU."""
    skew, one = w["W.h"] - w["W.h"].t(), torch.eye(w.hidden, dtype=x.dtype)
    matrix, bias, ys = torch.linalg.solve(one + skew, one - skew).t(), w["b.h"], []
    for (sums,) in w.steps(x, "x"):
        a = torch.addmm(sums, h, matrix)
        h = torch.sign(a) * torch.relu(a.abs() + bias)
        ys.append(h)
    return torch.stack(ys), h


@cell(gates="h")
def leaky_echo_state(x, h, *, W, b):
    """Leaky echo state network (Jaeger et al. 2007), leak 0.3; its matrices are not trained."""
    return 0.7 * h + 0.3 * tanh(W.h @ [h, x] + b.h)


def _leaky_echo_state(w: Weights, x: Tensor, h: Tensor):
    matrix, ys = w.recurrent("h"), []
    for (sums,) in w.steps(x, "h"):
        h = torch.lerp(h, torch.tanh(torch.addmm(sums, h, matrix)), 0.3)
        ys.append(h)
    return torch.stack(ys), h


OSCILLATING = (
    Published("coRNN", cells.co_rnn, _co_rnn),
    Published("LEM", cells.lem, _lem),
    Published("UnICORNN", unicornn, _unicornn),
    Published(
        "antisymmetric",
        cells.antisymmetric_rnn,
        _antisymmetric_rnn,
        gone="matrix made outside: `W.h - W.h.T`",
    ),
    Published(
        "Lipschitz", cells.lipschitz_rnn, _lipschitz_rnn, gone="matrix made outside: `W.h + W.h.T`"
    ),
    Published(
        "orthogonal with modReLU",
        cells.orthogonal_rnn,
        _orthogonal_rnn,
        gone="matrix made outside: `orthogonal(W.h)`",
    ),
    Published("leaky echo state", leaky_echo_state, _leaky_echo_state),
)
