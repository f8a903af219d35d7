"""Cells with a matrix state: a value for each unit and key of a head.

Each step writes a value under a key and reads what is stored under a query.  No matrix multiplies
a state, so all products are computed before the steps.  ``elman.Recurrent`` takes ``heads`` and
``key_size``.
"""

from elman.graph import (
    abs,
    cell,
    exp,
    head_sum,
    maximum,
    outer,
    sigmoid,
    softplus,
    sqrt,
    where,
)


@cell(gates="q k v", sizes={"S": "memory", "n": "key", "W.q": "key", "W.k": "key"})
def linear_attention(x, y, S, n, *, W):
    """Linear attention (Katharopoulos et al. 2020) with positive keys and a normaliser."""
    q = W.q @ x
    q = where(q > 0, q + 1, exp(q))
    k = W.k @ x
    k = where(k > 0, k + 1, exp(k))
    S = S + outer(W.v @ x, k)
    n = n + k
    y = S @ q / (head_sum(n * q) + 1e-6)
    return y, S, n


@cell(
    gates="q k v d",
    sizes={"S": "memory", "W.q": "key", "W.k": "key", "p.d": "head"},
    init={"p.d": 3.0},
)
def retention(x, y, S, *, W, p):
    """Retention of RetNet (Sun et al. 2023), whose heads forget at a learned rate."""
    S = sigmoid(p.d) * S + outer(W.v @ x, W.k @ x)
    y = S @ (W.q @ x)
    return y, S


@cell(
    gates="q k v a",
    sizes={"S": "memory", "W.q": "key", "W.k": "key", "W.a": "key", "b.a": "key"},
)
def gated_linear_attention(x, y, S, *, W, b):
    """Gated linear attention (Yang et al. 2024): each key forgets as x says."""
    a = exp(-softplus(-(W.a @ x + b.a)) / 16)  # the sixteenth root of a sigmoid
    S = a * S + outer(W.v @ x, W.k @ x)
    y = S @ (W.q @ x)
    return y, S


@cell(gates="q k v b", sizes={"S": "memory", "W.q": "key", "W.k": "key", "W.b": "head"})
def delta_net(x, y, S, *, W):
    """DeltaNet (Schlag et al. 2021; Yang et al. 2024): replaces what is stored under a key."""
    k = W.k @ x
    k = k / sqrt(head_sum(k * k) + 1e-6)
    S = S + outer(sigmoid(W.b @ x) * (W.v @ x - S @ k), k)
    y = S @ (W.q @ x)
    return y, S


@cell(
    gates="q k v a b",
    sizes={
        "S": "memory",
        "W.q": "key",
        "W.k": "key",
        "W.a": "head",
        "b.a": "head",
        "W.b": "head",
    },
    init={"b.a": 3.0},
)
def gated_delta_net(x, y, S, *, W, b):
    """Gated DeltaNet (Yang et al. 2025): forgets, then replaces what is stored under a key."""
    k = W.k @ x
    k = k / sqrt(head_sum(k * k) + 1e-6)
    S = sigmoid(W.a @ x + b.a) * S
    S = S + outer(sigmoid(W.b @ x) * (W.v @ x - S @ k), k)
    y = S @ (W.q @ x)
    return y, S


@cell(
    gates="q k v i f o",
    sizes={
        "C": "memory",
        "n": "key",
        "m": "head",
        "W.q": "key",
        "W.k": "key",
        "W.i": "head",
        "b.i": "head",
        "W.f": "head",
        "b.f": "head",
    },
    init={"b.f": 3.0},
)
def mlstm(x, h, C, n, m, *, W, b):
    """Matrix LSTM of xLSTM (Beck et al. 2024): exponential gates, a normaliser, a stabiliser m."""
    log_f = -softplus(-(W.f @ x + b.f))
    log_i = W.i @ x + b.i
    top = maximum(log_f + m, log_i)
    f = exp(log_f + m - top)
    i = exp(log_i - top)
    q, k = W.q @ x, W.k @ x
    C = f * C + i * outer(W.v @ x, k)
    n = f * n + i * k
    m = top
    h = sigmoid(W.o @ x + b.o) * (C @ q) / maximum(abs(head_sum(n * q)), exp(-m))
    return h, C, n, m


@cell(
    gates="u d b c a",
    sizes={"S": "memory", "W.b": "key", "W.c": "key", "p.a": "memory"},
    init={"b.d": -3.0},
)
def mamba(x, y, S, *, W, b, p):
    """Selective scan of Mamba (Gu and Dao 2023), without its convolution and its gate.

    Take one head and ``key_size=16``.
    """
    u = W.u @ x
    step = softplus(W.d @ x + b.d)
    S = exp(-step * exp(p.a)) * S + outer(step * u, W.b @ x)
    y = S @ (W.c @ x) + p.d * u
    return y, S


@cell(
    gates="r k v w u",
    sizes={"S": "memory", "W.r": "key", "W.k": "key", "W.w": "key", "b.w": "key", "p.u": "key"},
    init={"b.w": -3.0},
)
def rwkv_6(x, y, S, *, W, b, p):
    """Time mixing of RWKV-6 (Peng et al. 2024), without the shift of x by a step."""
    r, k, v = W.r @ x, W.k @ x, W.v @ x
    y = S @ r + head_sum(p.u * k * r) * v
    S = exp(-exp(W.w @ x + b.w)) * S + outer(v, k)
    return y, S
