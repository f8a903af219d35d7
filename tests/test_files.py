"""Files are written whole, with the permissions that their user wants."""

import os
import stat
import threading
from pathlib import Path

import pytest

from elman.errors import RunError
from elman.files import refuse_name, write_all, write_whole


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("umask", "expected"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_new_file_has_the_permissions_that_the_umask_leaves(tmp_path, umask, expected):
    before = os.umask(umask)
    try:
        write_whole(tmp_path / "new", "text")
    finally:
        os.umask(before)
    assert mode(tmp_path / "new") == expected


def test_a_file_that_is_there_keeps_its_permissions(tmp_path):
    file = tmp_path / "mine"
    write_whole(file, "first")
    file.chmod(0o640)
    write_whole(file, "second")
    assert mode(file) == 0o640
    assert file.read_text() == "second"


def test_a_link_stays_a_link_and_what_it_points_to_is_written(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    link, target = tmp_path / "link", tmp_path / "elsewhere" / "target"
    link.symlink_to(target)
    write_whole(link, "text")
    write_whole(link, "again")
    assert link.is_symlink()
    assert target.read_text() == "again"
    assert [path.name for path in target.parent.iterdir()] == ["target"]


def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    pipe, found = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    write_whole(pipe, "text")
    reader.join()
    assert found == [b"text"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_name_of_255_bytes_is_written(tmp_path):
    name = "ö" * 127 + "x"
    write_whole(tmp_path / name, "text")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "a" * 100 + "/" + "b" * 300])
def test_a_name_that_cannot_be_is_told(tmp_path, name):
    with pytest.raises(RunError, match="could not be written") as caught:
        write_whole(tmp_path / name, "text")
    assert "\n" not in str(caught.value)
    with pytest.raises(RunError, match="choose another folder"):
        refuse_name(tmp_path / name)


def test_links_that_go_in_a_circle_are_told_or_replaced(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(RunError, match="could not be written"):
        write_whole(tmp_path / "a" / "file", "text")


def test_files_that_belong_together_are_all_written_or_none(tmp_path):
    write_whole(tmp_path / "a", "old")
    (tmp_path / "b").mkdir()
    with pytest.raises(RunError, match="b: this is a folder"):
        write_all({tmp_path / "a": "new", tmp_path / "b": "new"})
    assert (tmp_path / "a").read_text() == "old"
    assert sorted([path.name for path in tmp_path.iterdir()]) == ["a", "b"]


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    write_whole(tmp_path / "a", "text")
    with pytest.raises(RunError, match=r"a: this is a file; name a folder\.$"):
        write_whole(tmp_path / "a" / "b" / "c", "text")
