"""A server of bytes written down beforehand: for what ours never sends, and networks do."""

import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

LONGEST_WAIT_SECONDS = 20.0


class Gate(threading.Event):
    """Where a script waits until a test opens it."""


class Reset:
    """The connection ends as a crashed machine's does."""


class Gone:
    """Nobody answers there any more, once this connection has ended."""


Step = bytes | Gate | Reset | Gone
RESET = Reset()
GONE = Gone()
EVENTS = (
    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
    b"X-Request-Id: r1\r\n\r\n"
)
END = b"0\r\n\r\n"
START = (
    b'event: start\ndata: {"request_id":"r1","sample_rate":24000,"engine":"script","speaker":"anna","seed":7,'
    b'"encoding":"base64","channels":1,"format":"pcm_s16le"}\n\n'
)
DONE = (
    b'event: done\ndata: {"request_id":"r1","chunks":1,"samples":2,"duration_ms":0,"first_audio_ms":3,"queue_ms":0,'
    b'"rtf":0.5,"underruns":0,"finish_reason":"stop"}\n\n'
)
AUDIO = b'id: r1:0\nevent: audio\ndata: {"index":0,"audio":"AQACAA==","samples":2,"offset_ms":0}\n\n'
PCM = b"\x01\x00\x02\x00"


def piece(body: bytes) -> bytes:
    """Of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(body), body)


def whole(*events: bytes) -> list[Step]:
    """An answer that comes to its end."""
    return [EVENTS, *map(piece, events), END]


def refused(status: int, body: bytes, *headers: bytes) -> list[Step]:
    head = [b"HTTP/1.1 %d No" % status, b"Connection: close", b"Content-Length: %d" % len(body), *headers]
    return [b"\r\n".join([*head, b"", body])]


@dataclass
class ScriptedServer:
    url: str
    requests: list[bytes] = field(default_factory=list)
    """Heads and bodies, in order."""
    left: threading.Event = field(default_factory=threading.Event)
    """Whether a client has closed its connection while a script was waiting."""


@contextmanager
def scripted_server(*scripts: Sequence[Step]) -> Iterator[ScriptedServer]:
    """A connection after another is served a script, then closed."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(LONGEST_WAIT_SECONDS)
        server = ScriptedServer(f"http://127.0.0.1:{listening.getsockname()[1]}")
        thread = threading.Thread(target=_serve, args=(listening, scripts, server), daemon=True)
        thread.start()
        yield server
        thread.join(LONGEST_WAIT_SECONDS)
        assert not thread.is_alive(), "a script was not played to its end"


def _serve(listening: socket.socket, scripts: Sequence[Sequence[Step]], server: ScriptedServer) -> None:
    for script in scripts:
        connection, _ = listening.accept()
        with connection:
            connection.settimeout(LONGEST_WAIT_SECONDS)
            server.requests.append(_request(connection))
            try:
                _play(script, connection, listening)
            except OSError:
                server.left.set()


def _request(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
    while len(body) < int(length.partition(b":")[2]):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def _play(script: Sequence[Step], connection: socket.socket, listening: socket.socket) -> None:
    for step in script:
        match step:
            case bytes():
                connection.sendall(step)
            case Gate():
                _wait(step, connection)
            case Reset():
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            case Gone():
                listening.close()


def _wait(gate: Gate, connection: socket.socket) -> None:
    """Until the gate opens. Raises OSError if the client leaves before."""
    connection.settimeout(0.02)
    try:
        for _ in range(int(LONGEST_WAIT_SECONDS / 0.02)):
            if gate.is_set():
                return
            try:
                if not connection.recv(1):
                    raise ConnectionAbortedError
            except TimeoutError:
                continue
    finally:
        connection.settimeout(LONGEST_WAIT_SECONDS)
    raise AssertionError("neither was the gate opened nor did the client leave")
