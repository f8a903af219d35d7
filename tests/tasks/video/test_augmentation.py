"""What training does to videos: only what was asked for, and the same for the same generator."""

import math

import pytest
import torch

from elman.tasks.video.augmentation import Augmentation, augment, frame_indices

ALL = Augmentation(flip=True, shift=0.2, zoom=0.3, turn=20, speed=0.5, cut=0.5)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def videos(count=3, length=8, size=16):
    make = generator(7)
    shape = (length, 1, size, size)
    return [torch.randint(0, 256, shape, dtype=torch.uint8, generator=make) for _ in range(count)]


def test_nothing_asked_for_changes_nothing():
    frames, lengths = augment(videos(), Augmentation(), generator())
    assert torch.equal(frames, torch.cat(videos()))
    assert lengths == [8, 8, 8]


def test_the_same_generator_gives_the_same_videos_and_another_gives_others():
    once, again, other = [augment(videos(), ALL, generator(seed))[0] for seed in (1, 1, 2)]
    assert torch.equal(once, again)
    assert once.shape != other.shape or not torch.equal(once, other)


@pytest.mark.parametrize(
    "augmentation", [Augmentation(flip=True), Augmentation(flip=True, shift=1e-9)]
)
def test_about_half_of_the_videos_are_mirrored_each_as_a_whole(augmentation):
    original = videos(count=60, length=2)
    frames, _ = augment(original, augmentation, generator())
    mirrored = 0
    for video, found in zip(original, frames.split(2), strict=True):
        assert torch.equal(found, video) or torch.equal(found, video.flip(-1))
        mirrored += not torch.equal(found, video)
    assert 15 < mirrored < 45  # six standard deviations at least on either side


def test_a_video_moves_as_one_and_no_further_than_asked():
    dot = torch.zeros(5, 1, 33, 33, dtype=torch.uint8)
    dot[:, :, 16, 16] = 255
    frames, _ = augment([dot] * 40, Augmentation(shift=0.25), generator())
    weights = frames.float().reshape(40, 5, 33, 33)
    across = (weights.sum(2) * torch.arange(33)).sum(-1) / weights.sum((2, 3))
    assert torch.allclose(across, across[:, :1].expand(-1, 5), atol=1e-5)
    away = (across[:, 0] - 16).abs()
    assert away.max() <= 0.25 * 33 + 0.5
    assert away.max() > 4, "and they do move"


def test_a_disc_grows_by_the_zoom_that_was_asked_for():
    y, x = torch.meshgrid(torch.arange(65) - 32, torch.arange(65) - 32, indexing="ij")
    disc = ((x**2 + y**2 < 15**2) * 255).to(torch.uint8)[None, None]
    frames, _ = augment([disc] * 50, Augmentation(zoom=0.3), generator())
    ratios = (frames.float().sum((1, 2, 3)) / disc.float().sum()).sqrt()
    assert ratios.max() <= 1.3 * 1.02
    assert ratios.min() >= 1 / 1.3 / 1.02
    assert ratios.max() > 1.15
    assert ratios.min() < 0.87


@pytest.mark.parametrize("length", [1, 2, 20, 300])
def test_moments_go_forward_inside_the_video_at_a_speed_and_for_a_time_within_bounds(length):
    make = generator()
    for _ in range(50):
        places = frame_indices(length, ALL, make)
        assert places[0] >= 0
        assert places[-1] < length
        assert (places.diff() >= 0).all()
        fewest = max(1, math.floor(length * 0.5 / 1.5))
        assert fewest <= len(places) <= math.ceil(length * 1.5) + 1
