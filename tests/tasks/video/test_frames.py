"""The encoder of frames: its convolutions and gradients against plain loops, and no padding."""

import pytest
import torch

from elman.errors import OptionError
from elman.tasks.video.frames import FrameEncoder


def encoder(channels=1, size=16, features=5, widths=(4, 6)):
    torch.manual_seed(0)
    return FrameEncoder(channels, size, features, widths=widths)


def frames(count, channels=1, size=16, seed=0):
    make = torch.Generator().manual_seed(seed)
    shape = (count, channels, size, size)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=make)


def plainly(model, video):
    """Every number of a video's vectors by loops over places, in 64 bits."""
    found = []
    for k, frame in enumerate(video.double() / 255):
        before = video[max(k - 1, 0)].double() / 255
        x = torch.cat([frame, frame - before])
        for layer in model.convolutions:
            if isinstance(layer, torch.nn.ReLU):
                x = x.clamp_min(0)
                continue
            width, _, kernel, _ = layer.weight.shape
            half = x.shape[-1] // 2
            edge = kernel // 2
            wide = torch.zeros(x.shape[0], x.shape[1] + 2 * edge, x.shape[2] + 2 * edge).double()
            wide[:, edge:-edge, edge:-edge] = x
            y = torch.zeros(width, half, half).double()
            for row in range(half):
                for column in range(half):
                    seen = wide[:, 2 * row : 2 * row + kernel, 2 * column : 2 * column + kernel]
                    y[:, row, column] = (layer.weight.double() * seen).sum((1, 2, 3))
            x = y + layer.bias.double()[:, None, None]
        out = model.output.weight.double() @ x.flatten() + model.output.bias.double()
        found.append(out.clamp_min(0))
    return torch.stack(found)


@pytest.mark.parametrize("channels", [1, 3])
def test_vectors_are_strided_convolutions_of_a_frame_and_its_difference(channels):
    model = encoder(channels)
    video = frames(3, channels)
    found = model(video, torch.tensor([3]))
    assert torch.allclose(found[:, 0].double(), plainly(model, video), atol=1e-5)


def test_gradients_are_those_of_finite_differences():
    model = encoder(size=8, features=3, widths=(2,)).double()
    lengths = torch.tensor([3, 1])
    weights = torch.randn(3, 2, 3, dtype=torch.float64)

    def loss():
        return (model(frames(4, size=8), lengths) * weights).sum()

    loss().backward()
    step = 1e-6
    for name, parameter in model.named_parameters():
        numbers, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        for at in range(len(numbers)):
            with torch.no_grad():
                numbers[at] += step
                above = loss()
                numbers[at] -= 2 * step
                below = loss()
                numbers[at] += step
            expected = float(above - below) / (2 * step)
            assert expected == pytest.approx(float(gradient[at]), rel=1e-5, abs=1e-6), name


def test_a_video_has_the_same_vectors_alone_and_beside_others():
    model = encoder()
    lengths = torch.tensor([4, 0, 1, 3])
    videos = [frames(int(n), seed=k) for k, n in enumerate(lengths)]
    together = model(torch.cat(videos), lengths)
    assert together.shape == (4, 4, 5)
    for row, video in enumerate(videos):
        assert (together[len(video) :, row] == 0).all()
        if len(video):
            alone = model(video, torch.tensor([len(video)]))[:, 0]
            assert torch.allclose(together[: len(video), row], alone, atol=1e-6)


def test_a_video_of_no_frames_and_a_batch_of_none_have_no_vectors():
    model = encoder()
    assert model(frames(0), torch.tensor([0, 0])).shape == (0, 2, 5)
    assert model(frames(0), torch.tensor([], dtype=torch.int64)).shape == (0, 0, 5)


@pytest.mark.parametrize("size", [0, 6, 20])
def test_a_size_that_cannot_be_halved_as_often_is_refused(size):
    with pytest.raises(OptionError, match=f"size is {size}.*multiple of 8"):
        FrameEncoder(1, size, 4)
