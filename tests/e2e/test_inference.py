"""CosyVoice's own FastAPI client, as it calls, against the server as a process with a checkpoint."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import requests

from tests.support.golden import GOLDEN
from tests.support.server import ServerProcess, running_server

pytestmark = pytest.mark.e2e

TEXT = "hello world, it is a test"
RECORDING = GOLDEN / "v3" / "audio" / "prompt_16k.wav"


@pytest.fixture(scope="module", name="server")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running_server(tmp_path_factory.mktemp("server"), "--model", str(GOLDEN / "v2" / "model")) as process:
        yield process


def infer(server: ServerProcess, mode: str, payload: dict[str, str], upload: bytes | None = None) -> requests.Response:
    """What the client does: a GET, whose body is a form, with the recording beside it in some modes."""
    files: Any = None if upload is None else [("prompt_wav", ("prompt_wav", upload, "application/octet-stream"))]
    url = f"{server.url}/inference_{mode}"
    return requests.request("GET", url, data=payload, files=files, stream=True, timeout=60)


@pytest.mark.parametrize(
    ("mode", "payload", "with_upload"),
    [
        ("sft", {"tts_text": TEXT, "spk_id": "中文女"}, False),
        ("zero_shot", {"tts_text": TEXT, "prompt_text": "hello"}, True),
        ("cross_lingual", {"tts_text": TEXT}, True),
        ("instruct", {"tts_text": TEXT, "spk_id": "中文女", "instruct_text": "speak slowly"}, False),
        ("instruct2", {"tts_text": TEXT, "instruct_text": "speak slowly"}, True),
    ],
)
def test_every_mode_of_the_reference_client_streams_samples(
    server: ServerProcess, mode: str, payload: dict[str, str], with_upload: bool
) -> None:
    response = infer(server, mode, payload, RECORDING.read_bytes() if with_upload else None)
    assert response.status_code == 200
    assert response.headers["transfer-encoding"] == "chunked"
    audio = b"".join(response.iter_content(chunk_size=16000))
    samples = np.array(np.frombuffer(audio, dtype=np.int16))
    assert samples.size % 480 == 0
    assert samples.size > 10_000
    assert np.abs(samples).max() > 0


def test_an_upload_that_is_no_audio_is_refused(server: ServerProcess) -> None:
    response = infer(server, "cross_lingual", {"tts_text": TEXT}, b"no sound at all")
    assert response.status_code == 400
    assert response.json()["detail"].startswith("prompt_wav: ")


def test_a_post_does_the_same(server: ServerProcess) -> None:
    with RECORDING.open("rb") as recording:
        response = requests.post(
            f"{server.url}/inference_zero_shot",
            data={"tts_text": TEXT, "prompt_text": "hello", "speed": "1.5"},
            files={"prompt_wav": recording},
            timeout=60,
        )
    assert response.status_code == 200
    assert len(response.content) % 2 == 0
    assert len(response.content) > 10_000
