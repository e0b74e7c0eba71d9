"""What torch has to compute on."""

import ctypes
import gc
import platform
from dataclasses import dataclass
from pathlib import Path

import torch

_MEMORY = Path("/proc/meminfo")
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
"""Parameters of mallopt(3), as glibc numbers them."""
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
        hand_back_freed_memory()  # which counts as taken
        free: int = torch.cuda.mem_get_info(device)[0]
        return free
    lines = dict(line.split(":") for line in _MEMORY.read_text().splitlines())
    available = 1024 * int(lines["MemAvailable"].split()[0])
    try:
        return min(available, int(_LIMIT.read_text()) - int(_USED.read_text()))
    except (OSError, ValueError):  # there is no limit, which is written "max"
        return available


def hand_back_freed_memory() -> None:
    """Free what only refers to itself, as an engine that has died does, and what torch keeps of a GPU for later."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def keep_freed_memory() -> None:
    """Have the C library keep what the process frees, up to a GB, for the next step to use.

    Handed back to the system, megabytes that every layer frees would be mapped anew, page by page, by the next: that is
    half the time of an operation that only moves them. Once the weights are there, because what they were copied from
    is given back now. Only glibc has the parameters; anywhere else nothing happens.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.malloc_trim(0)
    libc.mallopt(_M_MMAP_THRESHOLD, 32 << 20)  # it takes no more
    libc.mallopt(_M_TRIM_THRESHOLD, 1 << 30)
    libc.mallopt(_M_TOP_PAD, 64 << 20)
