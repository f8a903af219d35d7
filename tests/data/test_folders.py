"""A run that lies in the folder of its data is none of them."""

import pytest

from elman.data.folders import entries, files_below
from elman.errors import DataError


def test_the_files_of_a_run_below_the_data_are_left_out(tmp_path):
    for name in (
        "a/1.mid",
        "a/.2.mid",
        "run/lock.json",
        "run/tune.mid",
        "old/cell.json",
        "cell.json",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [str(file.relative_to(tmp_path)) for file in files_below(tmp_path)] == [
        "a/1.mid",
        "cell.json",
    ]


def test_a_link_to_a_folder_is_followed_once(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.txt").touch()
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    assert [file.name for file in files_below(tmp_path)] == ["1.txt"]


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(DataError, match="none: the folder cannot be read"):
        entries(tmp_path / "none")
