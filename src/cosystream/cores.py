"""The processor cores that this process may use."""

import os
from collections.abc import Iterator
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUP = Path("/proc/self/cgroup")


def usable_cores(groups: Path = _GROUPS, own_group: Path = _OWN_GROUP) -> int:
    """Those it may run on, or fewer where a control group grants it less of their time, as containers do.

    More threads than that would be stopped in mid-computation, all at once, as soon as the time granted is used up.
    Of control groups version 2 is read: https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files
    """
    return max(1, min([len(os.sched_getaffinity(0)), *map(int, _granted(groups, own_group))]))


def _granted(groups: Path, own_group: Path) -> Iterator[float]:
    """The cores whose time this process's group and those around it are granted, each that has a limit."""
    lines = own_group.read_text().splitlines() if own_group.exists() else []
    name = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    group = groups / name
    for folder in (group, *group.parents):
        limit = folder / "cpu.max"
        if folder.is_relative_to(groups) and limit.exists():
            microseconds, _, period = limit.read_text().partition(" ")
            if microseconds != "max":
                yield int(microseconds) / int(period)
