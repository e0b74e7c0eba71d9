"""How many cores a process may use."""

import os
from pathlib import Path

import pytest

from cosystream.cores import usable_cores

ALL = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("limits", "cores"),
    [
        ({}, ALL),
        ({"": "max 100000"}, ALL),
        ({"": "100000 100000"}, 1),
        ({"": "50000 100000"}, 1),  # half of one is one
        ({"": "100000000 100000"}, ALL),
        ({"a/b": "100000 100000"}, 1),
        ({"a": "199999 100000", "a/b": "max 100000"}, 1),
        ({"other": "100000 100000"}, ALL),
    ],
)
def test_a_control_group_and_those_around_it_limit_the_cores(
    tmp_path: Path, limits: dict[str, str], cores: int
) -> None:
    groups = tmp_path / "groups"
    (groups / "a" / "b").mkdir(parents=True)
    (groups / "other").mkdir()
    (tmp_path / "cpu.max").write_text("100000 100000\n")  # is none of theirs
    for name, limit in limits.items():
        (groups / name / "cpu.max").write_text(f"{limit}\n")
    own_group = tmp_path / "own"
    own_group.write_text("1:name=systemd:/x\n0::/a/b\n")
    assert usable_cores(groups, own_group) == cores


def test_where_there_are_no_control_groups_all_cores_are_used(tmp_path: Path) -> None:
    assert usable_cores(tmp_path / "none", tmp_path / "own") == ALL


def test_a_process_may_be_bound_to_fewer_cores() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)
