"""What the kernel knows of a process: the processor time it has used."""

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class CpuTime:
    """Seconds of processor time since the process began."""

    total: float
    kernel: float
    """Of the total, on the process's behalf in the kernel."""
    main_thread: float
    """Of the total, by the thread that began the process: where there is an event loop, it runs there."""

    def since(self, earlier: "CpuTime") -> "CpuTime":
        return CpuTime(self.total - earlier.total, self.kernel - earlier.kernel, self.main_thread - earlier.main_thread)


def cpu_time(pid: int) -> CpuTime:
    user, kernel = _user_and_kernel(Path(f"/proc/{pid}/stat"))
    return CpuTime(user + kernel, kernel, main_thread=sum(_user_and_kernel(Path(f"/proc/{pid}/task/{pid}/stat"))))


def _user_and_kernel(stat: Path) -> tuple[float, float]:
    """The 14th and 15th field. Format: proc_pid_stat(5)."""
    third_and_on = stat.read_text().rpartition(")")[2].split()  # the second is a name that may hold anything
    return int(third_and_on[11]) / _TICKS_PER_SECOND, int(third_and_on[12]) / _TICKS_PER_SECOND
