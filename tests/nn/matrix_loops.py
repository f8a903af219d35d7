"""Cells with a matrix state once more, from their papers, in plain torch: (time, batch, ...) loops.

Nothing of the library is used: weights come by name, sums are einsum's.
"""

import torch
from torch import Tensor


class Given:
    """Projections of x by the weights of a layer, in heads."""

    def __init__(self, weights: dict[str, Tensor], x: Tensor, heads: int, units: int, keys: int):
        self.w, self.x = weights, x
        self.heads, self.units, self.keys = heads, units, keys
        self.batch = x.shape[1]

    def of(self, name: str, bias: str = "") -> Tensor:
        """(time, batch, head, unit or key)."""
        found = self.x @ self.w[name].T
        found = found + self.w[bias] if bias else found
        return found.unflatten(-1, (self.heads, -1))

    def matrix(self) -> Tensor:
        return self.x.new_zeros(self.batch, self.heads, self.units, self.keys)

    def keyed(self) -> Tensor:
        return self.x.new_zeros(self.batch, self.heads, self.keys)

    def step(self, *parts: Tensor):
        return zip(*parts, strict=True)


def read(state: Tensor, vector: Tensor) -> Tensor:
    return torch.einsum("bhuk,bhk->bhu", state, vector)


def write(value: Tensor, key: Tensor) -> Tensor:
    return torch.einsum("bhu,bhk->bhuk", value, key)


def linear_attention(g: Given) -> tuple[Tensor, list[Tensor]]:
    s, n, ys = g.matrix(), g.keyed(), []
    phi = lambda a: torch.nn.functional.elu(a) + 1  # noqa: E731
    for q, k, v in g.step(phi(g.of("W.q")), phi(g.of("W.k")), g.of("W.v")):
        s, n = s + write(v, k), n + k
        ys.append(read(s, q) / ((n * q).sum(-1, keepdim=True) + 1e-6))
    return torch.stack(ys), [s, n]


def retention(g: Given) -> tuple[Tensor, list[Tensor]]:
    s, ys = g.matrix(), []
    decay = torch.sigmoid(g.w["p.d"])[:, None, None]
    for q, k, v in g.step(g.of("W.q"), g.of("W.k"), g.of("W.v")):
        s = decay * s + write(v, k)
        ys.append(read(s, q))
    return torch.stack(ys), [s]


def gated_linear_attention(g: Given) -> tuple[Tensor, list[Tensor]]:
    s, ys = g.matrix(), []
    alpha = torch.sigmoid(g.of("W.a", "b.a")) ** (1 / 16)
    for q, k, v, a in g.step(g.of("W.q"), g.of("W.k"), g.of("W.v"), alpha):
        s = s * a[:, :, None, :] + write(v, k)
        ys.append(read(s, q))
    return torch.stack(ys), [s]


def normed(k: Tensor) -> Tensor:
    return k / (k.square().sum(-1, keepdim=True) + 1e-6).sqrt()


def delta_net(g: Given) -> tuple[Tensor, list[Tensor]]:
    """S (I - β k kᵀ) + β v kᵀ, as the paper has it."""
    s, ys = g.matrix(), []
    one = torch.eye(g.keys, dtype=g.x.dtype)
    beta = torch.sigmoid(g.of("W.b"))
    for q, k, v, b in g.step(g.of("W.q"), normed(g.of("W.k")), g.of("W.v"), beta):
        b = b[..., None]
        s = s @ (one - b * torch.einsum("bhi,bhj->bhij", k, k)) + b * write(v, k)
        ys.append(read(s, q))
    return torch.stack(ys), [s]


def gated_delta_net(g: Given) -> tuple[Tensor, list[Tensor]]:
    """S α (I - β k kᵀ) + β v kᵀ."""
    s, ys = g.matrix(), []
    one = torch.eye(g.keys, dtype=g.x.dtype)
    alpha, beta = torch.sigmoid(g.of("W.a", "b.a")), torch.sigmoid(g.of("W.b"))
    for q, k, v, a, b in g.step(g.of("W.q"), normed(g.of("W.k")), g.of("W.v"), alpha, beta):
        a, b = a[..., None], b[..., None]
        s = a * s @ (one - b * torch.einsum("bhi,bhj->bhij", k, k)) + b * write(v, k)
        ys.append(read(s, q))
    return torch.stack(ys), [s]


def mlstm(g: Given) -> tuple[Tensor, list[Tensor]]:
    """Without the stabiliser, whose effect cancels; its state comes from its own recursion."""
    c, n, ys = g.matrix(), g.keyed(), []
    m = g.x.new_zeros(g.batch, g.heads)
    parts = [g.of(f"W.{k}") for k in "qkv"]
    parts += [g.of("W.i", "b.i"), g.of("W.f", "b.f"), g.of("W.o", "b.o")]
    for q, k, v, i, f, o in g.step(*parts):
        f = torch.sigmoid(f)
        m = torch.maximum(f[..., 0].log() + m, i[..., 0])
        c = f[..., None] * c + i.exp()[..., None] * write(v, k)
        n = f * n + i.exp() * k
        below = torch.clamp((n * q).sum(-1, keepdim=True).abs(), min=1.0)
        ys.append(torch.sigmoid(o) * read(c, q) / below)
    scale = torch.exp(-m)
    return torch.stack(ys), [c * scale[..., None, None], n * scale[..., None], m]


def mamba(g: Given) -> tuple[Tensor, list[Tensor]]:
    s, ys = g.matrix(), []
    step = torch.nn.functional.softplus(g.of("W.d", "b.d"))
    a = -g.w["p.a"].exp().unflatten(0, (g.heads, g.units))
    skip = g.w["p.d"].unflatten(0, (g.heads, g.units))
    for u, d, b, c in g.step(g.of("W.u"), step, g.of("W.b"), g.of("W.c")):
        s = torch.exp(d[..., None] * a) * s + (d * u)[..., None] * b[:, :, None, :]
        ys.append(read(s, c) + skip * u)
    return torch.stack(ys), [s]


def rwkv_6(g: Given) -> tuple[Tensor, list[Tensor]]:
    """r (diag(u) kᵀ v + S), then S diag(w) + kᵀ v."""
    s, ys = g.matrix(), []
    bonus = g.w["p.u"].unflatten(0, (g.heads, g.keys))
    decay = torch.exp(-torch.exp(g.of("W.w", "b.w")))
    for r, k, v, w in g.step(g.of("W.r"), g.of("W.k"), g.of("W.v"), decay):
        ys.append(read(s + write(v, bonus * k), r))
        s = s * w[:, :, None, :] + write(v, k)
    return torch.stack(ys), [s]


LOOPS = {
    f.__name__: f
    for f in (
        linear_attention, retention, gated_linear_attention, delta_net, gated_delta_net, mlstm,
        mamba, rwkv_6,
    )
}  # fmt: skip
