"""The machine that figures come from."""

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cosystream.cores import usable_cores

PACKAGES = ("cosystream", "starlette", "uvicorn", "uvloop", "sse-starlette", "orjson", "onnxruntime", "torch")
CPU_INFO = Path("/proc/cpuinfo")
NVIDIA_GPUS = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True, slots=True)
class Machine:
    cpu_model: str
    cores: int
    """Those that this process may use."""
    python: str
    versions: dict[str, str]
    """Of the packages that are installed."""
    gpus: tuple[str, ...] = ()

    @property
    def processors(self) -> str:
        """What computes, in words."""
        return ", ".join([f"{self.cpu_model}, {self.cores} cores", *self.gpus])


def this_machine() -> Machine:
    return Machine(
        cpu_model=_value("model name", CPU_INFO) or platform.machine(),
        cores=usable_cores(),
        python=platform.python_version(),
        gpus=tuple(_value("Model", folder / "information") for folder in sorted(NVIDIA_GPUS.glob("*"))),
        versions={name: number for name in PACKAGES if (number := _version(name)) is not None},
    )


def _value(name: str, path: Path) -> str:
    """What ``path``, lines of names and values, says of the first of this name; empty if nothing."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
