"""What tests on a GPU need."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU, or none that was asked for with -m gpu")


@contextmanager
def no_waiting() -> Iterator[None]:
    """Whatever makes the host wait for the device raises meanwhile, but for the end of an event."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Synchronization debug mode")  # that it is a prototype
        try:
            torch.cuda.set_sync_debug_mode("error")
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")
