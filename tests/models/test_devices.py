"""What is asked of the machine's memory."""

import gc
import platform
import subprocess
import sys
import weakref

import pytest
import torch

from cosystream.models.devices import hand_back_freed_memory

REUSE = """
import resource
import torch
from cosystream.models.devices import keep_freed_memory

keep_freed_memory()
big = torch.ones(6 << 20, dtype=torch.uint8)
for _ in range(4):
    more = big + 1

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        more = big + 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(min(faults() for _ in range(5)))  # a machine short of memory takes pages away in between
"""


class Engine:
    """What refers to itself, as a model that recorded steps of its own does, and fills memory."""

    def __init__(self) -> None:
        self.step = self.compute
        self.pages = torch.zeros(1)

    def compute(self) -> None: ...


def test_what_has_died_and_refers_to_itself_is_freed() -> None:
    gc.disable()
    try:
        pages = weakref.ref(Engine().pages)
        assert pages() is not None
        hand_back_freed_memory()
        assert pages() is None
    finally:
        gc.enable()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_what_was_freed_is_used_again_and_not_mapped_anew() -> None:
    """Fifty times 6 MB are 75,000 pages of memory."""
    output = subprocess.run([sys.executable, "-c", REUSE], check=True, capture_output=True, text=True).stdout
    assert int(output) < 7_500
