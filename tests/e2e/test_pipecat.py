"""pipecat's speech services, with nothing but their base URL changed, against the server as a process.

pipecat wants older versions of soxr and soundfile than we do, so that it needs an environment of its own:

    python -m venv pipecat-env && pipecat-env/bin/pip install pipecat-ai
    PIPECAT_PYTHON=pipecat-env/bin/python pytest tests/e2e/test_pipecat.py
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.server import running_server

pytestmark = pytest.mark.e2e

HELLO = "你好，很高兴认识你。"
PYTHON = os.environ.get("PIPECAT_PYTHON")


@pytest.fixture(scope="module", name="heard")
def _heard(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], bytes]:
    """By service, what came out of it; and what the text sounds like."""
    if PYTHON is None:
        pytest.skip("pipecat needs an environment of its own, whose Python PIPECAT_PYTHON would name")
    script = Path(__file__).parents[1] / "support" / "pipecat_speaks.py"
    with running_server(tmp_path_factory.mktemp("server"), "--engine", "tone") as server:
        fields = {"text": HELLO, "format": "pcm"}
        said = httpx.post(f"{server.url}/synthesize/stream", json=fields).content
        command = [PYTHON, str(script), server.url, HELLO]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=100)
    heard = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(heard, dict)
    return heard, said


@pytest.mark.parametrize("service", ["minimax", "openai"])
def test_its_services_make_audio_frames_of_all_that_is_said(heard: tuple[dict[str, Any], bytes], service: str) -> None:
    by_service, said = heard
    out = by_service[service]
    assert out["errors"] == []
    assert out["frames"] > 1
    assert out["rates"] == [24_000]
    assert bytes.fromhex(out["pcm"]) == said
    assert (out["started"], out["stopped"]) == (1, 1)


def test_a_voice_that_is_not_there_is_an_error(heard: tuple[dict[str, Any], bytes]) -> None:
    out = heard[0]["minimax, another voice"]
    assert out["frames"] == 0
    assert len(out["errors"]) == 1
