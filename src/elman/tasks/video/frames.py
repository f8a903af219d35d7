"""Encodes video frames as vectors with strided convolutions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from elman.errors import OptionError

Frames = UInt8[Tensor, "frames channel size size"]
Lengths = Int64[Tensor, " batch"]


class FrameEncoder(nn.Module):
    """Convolutions over each frame and its difference to the previous frame.

    The difference, zero for the first frame, shows what moves and speeds up learning.  ``widths``
    are the channels of the convolutions, each of which halves width and height.  Pixel values are
    from 0 to 255.

    Raises ``OptionError`` if ``size`` cannot be halved ``len(widths)`` times.

    >>> import torch
    >>> encoder = FrameEncoder(channels=1, size=32, features=8)
    >>> frames = torch.zeros(5, 1, 32, 32, dtype=torch.uint8)  # a video of 3 frames and one of 2
    >>> encoder(frames, torch.tensor([3, 2])).shape
    torch.Size([3, 2, 8])
    """

    def __init__(
        self, channels: int, size: int, features: int, *, widths: Sequence[int] = (16, 32, 64)
    ) -> None:
        super().__init__()
        halves = 2 ** len(widths)
        if size < halves or size % halves:
            raise OptionError(
                f"FrameEncoder: size is {size}; with {len(widths)} convolutions it must be a "
                f"multiple of {halves}."
            )
        self.output_size = features
        layers: list[nn.Module] = []
        before = 2 * channels
        for k, width in enumerate(widths):
            kernel = 5 if k == 0 else 3
            layers += [nn.Conv2d(before, width, kernel, stride=2, padding=kernel // 2), nn.ReLU()]
            before = width
        self.convolutions = nn.Sequential(*layers)
        self.output = nn.Linear(before * (size // halves) ** 2, features)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # keeps the variance (He et al. 2015)
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, frames: Frames, lengths: Lengths) -> Float[Tensor, "time batch features"]:
        """Encodes videos with concatenated frames; pads the vectors with zeros."""
        before = frames.roll(1, 0)
        starts = (lengths.cumsum(0) - lengths)[lengths > 0]
        before[starts] = frames[starts]
        vectors = self.encode(frames, before)
        longest = int(lengths.max()) if len(lengths) else 0
        inside = torch.arange(longest) < lengths[:, None]
        padded = vectors.new_zeros(len(lengths), longest, self.output_size)
        return padded.masked_scatter(inside.unsqueeze(-1), vectors).transpose(0, 1).contiguous()

    def encode(self, frames: Frames, before: Frames) -> Float[Tensor, "frames features"]:
        """Encodes each frame, given the previous frame of its video."""
        kind = self.output.weight.dtype
        now = frames.to(kind) / 255
        x = torch.cat([now, now - before.to(kind) / 255], 1)
        vectors: Tensor = self.output(self.convolutions(x).flatten(1))
        return torch.relu(vectors)
