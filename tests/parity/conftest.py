"""The golden data: tiny checkpoints in the official format, with what the reference implementation made of them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from cosystream.models.cosyvoice.checkpoint import read_config
from cosystream.models.cosyvoice.config import CosyVoiceConfig
from cosystream.models.weights import read_weights

torch.set_num_threads(1)  # more cost time where tensors are small
HERE = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", type=Path, default=HERE, help="a folder laid out like tests/parity/golden")


@dataclass(frozen=True)
class Golden:
    """One version's folder."""

    path: Path

    @property
    def model(self) -> Path:
        return self.path / "model"

    @cached_property
    def config(self) -> CosyVoiceConfig:
        return read_config(self.model)

    @cache  # noqa: B019 - lives as long as the session
    def weights(self, part: str) -> dict[str, Tensor]:
        return read_weights(self.model / f"{part}.pt")

    @cache  # noqa: B019
    def tensors(self, part: str) -> dict[str, Tensor]:
        tensors = load_file(self.path / f"{part}.safetensors")
        return {name: t.float() if t.dtype == torch.float16 else t for name, t in tensors.items()}

    def json(self, name: str) -> Any:
        return json.loads((self.path / f"{name}.json").read_text("utf-8"))


@pytest.fixture(scope="session")
def golden(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.config.getoption("--golden", HERE)  # unknown where this file is not named at the start
    return folder.resolve()


@pytest.fixture(scope="session")
def v2(golden: Path) -> Golden:
    return Golden(golden / "v2")


@pytest.fixture(scope="session")
def v3(golden: Path) -> Golden:
    return Golden(golden / "v3")


@pytest.fixture(scope="session", params=["v2", "v3"])
def either(golden: Path, request: pytest.FixtureRequest) -> Golden:
    return Golden(golden / request.param)


@pytest.fixture(scope="session")
def cases(golden: Path) -> Callable[[str], Any]:
    """What does not depend on a checkpoint: a folder may leave it to this one."""
    folder = golden / "cases" if (golden / "cases").is_dir() else HERE / "cases"
    return lambda name: json.loads((folder / f"{name}.json").read_text("utf-8"))
