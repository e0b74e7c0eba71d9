from pathlib import Path

import pytest

from cosystream.engines.files import write_whole


def test_a_file_takes_the_place_of_another_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    for content in (b"one", b"", b"three"):
        write_whole(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_put_in_its_place_leaves_no_rest(tmp_path: Path) -> None:
    (tmp_path / "folder" / "full").mkdir(parents=True)
    with pytest.raises(OSError, match="folder"):
        write_whole(tmp_path / "folder", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
