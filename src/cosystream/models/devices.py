"""What torch has to compute on."""

from dataclasses import dataclass
from pathlib import Path

import torch

_MEMORY = Path("/proc/meminfo")
_LIMIT, _USED = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU."""

    name: str
    num_bytes: int
    """Of its memory."""


def gpus() -> list[Device]:
    """The GPUs that torch can use; none without a driver or with a torch for the CPU."""
    properties = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    return [Device(found.name, found.total_memory) for found in properties]


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether products of bfloat16 are faster there than those of float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Nothing public says so.
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())  # noqa: SLF001


def free_bytes(device: torch.device) -> int:
    """Of the memory that tensors on ``device`` may take, what is free; less if a container allows no more."""
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info(device)[0]
        return free
    lines = dict(line.split(":") for line in _MEMORY.read_text().splitlines())
    available = 1024 * int(lines["MemAvailable"].split()[0])
    try:
        return min(available, int(_LIMIT.read_text()) - int(_USED.read_text()))
    except (OSError, ValueError):  # there is no limit, which is written "max"
        return available
