"""The engine over the tiny checkpoints of the golden data."""

from pathlib import Path

import pytest

from cosystream.engines.cosyvoice.synthesizer import CosyVoiceSynthesizer
from cosystream.types import Prompt
from tests.support.golden import GOLDEN


def tiny(version: str) -> CosyVoiceSynthesizer:
    nowhere = Path("no-such-folder")
    folder = GOLDEN / version / "model"
    return CosyVoiceSynthesizer(folder, voices_dir=nowhere, cache_dir=nowhere, num_threads=1, may_borrow=False)


@pytest.fixture(scope="session")
def v2() -> CosyVoiceSynthesizer:
    return tiny("v2")


@pytest.fixture(scope="session")
def v3() -> CosyVoiceSynthesizer:
    return tiny("v3")


@pytest.fixture(params=["v2", "v3"])
def either(request: pytest.FixtureRequest) -> CosyVoiceSynthesizer:
    synthesizer: CosyVoiceSynthesizer = request.getfixturevalue(request.param)
    return synthesizer


@pytest.fixture(scope="session")
def recording() -> Prompt:
    return Prompt((GOLDEN / "v3" / "audio" / "prompt_48k_stereo.wav").read_bytes(), "hello world this is a test")
