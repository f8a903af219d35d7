"""Exports a ``VideoClassifier`` for whole videos and frame by frame, and runs the exported files.

A step also takes the previous frame (``before``; for the first frame, the frame itself), the number
of previous frames (``count``), and the last ``next_state.pooled`` as ``state.pooled``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Generator, Tensor, nn

from elman.export.forms import Axes, Calls, Form, draw_states, forms_of, state_axes
from elman.tasks.onnx_models import answer_by, has_step, states_in, states_out
from elman.tasks.onnx_network import Files
from elman.tasks.video.model import StreamState, VideoClassifier


@forms_of.register
def _(model: VideoClassifier) -> list[Form]:
    convolutions = [m for m in model.embedding.convolutions if isinstance(m, nn.Conv2d)]
    channels = convolutions[0].in_channels // 2
    places = model.embedding.output.in_features // convolutions[-1].out_channels
    size = math.isqrt(places) * 2 ** len(convolutions)
    picture: list[int | str] = [channels, size, size]

    def draw_frames(count: int, generator: Generator) -> Tensor:
        shape = (count, channels, size, size)
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)

    def whole(frames: Tensor) -> Tensor:
        before = torch.cat([frames[:1], frames[:-1]])
        x = model.embedding.encode(frames, before)[:, None]
        return model.classify(x, torch.full((1,), frames.shape[0]))

    def draw(sizes: Mapping[str, int], generator: Generator) -> Sequence[Tensor]:
        return (draw_frames(sizes["time"], generator),)

    forms = [
        Form("sequence", Calls(whole, model), {"frames": ["time", *picture]},
             {"logits": [1, "class"]}, draw)
    ]  # fmt: skip
    if model.encoder.bidirectional or model.pooling == "attention":
        return forms
    states: dict[str, Axes] = {"state.pooled": ["batch", model.encoder.output_size]}
    states |= state_axes(model.encoder)

    def step(
        frame: Tensor, before: Tensor, count: Tensor, pooled: Tensor, *state: Tensor
    ) -> list[Tensor]:
        y, after = model.encoder(model.embedding.encode(frame, before)[None], tuple(state))
        now = y[0]
        if model.pooling == "mean":
            now = pooled + (now - pooled) / (count + 1)
        elif model.pooling == "max":
            now = torch.where(count == 0, now, torch.maximum(pooled, now))
        return [model.output(now), now, *after]

    def draw_step(sizes: Mapping[str, int], generator: Generator) -> Sequence[Tensor]:
        batch = sizes["batch"]
        pooled = torch.randn((batch, model.encoder.output_size), generator=generator)
        state = draw_states(model.encoder, batch, generator)
        frames = [draw_frames(batch, generator) for _ in range(2)]
        return [*frames, torch.tensor([sizes["time"] - 1]), pooled, *state]

    forms.append(
        Form(
            "step",
            Calls(step, model),
            {"frame": ["batch", *picture], "before": ["batch", *picture], "count": [1], **states},
            {"logits": ["batch", "class"], **{f"next_{n}": axes for n, axes in states.items()}},
            draw_step,
        )
    )
    return forms


@answer_by.register
def _(model: VideoClassifier, files: Files) -> None:
    names, can_stream = model.encoder.cell.states, has_step(model)

    def classify(frames: Tensor) -> Tensor:
        return files.run("sequence", {"frames": frames})["logits"]

    def forward(frames: Tensor, lengths: Tensor) -> Tensor:
        return torch.cat([classify(video) for video in frames.split(lengths.tolist())])

    def step(frame: Tensor, so_far: StreamState | None = None) -> tuple[Tensor, StreamState]:
        if so_far is None:
            pooled = torch.zeros(len(frame), model.encoder.output_size)
            so_far = StreamState(frame, model.encoder.first_state(len(frame)), pooled, 0)
        given = {"frame": frame, "before": so_far.frame, "count": torch.tensor([so_far.count])}
        given |= {"state.pooled": so_far.pooled, **states_in(names, so_far.state)}
        found = files.run("step", given)
        after = StreamState(
            frame, states_out(names, found), found["next_state.pooled"], so_far.count + 1
        )
        return found["logits"], after

    def after_each_frame(frames: Tensor) -> Tensor:
        if not can_stream:
            return torch.cat([classify(frames[:k]) for k in range(1, len(frames) + 1)])
        logits, so_far = [], None
        for frame in frames.split(1):
            now, so_far = step(frame, so_far)
            logits.append(now)
        return torch.cat(logits)

    model.forward, model.after_each_frame = forward, after_each_frame  # type: ignore[method-assign]
    if can_stream:
        model.step = step  # type: ignore[method-assign]
