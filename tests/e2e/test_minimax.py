"""Clients of MiniMax's T2A v2, which do as its examples and as plugins of agent frameworks do, against a process."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests
from websockets.sync.client import ClientConnection, connect

from tests.support.decoding import decoded
from tests.support.server import ServerProcess, running_server

pytestmark = pytest.mark.e2e

HELLO = "你好，很高兴认识你。"
HELLO_SECONDS = 8 * 0.2
LONG = "一 " * 2000
"""400 s of tones: more than is computed ahead, and more than fits into the buffers of a connection."""
PCM = {"sample_rate": 24000, "format": "pcm", "channel": 1}


@pytest.fixture(scope="module", name="server")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running_server(tmp_path_factory.mktemp("server"), "--engine", "tone") as server:
        yield server


def said(server: ServerProcess, text: str) -> bytes:
    """What it sounds like."""
    return httpx.post(f"{server.url}/synthesize/stream", json={"text": text, "format": "pcm"}, timeout=30).content


def streams_end(server: ServerProcess) -> bool:
    """Whether there are none, before long."""
    until = time.monotonic() + 5.0
    while time.monotonic() < until:
        if "cosystream_streams 0.0" in httpx.get(f"{server.url}/metrics").text:
            return True
    return False


# Over HTTP


def request_body(**fields: Any) -> dict[str, Any]:
    """As MiniMax's example sends it."""
    return {
        "model": "speech-02-turbo",
        "text": HELLO,
        "stream": True,
        "language_boost": "auto",
        "output_format": "hex",
        "voice_setting": {"voice_id": "中文女", "speed": 1, "vol": 1, "pitch": 0},
        "audio_setting": {"sample_rate": 32000, "bitrate": 128000, "format": "mp3"},
    } | fields


def test_minimaxs_example_hears_mp3_as_it_is_made(server: ServerProcess) -> None:
    headers = {"accept": "application/json, text/plain, */*", "authorization": "Bearer none is wanted"}
    url = f"{server.url}/v1/t2a_v2?GroupId=123"
    response = requests.request("POST", url, stream=True, headers=headers, data=json.dumps(request_body()), timeout=30)
    audio = b""
    for line in response.raw:
        if line[:5] == b"data:":
            frame = json.loads(line[5:])
            if "data" in frame and "extra_info" not in frame:
                audio += bytes.fromhex(frame["data"]["audio"])
            else:
                assert bytes.fromhex(frame["data"]["audio"]) == audio
    assert decoded(audio, "mp3", 32000).seconds == pytest.approx(HELLO_SECONDS, abs=0.15)


def test_minimaxs_example_without_a_stream_writes_a_file_that_plays(server: ServerProcess) -> None:
    body = request_body(stream=False)
    answer = requests.post(f"{server.url}/v1/t2a_v2", json=body, timeout=30).json()
    audio = bytes.fromhex(answer["data"]["audio"])
    assert decoded(audio, "mp3", 32000).seconds == pytest.approx(HELLO_SECONDS, abs=0.15)
    assert answer["extra_info"]["audio_length"] == 1000 * HELLO_SECONDS
    assert answer["extra_info"]["audio_size"] == len(audio)


def test_a_plugin_that_pushes_every_frame_hears_it_once(server: ServerProcess) -> None:
    """LiveKit's does: it reads lines, and asks for the last frame to be without audio."""
    body = request_body(audio_setting=PCM, stream_options={"exclude_aggregated_audio": True})
    pushed = b""
    with httpx.stream("POST", f"{server.url}/v1/t2a_v2", json=body) as response:
        trace_id = response.headers["Trace-Id"]
        for line in filter(None, response.iter_lines()):
            assert line.startswith("data:")
            frame = json.loads(line[5:])
            assert frame["trace_id"] == trace_id
            assert frame["base_resp"]["status_code"] == 0
            pushed += bytes.fromhex(frame.get("data", {}).get("audio"))
    assert pushed == said(server, HELLO)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_shows_frames_as_they_happen(server: ServerProcess) -> None:
    body = json.dumps(request_body(text=LONG, audio_setting=PCM))
    command = ["curl", "-s", "--no-buffer", "-H", "content-type: application/json", "-d", body]
    with subprocess.Popen([*command, f"{server.url}/v1/t2a_v2"], stdout=subprocess.PIPE, text=True) as curl:
        assert curl.stdout is not None
        first = curl.stdout.readline()
        assert curl.poll() is None, "the end had not come yet"
        curl.kill()
    assert json.loads(first.removeprefix("data: "))["data"]["status"] == 1
    assert streams_end(server)


# Over a WebSocket


def opened(server: ServerProcess) -> ClientConnection:
    url = f"{server.url.replace('http', 'ws')}/ws/v1/t2a_v2"
    return connect(url, additional_headers={"Authorization": "Bearer none is wanted"}, max_size=None)


def told(connection: ClientConnection) -> dict[str, Any]:
    event = json.loads(connection.recv(timeout=20))
    assert isinstance(event, dict)
    assert event["base_resp"]["status_code"] == 0, event
    return event


def start(connection: ClientConnection) -> None:
    assert told(connection)["event"] == "connected_success"
    settings = {key: value for key, value in request_body(audio_setting=PCM).items() if key not in ("text", "stream")}
    connection.send(json.dumps({"event": "task_start"} | settings))
    assert told(connection)["event"] == "task_started"


def test_minimaxs_example_hears_a_text_to_its_end(server: ServerProcess) -> None:
    with opened(server) as connection:
        start(connection)
        for text in (HELLO, "一二三"):
            connection.send(json.dumps({"event": "task_continue", "text": text}))
            audio, is_final = b"", False
            while not is_final:
                event = told(connection)
                audio += bytes.fromhex(event["data"]["audio"])
                is_final = event["is_final"]
            assert audio == said(server, text)
        connection.send(json.dumps({"event": "task_finish"}))
        assert told(connection)["event"] == "task_finished"


def test_a_plugin_that_sends_all_its_sentences_at_once_hears_them_in_order(server: ServerProcess) -> None:
    """LiveKit's does."""
    sentences = ["One two.", "Three.", "Four five six."]
    pushed = b""
    with opened(server) as connection:
        start(connection)
        for sentence in sentences:
            connection.send(json.dumps({"event": "task_continue", "text": sentence}))
        connection.send(json.dumps({"event": "task_finish"}))
        while (event := told(connection))["event"] == "task_continued":
            pushed += bytes.fromhex(event["data"]["audio"])
    assert event["event"] == "task_finished"
    assert pushed == b"".join(said(server, sentence) for sentence in sentences)


def test_closing_the_connection_ends_what_is_being_spoken(server: ServerProcess) -> None:
    with opened(server) as connection:
        start(connection)
        for _ in range(2):
            connection.send(json.dumps({"event": "task_continue", "text": LONG[:2000]}))
        assert told(connection)["event"] == "task_continued"
    assert streams_end(server)
