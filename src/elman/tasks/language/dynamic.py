"""Dynamic evaluation: a model goes on learning from the text that it reads.

After each window, which is predicted first, the weights take a gradient step on it (Mikolov et al.
2010; Krause et al. 2018).  The trained model stays as it is: its copy learns, anew for each text.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from elman.errors import OptionError
from elman.models import LanguageModel
from elman.nn import Recurrent
from elman.nn.stack import State


class DynamicModel:
    """A copy of ``model`` that takes steps of plain gradient descent with ``rate``.

    ``read`` returns the log probabilities of a window of one text, then learns from it.
    """

    def __init__(self, model: LanguageModel, rate: float) -> None:
        self.model = copy.deepcopy(model).eval()
        for layer in self.model.modules():
            if isinstance(layer, Recurrent):
                layer.freeze(False)  # its weights change now
        self._rate = rate
        self._parameters: list[nn.Parameter] = list(self.model.parameters())
        self.state: State = self.model.initial_state(1)

    def read(self, tokens: Tensor) -> Tensor:
        """The log probability of each token but the first."""
        x, y = tokens[:-1, None], tokens[1:, None]
        with torch.enable_grad():
            features, state = self.model(x, None, self.state)
            each = self.model.prediction.log_prob(features, y)[:, 0]
            if not each.requires_grad:
                raise OptionError(
                    "dynamic_rate needs the weights of the model, which an exported file does not "
                    "train; use the run folder."
                )
            gradients = torch.autograd.grad(
                -each.mean(),
                self._parameters,
                allow_unused=True,  # a learned initial state, by all windows but the first
                materialize_grads=True,
            )
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        rate = self._rate / max(1.0, float(norm))  # a gradient longer than 1 is shortened to 1
        with torch.no_grad():
            for parameter, gradient in zip(self._parameters, gradients, strict=True):
                parameter.sub_(gradient, alpha=rate)
        self.state = tuple([tensor.detach() for tensor in state])
        return each.detach()
