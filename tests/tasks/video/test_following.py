"""A figure that moves fills the frame, whatever the shape of the film and its own size."""

import numpy as np
import pytest

from elman.tasks.video.decoding import FrameShape, read_video
from elman.tasks.video.following import Follower, followed
from tasks.video.video_files import make_video


def walker(width, height, size, steps=40):
    """Pictures of a figure of ``size`` pixels that walks its own width and swings its arm."""
    pictures = np.zeros((steps, height, width), np.uint8)
    for k in range(steps):
        left = (width - 2 * size) // 2 + size * k // steps
        top = (height - size) // 2
        body = slice(left + size // 3, left + 2 * size // 3)
        pictures[k, top : top + size, body] = 230
        arm = top + size // 3 + int(size / 4 * np.sin(k / 2))
        pictures[k, arm : arm + max(1, size // 8), left : left + size] = 230
    return list(pictures)


def film(width, height, size):
    times = [k / 10 for k in range(40)]
    return read_video(
        make_video(walker(width, height, size), times), FrameShape(32, 10, False, True)
    )


def test_square_wide_and_tall_films_of_a_walker_give_nearly_the_same_frames():
    square = film(160, 160, 80).frames[10:].float()
    for width, height, size in ((320, 160, 80), (160, 320, 80), (160, 160, 40)):
        other = film(width, height, size).frames[10:].float()
        plain = (
            read_video(
                make_video(walker(width, height, size), [k / 10 for k in range(40)]), FrameShape(32)
            )
            .frames[10:]
            .float()
        )
        assert (other - square).abs().mean() < 0.5 * (plain - square).abs().mean()
        # the figure takes up much of each crop
        assert (other > 100).float().mean() > 0.1


def test_a_film_without_motion_is_shown_whole():
    picture = np.zeros((1, 128, 128), np.uint8)
    picture[:, 40:60, 40:60] = 200
    found = list(followed([picture] * 5, 32))
    assert all((each == found[0]).all() for each in found)
    assert (found[0] > 100).sum() == 25  # 20 pixels of 128 are 5 of 32


def test_noise_does_not_move_the_crop():
    draw = np.random.default_rng(0)
    follower = Follower(32)
    for picture in walker(128, 128, 60, 20):
        grey = picture[None].astype(np.int16) + draw.integers(-6, 7, (1, 128, 128))
        crop = follower.accept(grey.clip(0, 255).astype(np.uint8))
    assert (crop > 100).mean() > 0.1


@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 128, 128)])
def test_crops_have_the_size_that_was_asked_for_however_the_picture_moves(shape):
    draw = np.random.default_rng(1)
    for crop in followed(draw.integers(0, 256, (8, *shape), np.uint8), 32):
        assert crop.shape == (shape[0], 32, 32)
