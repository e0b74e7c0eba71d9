"""What is asked of the machine's memory."""

import platform
import subprocess
import sys

import pytest

REUSE = """
import resource
import torch
from cosystream.models.devices import keep_freed_memory

keep_freed_memory()
big = torch.ones(6 << 20, dtype=torch.uint8)
for _ in range(4):
    more = big + 1
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    more = big + 1
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_what_was_freed_is_used_again_and_not_mapped_anew() -> None:
    """Fifty times 6 MB are 75,000 pages of memory."""
    output = subprocess.run([sys.executable, "-c", REUSE], check=True, capture_output=True, text=True).stdout
    assert int(output) < 7_500
