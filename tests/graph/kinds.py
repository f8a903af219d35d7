"""A cell of each kind, for tests whose subject does not depend on the equations.

One state and several; one product after another; a mean over the units; a state that meets no
matrix; many values.
"""

KINDS = ("rnn", "lstm", "gru", "layer_norm_gru", "lru", "nas")
