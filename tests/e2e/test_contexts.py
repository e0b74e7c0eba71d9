"""Text in while audio goes out, with a client that exists, against the server as a process."""

import json
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.support.server import ServerProcess, running_server

pytestmark = pytest.mark.e2e

EXAMPLE = Path(__file__).parents[2] / "examples" / "websocket_text_in.py"
STORY = "今天天气很好。Shall we go for a walk? Dr. Lee says 3.14, e.g. pi. 好的，3 点见！"
LONG = "一 " * 2000
"""400 s of tones: more than is computed ahead, and more than fits into the buffers of a connection."""


@pytest.fixture(scope="module", name="server")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running_server(tmp_path_factory.mktemp("server"), "--engine", "tone") as server:
        yield server


def talking_to(server: ServerProcess, **how: Any) -> ClientConnection:
    socket = connect(f"ws://127.0.0.1:{server.port}/v1/stream", **how)
    assert isinstance(socket, ClientConnection)
    return socket


def say(socket: ClientConnection, type_: str, context: str = "c1", **fields: object) -> None:
    socket.send(json.dumps({"type": type_, "context": context, **fields}))


def read_until(socket: ClientConnection, *types: str) -> tuple[dict[str, Any], bytes]:
    """The first message of one of these types, and the audio before it."""
    audio: list[bytes] = []
    for said in socket:
        if isinstance(said, bytes):
            audio.append(said)
        elif (message := json.loads(said))["type"] in types:
            return message, b"".join(audio)
    raise AssertionError(f"the connection was closed with {socket.close_code}")


def figures(server: ServerProcess) -> str:
    return httpx.get(f"{server.url}/metrics").text


def test_a_text_sent_character_by_character_is_the_speech_of_one_request(server: ServerProcess) -> None:
    whole = httpx.post(f"{server.url}/synthesize/stream", json={"text": STORY, "format": "pcm"}).content
    with talking_to(server) as socket:
        say(socket, "start")
        for character in STORY:
            say(socket, "text", text=character)
        say(socket, "end")
        done, audio = read_until(socket, "done", "error")
    assert audio == whole
    assert done["samples"] == len(whole) // 2
    assert done["finish_reason"] == "stop"


def test_samples_are_not_compressed(server: ServerProcess) -> None:
    with talking_to(server) as socket:
        assert socket.protocol.extensions == []


def test_who_leaves_midway_frees_what_was_being_spoken(tmp_path: Path) -> None:
    with running_server(tmp_path, "--engine", "tone", "--max-streams", "4") as server:
        with talking_to(server, close_timeout=0.1) as socket:  # what it does not read hides the answer to its close
            for context in ("a", "b"):
                say(socket, "start", context)
                say(socket, "text", context, text=LONG)
                say(socket, "end", context)
            for context in ("a", "b"):
                while read_until(socket, "audio")[0]["context"] != context:
                    pass
        with talking_to(server) as socket:  # there is room again
            say(socket, "start")
            say(socket, "text", text="two words")
            say(socket, "end")
            assert read_until(socket, "done", "error")[0]["type"] == "done"
        told = figures(server)
        log = server.log()
    assert 'cosystream_cancelled_total{stage="sending"} 2.0' in told
    assert 'cosystream_requests_total{outcome="left_sending",route="/v1/stream"} 1.0' in told
    assert 'cosystream_requests_total{outcome="finished",route="/v1/stream"} 1.0' in told
    assert "cosystream_streams 0.0" in told
    assert "context=2 outcome=left_sending" in log
    assert "Traceback" not in log


def test_who_stops_reading_is_ended(tmp_path: Path) -> None:
    with running_server(tmp_path, "--engine", "tone", "--reader-timeout-ms", "500") as server:
        with talking_to(server, max_queue=1, close_timeout=0.1) as socket:
            say(socket, "start")
            say(socket, "text", text=LONG)
            say(socket, "end")
            while 'outcome="reader_stalled",route="/v1/stream"} 1.0' not in figures(server):
                pass
            assert "cosystream_streams 0.0" in figures(server)
            with pytest.raises(ConnectionClosed):
                read_until(socket, "done", "error")
        assert "Traceback" not in server.log()


def test_a_message_past_the_limit_ends_the_connection(tmp_path: Path) -> None:
    with (
        running_server(tmp_path, "--engine", "tone", "--max-body-bytes", "1000") as server,
        talking_to(server) as socket,
    ):
        say(socket, "start", context="c" * 2000)
        with pytest.raises(ConnectionClosed):
            socket.recv()
        assert socket.close_code == 1009


def test_without_a_key_there_is_no_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSYSTREAM_API_KEYS", "secret")
    with running_server(tmp_path, "--engine", "tone") as server:
        with pytest.raises(InvalidStatus) as refused:
            talking_to(server)
        assert refused.value.response.status_code == 401
        assert json.loads(refused.value.response.body)["error"]["type"] == "unauthorized"
        with talking_to(server, additional_headers={"x-api-key": "secret"}) as socket:
            say(socket, "start")
            assert read_until(socket, "started")


def test_pages_of_strangers_open_no_socket(server: ServerProcess) -> None:
    with pytest.raises(InvalidStatus) as refused:
        talking_to(server, origin="https://example.org")
    assert refused.value.response.status_code == 403
    assert "cors_origins says which may" in json.loads(refused.value.response.body)["error"]["message"]
    with talking_to(server, origin=f"http://127.0.0.1:{server.port}") as socket:
        say(socket, "start")
        assert read_until(socket, "started")


def test_pages_that_the_settings_name_open_one(tmp_path: Path) -> None:
    flags = ("--engine", "tone", "--cors-origins", "https://example.org")
    with running_server(tmp_path, *flags) as server, talking_to(server, origin="https://example.org") as socket:
        say(socket, "start")
        assert read_until(socket, "started")


def test_a_server_that_stops_says_so(tmp_path: Path) -> None:
    with running_server(tmp_path, "--engine", "tone", "--drain-ms", "2000") as server, talking_to(server) as socket:
        say(socket, "start")
        say(socket, "text", text="two words")
        read_until(socket, "started")
        server.terminate()
        with pytest.raises(ConnectionClosed):
            read_until(socket, "done", "error")
        assert socket.close_code == 1012
        assert server.exit_status(timeout_seconds=30) == 0
        assert "Traceback" not in server.log()


def test_told_to_stop_it_lets_finish_what_is_being_spoken(tmp_path: Path) -> None:
    with running_server(tmp_path, "--engine", "tone", "--drain-ms", "30000") as server, talking_to(server) as socket:
        say(socket, "start")
        say(socket, "text", text=LONG)
        say(socket, "end")
        read_until(socket, "audio")
        server.terminate()
        done, _ = read_until(socket, "done", "error")
        assert done["type"] == "done"
        assert done["duration_ms"] > 300_000
        assert server.exit_status(timeout_seconds=30) == 0
        assert "Traceback" not in server.log()


def test_the_example_writes_a_file_that_plays(server: ServerProcess, tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLE), "两个词。Two words.", server.url]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    with wave.open(str(tmp_path / "websocket_text_in.wav")) as file:
        assert file.getparams()[:4] == (1, 2, 24000, 5 * 4800)


def test_the_example_says_what_was_refused(server: ServerProcess, tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLE), "……", server.url]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=30, check=False)
    assert done.returncode == 1
    assert "there is nothing to say in it" in done.stderr
