"""Clients that exist, unchanged, against the server as a process."""

import base64
import io
import json
import shutil
import subprocess
import wave
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import requests
from httpx_sse import connect_sse

from tests.support.server import ServerProcess, running_server

pytestmark = pytest.mark.e2e

HELLO = "你好，我是通义生成式语音大模型。"


@pytest.fixture(scope="module", name="server")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running_server(tmp_path_factory.mktemp("server"), "--engine", "tone") as server:
        yield server


def test_the_integration_guides_client_writes_a_file_that_plays(server: ServerProcess, tmp_path: Path) -> None:
    answer = requests.post(f"{server.url}/synthesize", json={"text": HELLO, "speaker": "中文女"}, timeout=30)
    audio = bytes.fromhex(answer.json()["audio"])
    (tmp_path / "output.wav").write_bytes(audio)
    with wave.open(str(tmp_path / "output.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24000)
        assert file.getnframes() == len(audio[44:]) // 2 > 0


def test_events_stream_and_file_of_one_seed_are_the_same_samples(server: ServerProcess) -> None:
    fields: dict[str, str | int] = {"text": HELLO, "seed": 7}
    stream = f"{server.url}/synthesize/stream"
    with httpx.Client(timeout=30) as client, connect_sse(client, "POST", stream, json=fields) as source:
        events = list(source.iter_sse())
    pcm = b"".join(bytes.fromhex(json.loads(event.data)["audio"]) for event in events if event.event == "audio")
    assert [events[0].event, events[-1].event] == ["start", "done"]
    assert httpx.post(stream, json=fields | {"format": "pcm"}).content == pcm
    assert httpx.post(stream, json=fields, headers={"accept": "audio/wav"}).content[44:] == pcm
    assert httpx.get(stream, params=fields | {"format": "pcm"}).content == pcm
    assert httpx.post(f"{server.url}/synthesize", data=fields).content == pcm
    with wave.open(io.BytesIO(httpx.post(f"{server.url}/synthesize_complete", data=fields).content)) as file:
        assert file.readframes(file.getnframes()) == pcm
    whole = httpx.post(f"{server.url}/synthesize", json=fields | {"encoding": "base64"}).json()
    assert base64.b64decode(whole["audio"])[44:] == pcm


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_shows_events_as_they_happen(server: ServerProcess) -> None:
    body = json.dumps({"text": "一 " * 2000, "speaker": "中文女"})  # more than the pipes on the way hold
    command = ["curl", "-s", "--no-buffer", "-H", "content-type: application/json", "-d", body]
    command.append(f"{server.url}/synthesize/stream")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as curl:
        assert curl.stdout is not None
        first_lines = [curl.stdout.readline() for _ in range(2)]
        assert curl.poll() is None, "the end had not come yet"
        curl.kill()
    assert first_lines[0] == "event: start\n"
    assert json.loads(first_lines[1].removeprefix("data: "))["speaker"] == "中文女"


def test_who_sends_thirty_megabytes_hears_the_limit_and_the_next_request_is_served(server: ServerProcess) -> None:
    answer = httpx.post(f"{server.url}/synthesize/stream", content=b"x" * 30_000_000, timeout=30)
    assert answer.status_code == 413
    assert answer.json()["error"]["type"] == "upload_too_large"
    assert "16777216" in answer.json()["error"]["message"]
    assert httpx.post(f"{server.url}/synthesize/stream", json={"text": HELLO}).status_code == 200
