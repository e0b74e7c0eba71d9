"""How a server process starts, loses listeners and ends."""

import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from httpx_sse import ServerSentEvent, connect_sse

from tests.support.server import COSYSTREAM, ServerProcess, running_server

pytestmark = pytest.mark.e2e

LONG = "一 " * 2000
"""400 s of tones: more than is computed ahead, and more than fits into the buffers of a connection."""


class Listener:
    """A connection of its own, on which events are read when the test says so."""

    def __init__(self, server: ServerProcess, text: str) -> None:
        self._contexts = ExitStack()
        client = self._contexts.enter_context(httpx.Client(timeout=30))
        stream = connect_sse(client, "POST", f"{server.url}/synthesize/stream", json={"text": text})
        self.events: Iterator[ServerSentEvent] = self._contexts.enter_context(stream).iter_sse()

    def next_position(self) -> int:
        event = next(self.events)
        assert event.event == "queued"
        position = json.loads(event.data)["position"]
        assert isinstance(position, int)
        return position

    def leave(self) -> None:
        self._contexts.close()


def test_who_leaves_makes_room_whether_waiting_or_being_sent_to(tmp_path: Path) -> None:
    with running_server(tmp_path, "--engine", "tone", "--max-streams", "1") as server:
        speaking = Listener(server, LONG)
        assert next(speaking.events).event == "start"
        waiting = Listener(server, LONG)
        assert waiting.next_position() == 1
        last = Listener(server, "two words")
        assert last.next_position() == 2
        waiting.leave()
        assert last.next_position() == 1
        speaking.leave()
        assert [event.event for event in last.events] == ["start", "sentence", *["audio"] * 4, "done"]
        figures = httpx.get(f"{server.url}/metrics").text
        last.leave()
    assert 'cosystream_cancelled_total{stage="waiting"} 1.0' in figures
    assert 'cosystream_cancelled_total{stage="sending"} 1.0' in figures
    assert "cosystream_streams 0.0" in figures


def test_who_hears_it_all_has_not_left_whatever_the_form(tmp_path: Path) -> None:
    fields = {"text": "two words"}
    with running_server(tmp_path, "--engine", "tone") as server, httpx.Client(base_url=server.url) as client:
        answers = [
            client.get("/synthesize/stream", params=fields | {"format": "wav"}),
            client.get("/synthesize/stream", params=fields | {"format": "pcm"}),
            client.get("/synthesize/stream", params=fields),
            client.post("/synthesize", data=fields),
            client.post("/synthesize", data=fields, headers={"connection": "close"}),
            client.post("/synthesize", json=fields),
            client.post("/synthesize_complete", data=fields),
        ]
        counted, ended = "", re.compile(r"^cosystream_requests_total\S+/synth\S+ (\S+)$", re.MULTILINE)
        while sum(map(float, ended.findall(counted))) < 7:
            counted = client.get("/metrics").text  # an answer is counted a moment after its last byte
    assert [answer.status_code for answer in answers] == [200] * 7
    assert 'cosystream_requests_total{outcome="finished",route="/synthesize/stream"} 3.0' in counted
    assert 'cosystream_requests_total{outcome="finished",route="/synthesize"} 3.0' in counted
    assert 'cosystream_requests_total{outcome="finished",route="/synthesize_complete"} 1.0' in counted
    assert "cosystream_cancelled_total{" not in counted


def test_a_full_queue_says_when_to_come_back(tmp_path: Path) -> None:
    with running_server(tmp_path, "--engine", "tone", "--max-streams", "1", "--max-queue", "0") as server:
        speaking = Listener(server, LONG)
        assert next(speaking.events).event == "start"
        refused = httpx.post(f"{server.url}/synthesize/stream", json={"text": "two words"})
        assert refused.status_code == 503
        assert refused.json()["error"]["type"] == "overloaded"
        assert int(refused.headers["retry-after"]) >= 1
        assert next(speaking.events).event == "sentence"
        speaking.leave()


def test_told_to_stop_it_lets_finish_what_fits_and_tells_the_rest(tmp_path: Path) -> None:
    endless = "一 " * 100_000
    with running_server(
        tmp_path, "--engine", "tone", "--drain-ms", "3000", "--max-text-chars", str(len(endless))
    ) as server:
        too_long = Listener(server, endless)
        short = Listener(server, "two words")
        assert next(too_long.events).event == next(short.events).event == "start"
        server.terminate()
        told = time.monotonic()
        *_, last_of_short = short.events
        *_, last_of_too_long = too_long.events
        assert server.exit_status(timeout_seconds=30) == 0
        assert time.monotonic() - told < 5.0  # 3 s, were nobody else on this machine
        short.leave()
        too_long.leave()
    assert last_of_short.event == "done"
    assert last_of_too_long.event == "error"
    assert json.loads(last_of_too_long.data)["error"]["type"] == "shutting_down"
    assert json.loads(last_of_too_long.data)["partial_audio"] is True


@pytest.mark.parametrize(
    "head", [b"GET /", b"GET / HTTP/1.1\r\nx: ", b"POST /synthesize HTTP/1.1\r\n" + b"a: b\r\n" * 9]
)
def test_a_head_without_an_end_is_refused(tmp_path: Path, head: bytes) -> None:
    with running_server(tmp_path, "--engine", "tone") as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
            connection.sendall(head + b"a" * 300_000)
            assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")
        body = {"text": "hello", "prompt_text": "", "prompt_wav": "AAAA" * 200_000}  # a body may be as long
        for _ in range(5):
            assert httpx.post(f"{server.url}/synthesize", json=body).status_code == 400  # the tones imitate nobody


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--port", "many"), "--port is 'many'; a whole number from 0 to 65535 would do"),
        (("--engine", "organ"), "engine is 'organ'; there are auto, cosyvoice, kokoro, tone"),
        (("--model", "nowhere"), "nowhere: no such folder"),
        (("--config", "nowhere.toml"), "nowhere.toml: No such file or directory"),
        (("--host", "nohost.invalid"), "host is 'nohost.invalid': "),
    ],
)
def test_settings_that_will_not_do_are_told_before_anything_starts(
    tmp_path: Path, flags: tuple[str, ...], words: str
) -> None:
    command = [str(COSYSTREAM), "serve", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_told_before_an_engine_is_built(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        command = [str(COSYSTREAM), "serve", "--engine", "kokoro", "--host", "127.0.0.1", "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (2, f"cosystream: port {port} is in use; --port N takes another\n")


def test_told_to_stop_while_it_loads_it_stops(tmp_path: Path) -> None:
    command = [str(COSYSTREAM), "serve", "--engine", "kokoro", "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stderr is not None
        while "startup complete" not in process.stderr.readline():
            assert process.poll() is None
        process.terminate()
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0
    assert "Traceback" not in said


def test_say_writes_a_file_without_a_server(tmp_path: Path) -> None:
    command = [str(COSYSTREAM), "say", "two words", "--engine", "tone", "-o", "two.wav"]
    subprocess.run(command, check=True, cwd=tmp_path, timeout=30)
    assert (tmp_path / "two.wav").stat().st_size == 44 + 2 * 9600
