"""What else the machine was doing while something was measured."""

import os
import resource
import time
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Neighbours:
    """How many cores others keep busy, from now on; neither this process nor children of its that have ended count."""

    def __init__(self) -> None:
        self._began = time.monotonic(), _busy_seconds(), _own_seconds()

    def cores(self) -> float:
        began, busy, own = self._began
        others = (_busy_seconds() - busy) - (_own_seconds() - own)
        return max(0.0, others / (time.monotonic() - began))


def _busy_seconds() -> float:
    """Of all cores together: user, nice, system, irq, softirq and steal. Format: proc_stat(5)."""
    user, nice, system, _idle, _iowait, irq, softirq, steal, *_guests = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    )
    return (user + nice + system + irq + softirq + steal) / _TICKS_PER_SECOND


def _own_seconds() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
