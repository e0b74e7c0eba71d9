import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cosystream.bench.connection import LOOPBACK, Address, get, listen
from cosystream.bench.http_target import HttpTarget
from cosystream.errors import ConfigError
from cosystream.types import SynthesisRequest


class Canned:
    """A server that says the same to everybody, and remembers what it was asked."""

    def __init__(self, answer: bytes) -> None:
        self.asked: list[bytes] = []
        self._answer = answer

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Its port."""
        server = await asyncio.start_server(self._serve, LOOPBACK, 0)
        async with server:
            yield server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next((line for line in head.split(b"\r\n") if line.startswith(b"content-length")), b":0")
        self.asked.append(head + await reader.readexactly(int(length.partition(b":")[2])))
        writer.write(self._answer)
        writer.close()


def _answer(status: str, body: bytes = b"", headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-length: %d\r\n%b\r\n%b" % (status.encode(), len(body), headers, body)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://localhost:50000", Address("localhost", 50000)),
        ("localhost:50000/", Address("localhost", 50000)),
        ("https://speech.example/tts/", Address("speech.example", 443, is_encrypted=True, path="/tts")),
        ("http://[::1]", Address("::1", 80)),
    ],
)
def test_a_url_says_where_a_server_is(url: str, address: Address) -> None:
    assert Address.parse(url) == address


@pytest.mark.parametrize("url", ["ftp://localhost", "http://", "http://localhost:many", "http://[::1"])
def test_what_is_no_url_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="http://localhost:50000 would do"):
        Address.parse(url)


def test_a_url_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(ConfigError, match="COSYSTREAM_API_KEYS") as refused:
        Address.parse("http://me:secret@localhost:1")
    assert "secret" not in str(refused.value)


def test_a_key_does_not_show_itself() -> None:
    assert "secret" not in repr(Address.parse("localhost:1", key="secret"))


async def test_what_is_asked_for_goes_out_with_the_key() -> None:
    canned = Canned(_answer("503 Busy", headers=b"retry-after: 7\r\n"))
    async with canned.listening() as port:
        address = Address(LOOPBACK, port, path="/tts", key="secret")
        heard = await listen(address, SynthesisRequest("你好", "Ann", seed=7))
    (asked,) = canned.asked
    assert asked.startswith(b"POST /tts/synthesize/stream HTTP/1.1\r\n")
    assert b"\r\nauthorization: Bearer secret\r\n" in asked
    assert asked.endswith('\r\n\r\n{"text":"你好","speaker":"Ann","seed":7}'.encode())
    assert heard.refused
    assert heard.retry_after_seconds == 7.0


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (_answer("404 Not Found", b'{"error":{"message":"no voice"}}'), "status 404: no voice"),
        (_answer("502 Bad Gateway", b"<html>"), "status 502"),
        (_answer("503 Busy", headers=b"retry-after: Mon, 23 Nov 2026 00:00:00 GMT\r\n"), "status 503"),
        (_answer("200 OK"), "the answer breaks off"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "no answer"),
        (b"", "no answer"),
    ],
)
async def test_an_answer_that_is_no_speech_is_a_problem_in_the_servers_words(answer: bytes, problem: str) -> None:
    async with Canned(answer).listening() as port:
        heard = await listen(Address(LOOPBACK, port), SynthesisRequest("text"))
    assert (heard.problem, heard.served, heard.refused) == (problem, False, False)


async def test_where_nobody_listens_there_is_no_answer() -> None:
    async with Canned(b"").listening() as port:
        pass
    assert (await get(Address(LOOPBACK, port), "/livez")).status == 0
    with pytest.raises(ConfigError, match="nobody answers"):
        await HttpTarget.reach(f"127.0.0.1:{port}", None)


@pytest.mark.parametrize(
    ("status", "words"), [("503 Loading", "not ready yet"), ("404 Not Found", "this is no cosystream")]
)
async def test_a_server_that_is_not_ready_or_not_ours_is_not_measured(status: str, words: str) -> None:
    async with Canned(_answer(status)).listening() as port:
        with pytest.raises(ConfigError, match=words):
            await HttpTarget.reach(f"127.0.0.1:{port}", None)
