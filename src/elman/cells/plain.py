"""The plain recurrent network, with tanh and with ReLU."""

from elman.graph import cell, relu, tanh


@cell(gates="a")
def rnn(x, a, *, W, b):
    """Simple recurrent network (Elman 1990)."""
    a = tanh(W.a @ [a, x] + b.a)
    return a


@cell(gates="a")
def relu_rnn(x, a, *, W, b):
    """Simple recurrent network with rectified units (Le, Jaitly and Hinton 2015)."""
    a = relu(W.a @ [a, x] + b.a)
    return a
