"""What holds for all tests."""

import os

import pytest
from hypothesis import settings

settings.register_profile("the same each time", deadline=None, derandomize=True)
settings.register_profile("searching", deadline=None, max_examples=1000)
settings.load_profile("the same each time")


def pytest_configure(config: pytest.Config) -> None:
    """Compute on the CPU, on a machine with a GPU too: ``pytest -m gpu`` runs the tests that need one."""
    if config.option.markexpr != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
