"""Collections of videos: what is read, and what is said of what is wrong with them."""

import pytest
import torch

from elman.data.faults import Fault, values_or_error
from elman.errors import DataError
from elman.tasks.video.clips import clip_rows, named_videos, video_files
from elman.tasks.video.decoding import FrameShape
from elman.tasks.video.report import check_clips
from tasks.video.video_files import flat, make_video, sound

SHAPE = FrameShape(size=16, rate=10)


def clip(value, count=4, size=24):
    """A video that gets brighter."""
    return make_video(
        [flat(value + 3 * k, size, size) for k in range(count)], [k / 10 for k in range(count)]
    )


@pytest.fixture
def folder(tmp_path):
    for label, values in {"run": (10, 20, 30), "walk": (40, 50)}.items():
        (tmp_path / label).mkdir()
        for value in values:
            (tmp_path / label / f"{value}.mkv").write_bytes(clip(value))
    (tmp_path / "run" / ".hidden").write_text("no video")
    return tmp_path


def test_a_folder_of_videos_for_each_label_and_a_table_of_them_are_the_same(folder):
    found = values_or_error(clip_rows(folder, SHAPE))
    assert [(each.file.name, each.label) for each in found] == [
        ("10.mkv", "run"), ("20.mkv", "run"), ("30.mkv", "run"), ("40.mkv", "walk"), ("50.mkv", "walk"),
    ]  # fmt: skip
    table = folder / "all.csv"
    rows = "".join([f"{each.file.relative_to(folder)},{each.label}\n" for each in found])
    table.write_text("file,label\n" + rows)
    again = values_or_error(clip_rows(table, SHAPE))
    assert [each.label for each in again] == [each.label for each in found]
    for a, b in zip(again, found, strict=True):
        assert torch.equal(a.video.frames, b.video.frames)
    table.write_text("video;kind\nrun/10.mkv;run\n")
    [one] = values_or_error(clip_rows(table, SHAPE, file_column="video", label_column="kind"))
    assert one.label == "run"


def test_each_fault_is_named_with_its_file_and_line(folder):
    (folder / "walk" / "bad.mkv").write_bytes(clip(1)[:200])
    (folder / "walk" / "empty.mkv").write_bytes(b"")
    (folder / "walk" / "sound.wav").write_bytes(sound())
    (folder / "sit").mkdir()
    faults = [str(item) for item in clip_rows(folder, SHAPE) if isinstance(item, Fault)]
    assert len(faults) == 4
    for name, said in zip(
        ("sit", "walk/bad.mkv", "walk/empty.mkv", "walk/sound.wav"), faults, strict=True
    ):
        assert said.startswith(f"{folder / name}: ")
    table = folder / "t.csv"
    table.write_text("file,label\nrun/10.mkv,run\nrun/11.mkv,run\nwalk/empty.mkv,walk\n,walk\n")
    faults = [str(item) for item in clip_rows(table, SHAPE) if isinstance(item, Fault)]
    assert faults[0].startswith(f"{table}, line 3: {folder / 'run/11.mkv'}: there is no such file")
    assert faults[1].startswith(f"{table}, line 4: {folder / 'walk/empty.mkv'}: the file is empty")
    assert faults[2].startswith(f"{table}, line 5: ")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("t.csv", "video,label\na.mp4,run\n", 'no column "file".*choose one with --file-column'),
        ("t.csv", "file\na.mp4\n", 'no column "label".*--label-column'),
        ("t.csv", "", "the file is empty"),
        ("a.mp4", "x", "this is not a folder or a table; give a folder with a subfolder of videos"),
    ],
)
def test_what_is_no_collection_is_refused(tmp_path, name, content, sentence):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=sentence):
        values_or_error(named_videos(tmp_path / name))


def test_a_folder_without_folders_is_refused(tmp_path):
    with pytest.raises(DataError, match="the folder has no subfolders"):
        values_or_error(clip_rows(tmp_path, SHAPE))
    with pytest.raises(DataError, match="there are no videos in this folder"):
        video_files(tmp_path)


def test_videos_to_be_asked_about_need_no_label(folder):
    assert len(video_files(folder)) == 5
    assert video_files(folder / "run") == [folder / "run" / f"{n}.mkv" for n in (10, 20, 30)]
    assert video_files(folder / "run" / "10.mkv") == [folder / "run" / "10.mkv"]
    (folder / "t.csv").write_text("file\nrun/20.mkv\n")
    assert video_files(folder / "t.csv") == [folder / "run" / "20.mkv"]


def test_check_counts_and_warns(folder):
    assert check_clips(folder, SHAPE).warnings == ()
    report = check_clips(folder, SHAPE)
    assert report.problems == ()
    assert report.facts["labels"] == {"run": 3, "walk": 2}
    assert report.facts["frames_per_example"] == {"shortest": 4, "median": 4, "longest": 4}
    assert report.facts["sizes"] == {"24x24": 5}

    (folder / "walk" / "again.mkv").write_bytes(clip(40))
    (folder / "walk" / "as-run.mkv").write_bytes(clip(10))
    (folder / "walk" / "large.mkv").write_bytes(clip(60, size=240))
    (folder / "walk" / "long.mkv").write_bytes(clip(60, count=30))
    (folder / "walk" / "one.mkv").write_bytes(clip(60, count=1))
    (folder / "walk" / "still.mkv").write_bytes(make_video([flat(9)] * 3, [0, 0.1, 0.2]))
    (folder / "sit").mkdir()
    (folder / "sit" / "80.mkv").write_bytes(clip(80))
    said = "\n".join(check_clips(folder, SHAPE).warnings)
    for name, sentence in {
        "sit": 'the label "sit" has only one example.',
        "again": "1 video (WALK/again.mkv) that came before with the same label.",
        "as-run": "1 video (RUN/10.mkv and WALK/as-run.mkv) that came before with another label.",
        "large": "1 video (WALK/large.mkv: 240 pixels) with a size far from the median, 24 pixels.",
        "long": "WALK/long.mkv: 3 s",
        "one": "1 video (WALK/one.mkv) with only one frame.",
        "still": "1 video (WALK/still.mkv) without movement.",
    }.items():
        expected = sentence.replace("WALK", str(folder / "walk"))
        assert expected.replace("RUN", str(folder / "run")) in said, name


def test_check_finds_what_stands_on_two_sides_of_a_split(folder, tmp_path_factory):
    both = tmp_path_factory.mktemp("both")
    for split in ("train", "test"):
        (both / split / "run").mkdir(parents=True)
    (both / "train" / "run" / "a.mkv").write_bytes(clip(1))
    (both / "train" / "run" / "b.mkv").write_bytes(clip(2))
    (both / "test" / "run" / "c.mkv").write_bytes(clip(3))
    report = check_clips(both, SHAPE)
    assert report.facts["splits"] == {"test": 1, "train": 2}
    assert not any("split" in warning for warning in report.warnings)
    (both / "test" / "run" / "d.mkv").write_bytes(clip(2))
    said = "\n".join(check_clips(both, SHAPE).warnings)
    assert f"{both}/test/run/d.mkv and {both}/train/run/b.mkv) in more than one split" in said


def test_many_problems_are_counted(folder):
    for k in range(25):
        (folder / "run" / f"x{k:02}.mkv").write_bytes(b"no video")
    report = check_clips(folder, SHAPE)
    assert len(report.problems) == 21
    assert report.problems[-1] == "and 5 more problems."
