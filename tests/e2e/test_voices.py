"""A voice that is uploaded to a server is there after the server was killed."""

import wave
from pathlib import Path

import httpx
import numpy as np
import pytest

from cosystream.audio import wav
from cosystream.audio.pcm import to_pcm
from tests.support.golden import GOLDEN
from tests.support.server import ServerProcess, running_server

pytestmark = pytest.mark.e2e

LEAST_BYTES = 20_000


def recording(seconds: float = 3.0) -> bytes:
    noise = np.random.default_rng(0).standard_normal(round(seconds * 24_000))
    return wav.encode(to_pcm((0.1 * noise).astype(np.float32)), 24_000)


def spoken(server: ServerProcess, speaker: str) -> bytes:
    request = {"text": "hello world, it is a test", "speaker": speaker, "seed": 5, "format": "pcm"}
    answer = httpx.post(f"{server.url}/synthesize/stream", json=request, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.content


def is_same_voice(pcm: bytes, other: bytes) -> bool:
    """Alike in the first hop: where later ones begin depends on how busy the machine is."""
    first_hop = 2 * 480 * 8
    return len(pcm) == len(other) and pcm[:first_hop] == other[:first_hop]


def test_a_voice_outlives_its_server(tmp_path: Path) -> None:
    (tmp_path / "voices").mkdir()
    flags = ("--model", str(GOLDEN / "v3" / "model"), "--voices-dir", "voices", "--cache-dir", "cache")
    with running_server(tmp_path, *flags) as server:
        form = {"name": "安娜", "prompt_text": "hello there"}
        answer = httpx.post(
            f"{server.url}/v1/voices", data=form, files={"prompt_wav": ("me.wav", recording())}, timeout=60
        )
        assert (answer.status_code, answer.json()["kind"]) == (201, "cloned"), answer.text
        pcm = spoken(server, "安娜")
        assert len(pcm) > LEAST_BYTES
        assert not is_same_voice(pcm, spoken(server, "spk_a"))
    with running_server(tmp_path, *flags) as server:
        assert "安娜" in httpx.get(f"{server.url}/speakers").json()["speakers"]
        assert is_same_voice(spoken(server, "安娜"), pcm)
        (tmp_path / "sample.wav").write_bytes(httpx.get(f"{server.url}/v1/voices/安娜/sample").content)
        with wave.open(str(tmp_path / "sample.wav")) as file:
            assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (24_000, 1, 72_000)
        assert httpx.delete(f"{server.url}/v1/voices/安娜").status_code == 204
        assert httpx.get(f"{server.url}/v1/voices/安娜").status_code == 404
    assert list((tmp_path / "voices").iterdir()) == []
