"""Weights that do not change while a model answers.

``Recurrent.freeze`` is a promise of the user.  ``frozen_weights`` makes it for one answer only,
in which a model may call a layer thousands of times.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from weakref import WeakKeyDictionary

from torch import nn

from elman.nn.recurrent import Recurrent

_lock = Lock()
#: how many answers a layer is frozen for
_answers: WeakKeyDictionary[Recurrent, int] = WeakKeyDictionary()


@contextmanager
def frozen_weights(model: nn.Module) -> Iterator[None]:
    """Freeze the recurrent layers of a model, except those that are frozen already.

    Each layer reads its weights once more after this begins, and again in each call after it ends.
    Several threads may do this with one model at a time; the promise then ends with the last.

    >>> import torch, elman
    >>> layer = elman.Recurrent(elman.cells.gru, 10, 20)
    >>> with torch.no_grad(), frozen_weights(layer):
    ...     y, state = layer.step(torch.randn(1, 10))
    """
    layers = [each for each in model.modules() if isinstance(each, Recurrent)]
    with _lock:
        held = [layer for layer in layers if layer in _answers or not layer._frozen]
        for layer in held:
            _answers[layer] = _answers.get(layer, 0) + 1
            layer._freeze(True, clear=False)
    try:
        yield
    finally:
        with _lock:
            for layer in held:
                _answers[layer] -= 1
                if not _answers[layer]:
                    del _answers[layer]
                    layer._freeze(False, clear=False)
