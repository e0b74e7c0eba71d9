"""The machine that figures come from, and what else it was doing."""

import os
import platform
import resource
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("cosystream", "starlette", "uvicorn", "uvloop", "sse-starlette", "orjson", "onnxruntime", "torch")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Machine:
    cpu_model: str
    cores: int
    """Those that this process may use."""
    python: str
    versions: dict[str, str]


def this_machine() -> Machine:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return Machine(
        cpu_model=next(models, platform.machine()),
        cores=len(os.sched_getaffinity(0)),
        python=platform.python_version(),
        versions={name: version(name) for name in PACKAGES},
    )


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
