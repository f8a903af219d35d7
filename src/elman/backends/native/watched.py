"""The parameters that steps have packed, and whether they have changed since."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import torch
from torch import Tensor

from elman.backends.native.llvm.fingerprint import Fingerprint

_version, _address = attrgetter("_version"), Tensor.data_ptr


class WatchedParameters:
    """``tensors`` are the parameters of the last ``changed``, contiguous; they are kept alive."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self._addresses: list[int] | None = None
        self._versions: list[int] = []

    def forget(self) -> None:
        """Take the next parameters for changed: the same memory may now be another matrix."""
        self._addresses = None

    def changed(self, parameters: Sequence[Tensor]) -> bool:
        """Whether they are others than those of the last call, or their values have changed.

        In torch's inference mode, only changes that torch counts are seen.
        """
        if [*map(_address, parameters)] != self._addresses:
            self._take(parameters)
        elif torch.is_inference_mode_enabled() and self._counted:
            if [*map(_version, parameters)] == self._versions:
                return False
        elif not self._look(self._look_at):
            return False
        # the next fingerprint or version detects changes from here on
        if self._counted:
            self._versions = [*map(_version, self.tensors)]
        return True

    def _take(self, parameters: Sequence[Tensor]) -> None:
        own = [p.detach() for p in parameters]
        contiguous = all([p.is_contiguous() for p in own])
        self.tensors = own if contiguous else [p.contiguous() for p in own]
        self._addresses = [*map(_address, own)] if contiguous else None
        self._seen = Fingerprint(self.tensors)
        self._look, self._look_at = self._seen.look, self._seen.address
        self._counted = not any([p.is_inference() for p in own])
