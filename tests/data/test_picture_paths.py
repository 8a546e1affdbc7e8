"""A file, a folder, a pattern: which pictures are meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskrcnn_exp.data.picture_paths import find_pictures
from maskrcnn_exp.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("10.jpg", "9.PNG", "notes.txt", "sub/a.jpeg", "sub/deep/b.tif", "c.pdf"):
        file = tmp_path / "pictures" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return tmp_path / "pictures"


def names(named: str) -> list[str]:
    return [relative.as_posix() for _, relative in find_pictures(named)]


def test_a_folder_means_the_pictures_in_it_and_below_it_in_natural_order(folder: Path) -> None:
    assert names(str(folder)) == ["9.PNG", "10.jpg", "sub/a.jpeg", "sub/deep/b.tif"]


def test_a_file_is_taken_whatever_its_suffix(folder: Path) -> None:
    assert names(f"{folder}/notes.txt") == ["notes.txt"]


def test_a_pattern_names_output_below_its_fixed_part(folder: Path) -> None:
    assert names(f"{folder}/*.jpg") == ["10.jpg"]
    assert names(f"{folder}/**/*.[jt]*") == ["10.jpg", "notes.txt", "sub/a.jpeg", "sub/deep/b.tif"]
    assert find_pictures(f"{folder}/sub/*.jpeg")[0] == (folder / "sub/a.jpeg", Path("a.jpeg"))


@pytest.mark.parametrize("named", ["absent.jpg", "nothing/*.png", "empty"])
def test_nothing_is_an_error_that_says_what_was_expected(named: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"images=.*no picture there\. Expected"):
        find_pictures(str(tmp_path / named))
