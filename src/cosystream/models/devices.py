"""What torch has to compute on."""

from dataclasses import dataclass

import torch


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
