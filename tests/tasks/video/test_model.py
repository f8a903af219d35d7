"""The classifier of videos: no batch changes a video, and arriving videos end where whole ones do."""

import pytest
import torch

import elman
from elman.errors import OptionError
from elman.tasks.video.frames import FrameEncoder
from elman.tasks.video.model import VideoClassifier

LENGTHS = torch.tensor([5, 1, 0, 3])
POOLINGS = ("last", "mean", "max", "attention")


def frames(count, seed=0):
    make = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 1, 16, 16), dtype=torch.uint8, generator=make)


def classifier(pooling="mean", cell=elman.cells.gru, **options):
    torch.manual_seed(0)
    layer = elman.Recurrent(cell, 7, 6, bidirectional=options.pop("bidirectional", False))
    return VideoClassifier(
        FrameEncoder(1, 16, 7, widths=(3, 4)), layer, 3, pooling=pooling, **options
    )


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_video_has_the_same_class_alone_and_beside_others(pooling, bidirectional):
    model = classifier(pooling, bidirectional=bidirectional)
    videos = [frames(int(n), seed=k) for k, n in enumerate(LENGTHS)]
    together = model(torch.cat(videos), LENGTHS)
    for row, video in enumerate(videos):
        alone = model(video, LENGTHS[[row]])[0]
        assert torch.allclose(alone, together[row], atol=1e-6)
    assert torch.isfinite(together).all()


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
@pytest.mark.parametrize("cell", [elman.cells.gru, elman.cells.lstm], ids=["gru", "lstm"])
def test_an_arriving_video_ends_where_the_whole_one_does(pooling, cell):
    model = classifier(pooling, cell).eval()
    video = frames(9)
    expected = model.after_each_frame(video)
    so_far = None
    with torch.no_grad():
        for k in range(9):
            logits, so_far = model.step(video[k : k + 1], so_far)
            assert torch.allclose(logits[0], expected[k], atol=1e-5)
    assert torch.allclose(logits[0], model(video, torch.tensor([9]))[0], atol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_after_each_frame_is_the_class_of_the_video_cut_there(pooling):
    model = classifier(pooling, bidirectional=True)
    video = frames(4)
    found = model.after_each_frame(video)
    for count in range(1, 5):
        assert torch.allclose(
            found[count - 1], model(video[:count], torch.tensor([count]))[0], atol=1e-6
        )


def test_what_needs_the_whole_video_cannot_stream():
    with pytest.raises(OptionError, match="attention pooling needs all frames"):
        classifier("attention").step(frames(1))
    with pytest.raises(OptionError, match="bidirectional layer cannot run step by step"):
        classifier(bidirectional=True).step(frames(1))


def test_the_loss_is_the_weighted_mean_cross_entropy():
    model = classifier(class_weights=[2.0, 0.5, 1.0], label_smoothing=0.1)
    labels = torch.tensor([0, 1, 2, 1])
    logs = model(frames(9), LENGTHS).log_softmax(-1)
    target = torch.nn.functional.one_hot(labels, 3) * 0.9 + 0.1 / 3
    each = -(target * logs).sum(-1) * torch.tensor([2.0, 0.5, 1.0, 0.5])
    assert torch.allclose(model.loss(frames(9), LENGTHS, labels), each.mean(), atol=1e-6)
    assert "class_weights" not in model.state_dict()


@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_parameter_learns(pooling):
    model = classifier(pooling)
    model.loss(frames(9), LENGTHS, torch.tensor([0, 1, 2, 0])).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
