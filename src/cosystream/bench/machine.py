"""The machine that figures come from."""

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cosystream.cores import usable_cores

PACKAGES = ("cosystream", "starlette", "uvicorn", "uvloop", "sse-starlette", "orjson", "onnxruntime", "torch")
CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Machine:
    cpu_model: str
    cores: int
    """Those that this process may use."""
    python: str
    versions: dict[str, str]
    """Of the packages that are installed."""


def this_machine() -> Machine:
    lines = CPU_INFO.read_text(encoding="utf-8").splitlines() if CPU_INFO.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return Machine(
        cpu_model=next(models, platform.machine()),
        cores=usable_cores(),
        python=platform.python_version(),
        versions={name: number for name in PACKAGES if (number := _version(name)) is not None},
    )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
