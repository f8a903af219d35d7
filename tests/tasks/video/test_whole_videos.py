"""Videos that are cut off, that never end, or that are seen through."""

import resource
import struct
from pathlib import Path

import numpy as np
import pytest

from elman.errors import DataError
from elman.tasks.video.decoding import FrameShape, read_video
from elman.tasks.video.report import check_clips
from elman.tasks.video.samples import video_bytes
from tasks.video.video_files import flat, transparent, with_sound

GREY = FrameShape(size=48, rate=10)
FAST_START = {"movflags": "faststart"}


@pytest.mark.parametrize("lasts", [(4, 4), (2, 4), (4, 2)], ids=["same", "sound", "pictures"])
@pytest.mark.parametrize(
    ("kind", "options"), [("webm", {}), ("matroska", {}), ("mp4", FAST_START), ("mp4", {})]
)
def test_a_video_with_sound_that_is_cut_off_is_refused(kind, options, lasts, tmp_path):
    content = with_sound(tmp_path / "whole", kind, *lasts, options)
    whole = read_video(content, GREY)
    assert whole.seconds == pytest.approx(lasts[0])
    for left in (0.3, 0.6):
        folder = tmp_path / f"cut at {left}"
        (folder / "label").mkdir(parents=True)
        file: Path = folder / "label" / "video"
        file.write_bytes(content[: round(left * len(content))])
        with pytest.raises(DataError, match=r"ends unexpectedly after frame|not a readable video"):
            read_video(file, GREY)
        [problem] = check_clips(folder, GREY).problems
        assert str(file) in problem


@pytest.mark.parametrize("left", [0.3, 0.6, 0.999])
def test_a_transport_stream_that_ends_within_a_packet_is_refused(left, tmp_path):
    path = tmp_path / "a.ts"
    content = with_sound(path, "mpegts", 4, 4, {})
    assert read_video(path, GREY).seconds == pytest.approx(4)
    end = round(left * len(content)) // 188 * 188 + 100
    path.write_bytes(content[:end])
    with pytest.raises(DataError, match=r"ends unexpectedly after frame"):
        read_video(path, GREY)
    with pytest.raises(DataError, match=r"ends unexpectedly after frame"):
        read_video(content[:end], GREY)


@pytest.mark.parametrize("lasts", [2**31 - 1, 2**31])
def test_a_last_frame_that_lasts_for_days_is_refused(lasts):
    content = video_bytes([flat(20)], "mp4")
    table = content.index(b"stts")
    head = content[table + 8 : table + 12]
    assert struct.unpack(">I", head) == (1,)  # one frame, and how long it lasts
    forged = content[: table + 16] + struct.pack(">I", lasts) + content[table + 20 :]
    with pytest.raises(DataError, match=r"its timestamps go up to [\d,]+ hours"):
        read_video(forged, GREY)


def test_frames_that_do_not_fit_into_memory_are_refused():
    content = video_bytes([flat(20)], "mp4")
    table = content.index(b"stts")
    hours = content[: table + 16] + struct.pack(">I", 5 * 3600 * 10240) + content[table + 20 :]
    with pytest.raises(DataError, match="its frames take more than 2 GB of memory after"):
        read_video(hours, FrameShape(size=224, rate=10, colour=True))


def test_a_frame_larger_than_any_video_is_refused_before_it_takes_memory():
    content = transparent("GIF", squares(), (255,) * 3, (0, 0, 0))
    forged = content[:6] + struct.pack("<HH", 16_000, 16_000) + content[10:]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=r"its frames are 16,000 x 16,000 pixels; the limit is"):
        read_video(forged, GREY)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def squares():
    """A square that moves."""
    pictures = np.zeros((5, 48, 48), bool)
    for k, picture in enumerate(pictures):
        picture[20:30, 8 * k : 8 * k + 10] = True
    return pictures


@pytest.mark.parametrize("beneath", [(255, 255, 255), (0, 0, 0)])
@pytest.mark.parametrize(("colour", "ground"), [(255, 0), (0, 255)])
@pytest.mark.parametrize("kind", ["GIF", "PNG"])
def test_a_figure_on_a_transparent_ground_is_seen(kind, colour, ground, beneath):
    pictures = squares()
    content = transparent(kind, pictures, (colour,) * 3, beneath)
    found = read_video(content, GREY).frames[:, 0].numpy()
    # limited range takes a little of black and white
    assert np.abs(found - np.where(pictures, colour, ground).astype(float)).max() <= 20
