"""Pointers of Git LFS: the few lines of text that a clone holds in place of a large file it did not fetch."""

from pathlib import Path

SIGNATURE = b"version https://git-lfs"


def is_lfs_pointer(path: Path) -> bool:
    """Whether ``path`` is a file that only says where its content would be found."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(SIGNATURE)) == SIGNATURE
