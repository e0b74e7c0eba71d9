"""The engine over the tiny checkpoints of the golden data."""

from pathlib import Path

import pytest

from cosystream.engines.cosyvoice.core import CosyVoiceCore
from cosystream.engines.cosyvoice.options import CosyVoiceOptions
from cosystream.models.linear import Precision
from cosystream.types import Prompt
from tests.support.golden import GOLDEN

NOWHERE = Path("no-such-folder")
TINY = CosyVoiceOptions(
    NOWHERE, NOWHERE, precision=Precision.FLOAT32, first_hop=0, max_streams=8, memory_bytes=300_000_000
)


def tiny(version: str, options: CosyVoiceOptions = TINY) -> CosyVoiceCore:
    """With a clock that stands still, so that hops are cut alike however busy the machine is."""
    return CosyVoiceCore(GOLDEN / version / "model", options, clock=lambda: 0.0)


@pytest.fixture(scope="session")
def v2() -> CosyVoiceCore:
    return tiny("v2")


@pytest.fixture(scope="session")
def v3() -> CosyVoiceCore:
    return tiny("v3")


@pytest.fixture(params=["v2", "v3"])
def either(request: pytest.FixtureRequest) -> CosyVoiceCore:
    core: CosyVoiceCore = request.getfixturevalue(request.param)
    return core


@pytest.fixture(scope="session")
def recording() -> Prompt:
    return Prompt((GOLDEN / "v3" / "audio" / "prompt_48k_stereo.wav").read_bytes(), "hello world this is a test")
