"""Videos as frames at even times, and what is said of files that are no whole videos."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.errors import DataError
from elman.tasks.video.decoding import ROUNDING, FrameShape, decoded, read_video, sampled
from elman.tasks.video.samples import KINDS, video_bytes
from tasks.video.video_files import flat, make_video, sound, stretched

GREY = FrameShape(size=16, rate=10)


def brightness(found):
    return found.frames[:, 0, 8, 8].tolist()


def plainly(times, end, rate):
    """Which frame is shown at 0, 1/rate, ...: looked up for each moment by itself."""
    moments = []
    while len(moments) / rate < end - ROUNDING:
        now = len(moments) / rate
        moments.append(max(k for k, t in enumerate(times) if t <= now + ROUNDING))
    return moments


# whole milliseconds that are not one apart: at the edge of the rounding two answers are right
@settings(max_examples=200, deadline=None)
@given(
    gaps=st.lists(st.integers(3, 400), max_size=12),
    last=st.integers(3, 400),
    rate=st.sampled_from([1, 7.5, 10, 12.5, 25, 29.97]),
)
def test_frames_at_any_times_are_sampled_as_a_plain_look_up_says(gaps, last, rate):
    starts = np.concatenate([[0], np.cumsum(gaps)]) / 1000
    ends = [*starts[1:], starts[-1] + last / 1000]
    frames = list(zip(starts, ends, range(len(starts)), strict=True))
    assert list(sampled(frames, rate)) == plainly(starts, ends[-1], rate)


def test_a_sample_is_given_as_soon_as_its_own_frame_has_come():
    def frames():
        for k in range(4):
            come.append(k)
            yield k / 10, (k + 1) / 10, k

    come = []
    for sample in sampled(frames(), 10):
        assert come[-1] == sample


def test_frames_at_uneven_times_are_read_from_a_file_as_they_are_shown():
    values, times = [10, 60, 110, 160, 210], [0.0, 0.1, 0.25, 0.3, 0.7]
    found = read_video(make_video([flat(v) for v in values], times), GREY)
    assert brightness(found) == [10, 60, 60, 160, 160, 160, 160, 210]
    assert found.seconds == pytest.approx(0.8)
    found = read_video(make_video([flat(v) for v in values], times), FrameShape(16, rate=2.5))
    assert brightness(found) == [10, 160]


def test_a_videos_title_need_not_be_text():
    content = video_bytes([flat(20), flat(32)], "webm")
    assert content.count(b"Lavf") > 0  # who wrote it
    assert len(read_video(content.replace(b"Lavf", b"Lav\xc3"), GREY).frames) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_gives_the_same_video(kind):
    pictures = [flat(20 + 12 * k) for k in range(15)]
    found = read_video(video_bytes(pictures, kind), GREY)
    assert len(found.frames) == 15
    assert (found.width, found.height) == (24, 24)
    assert found.rate == pytest.approx(10, rel=0.01)
    # the codecs lose a little, and videos of limited range more
    assert np.allclose(brightness(found), [20 + 12 * k for k in range(15)], atol=6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_and_its_bytes_as_they_arrive_give_the_same_frames(kind, tmp_path):
    data = video_bytes([flat(20 + 40 * k) for k in range(5)], kind)
    path = tmp_path / "video"
    path.write_bytes(data)
    whole = read_video(path, GREY)
    assert whole.digest == read_video(data, GREY).digest
    if kind not in ("mp4", "avi"):  # their index stands at the end
        arriving = [each.picture for each in decoded(Pipe(data), GREY)]
        assert np.array_equal(np.stack(arriving), whole.frames.numpy())


class Pipe(io.BytesIO):
    def seekable(self):
        return False

    def seek(self, *args):
        raise io.UnsupportedOperation("seek")


def test_odd_sizes_are_letterboxed_turned_and_stretched_as_they_are_to_be_seen():
    wide = read_video(make_video([flat(200, 33, 11)], [0]), FrameShape(24)).frames[0, 0]
    assert wide.shape == (24, 24)
    assert (wide[8:16] == 200).all()
    assert (wide[:8] == 0).all()
    assert (wide[16:] == 0).all()
    half = flat(0)
    half[:, :12] = 200  # bright on the left; turned against the clock: below
    turned = read_video(make_video([half], [0], rotation=90), FrameShape(24)).frames[0, 0]
    assert (turned[12:] == 200).all()
    assert (turned[:12] == 0).all()
    assert (read_video(stretched(200, 12, 24, 1), FrameShape(24)).frames[0, 0, :, 0] == 0).all()
    assert (read_video(stretched(200, 12, 24, 2), FrameShape(24)).frames > 190).all()


def test_colour_is_kept_when_it_is_asked_for():
    found = read_video(make_video([flat(90)], [0]), FrameShape(16, colour=True))
    assert found.frames.shape == (1, 3, 16, 16)
    assert (found.frames == 90).all()


def moving():
    random = np.random.default_rng(0)
    return [random.integers(0, 255, (24, 24), dtype=np.uint8) for _ in range(30)]


BROKEN = {
    "empty": (b"", "this is not a readable video"),
    "noise": (bytes(range(256)) * 20, "this is not a readable video"),
    "text": (b"These are words.\n" * 50, "this is not a readable video"),
    "sound": (sound(), "the file has no video stream, only audio"),
    "mp4 cut off": (video_bytes(moving(), "mp4")[:-2000], "this is not a readable video"),
    "mkv cut off": (
        make_video(moving(), np.arange(30) / 10)[:9000],
        r"ends unexpectedly after frame \d+",
    ),
    "webm cut off": (video_bytes(moving(), "webm")[:3000], r"ends unexpectedly after frame \d+"),
    "avi cut off": (video_bytes(moving(), "avi")[:-4000], r"ends unexpectedly after frame \d+"),
    "broken times": (
        make_video([flat(1), flat(2)], [0, 400_000.0]),
        "its timestamps go up to 111 hours",
    ),
}


@pytest.mark.parametrize(("data", "sentence"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_whole_video_is_refused_in_a_sentence(data, sentence, tmp_path):
    with pytest.raises(DataError, match=sentence):
        read_video(data, GREY)
    path = tmp_path / "video.mp4"
    path.write_bytes(data)
    with pytest.raises(DataError, match=sentence if data else "the file is empty"):
        read_video(path, GREY)


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="there is no such file"):
        read_video(tmp_path / "video.mp4", GREY)
    with pytest.raises(DataError, match="this is a folder"):
        read_video(tmp_path, GREY)
