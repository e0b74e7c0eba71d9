import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from cosystream.cli.heads import LONGEST_HEAD
from tests.support.virtual_time import run_at_once
from tests.support.wired import LONGEST_WAIT_SECONDS, wired

CHUNKED = b"POST /headers HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
HANDSHAKE = (
    b"GET /socket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def headers(request: Request) -> Response:
    """Once the body has come: the length of it, and what came with it."""
    return JSONResponse([len(await request.body()), [name for name, _ in request.headers.items()]])


async def patient(request: Request) -> Response:
    """Takes nothing for a while, and then all; answers after another."""
    await asyncio.sleep(10 * LONGEST_WAIT_SECONDS)
    num_bytes = len(await request.body())
    await asyncio.sleep(10 * LONGEST_WAIT_SECONDS)
    return Response(str(num_bytes))


async def slow(request: Request) -> Response:
    async def pieces() -> AsyncIterator[str]:
        for piece in "abc":
            yield piece
            await asyncio.sleep(2 * LONGEST_WAIT_SECONDS - 0.5)

    return StreamingResponse(pieces())


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect:
        pass


APP = Starlette(
    routes=[
        Route("/headers", headers, methods=["GET", "POST"]),
        Route("/patient", patient, methods=["POST"]),
        Route("/slow", slow),
        WebSocketRoute("/socket", echo),
    ]
)


def now() -> float:
    return asyncio.get_running_loop().time()


# How long it waits


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\r\n",
        b"GET /head",
        CHUNKED[:-2],
        CHUNKED + b"1\r\n{\r\n",
        CHUNKED + b"1\r\n{\r\n0\r\nX: y\r\n",
        b"POST /headers HTTP/1.1\r\nContent-Length: 100\r\n\r\n{",
        HANDSHAKE[:-2],
    ],
)
def test_who_stops_in_the_middle_of_a_request_is_left(said: bytes) -> None:
    async def closed_at() -> float:
        async with wired(APP) as (reader, writer):
            writer.write(said)
            assert await reader.read() == b""
            return now()

    assert run_at_once(closed_at()) == pytest.approx(LONGEST_WAIT_SECONDS)


def test_who_stops_in_the_middle_of_the_next_request_is_left() -> None:
    async def closed_after() -> float:
        async with wired(APP) as (reader, writer):
            writer.write(b"GET /headers HTTP/1.1\r\n\r\n")
            assert b" 200 " in await reader.readuntil(b"]]")
            await asyncio.sleep(1)
            writer.write(b"GET /")
            began = now()
            assert await reader.read() == b""
            return now() - began

    assert run_at_once(closed_after()) == pytest.approx(LONGEST_WAIT_SECONDS)


def test_a_head_that_drips_is_not_waited_for() -> None:
    async def closed_at() -> float:
        async with wired(APP) as (reader, writer):
            for letter in b"GET /":
                writer.write(bytes([letter]))
                await asyncio.sleep(LONGEST_WAIT_SECONDS / 4.5)
            assert await reader.read() == b""
            return now()

    assert run_at_once(closed_at()) == pytest.approx(LONGEST_WAIT_SECONDS, rel=0.2)


def test_a_slow_upload_is_waited_for_as_long_as_it_moves() -> None:
    async def answer() -> bytes:
        async with wired(APP) as (reader, writer):
            writer.write(b"POST /headers HTTP/1.1\r\nContent-Length: 10\r\n\r\n")
            for _ in range(10):
                await asyncio.sleep(0.9 * LONGEST_WAIT_SECONDS)
                writer.write(b"x")
            return await reader.readuntil(b"]]")

    assert run_at_once(answer()).endswith(b'[10,["content-length"]]')


def test_who_waits_for_the_server_is_not_left() -> None:
    async def answer() -> bytes:
        async with wired(APP) as (reader, writer):
            writer.write(b"POST /patient HTTP/1.1\r\nConnection: close\r\nContent-Length: 1000000\r\n\r\n")
            writer.write(1_000_000 * b"x")  # more than it takes before it is asked for
            return await reader.read()

    assert run_at_once(answer()).endswith(b"\r\n\r\n1000000")


SLOWLY = b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"


@pytest.mark.parametrize("more", [b"\r\n", b"\r\n\r\n", b"\r\nGET /hea", b"Content-Length: 5\r\n\r\nx"])
def test_who_listens_is_not_left_whatever_else_he_has_begun_to_say(more: bytes) -> None:
    async def answer() -> bytes:
        async with wired(APP) as (reader, writer):
            writer.write(b"GET /slow HTTP/1.1\r\n" + more)
            return await reader.readuntil(b"0\r\n\r\n")

    assert run_at_once(answer()).endswith(SLOWLY)


def test_who_has_listened_for_long_may_ask_again() -> None:
    async def answer() -> bytes:
        async with wired(APP) as (reader, writer):
            for _ in range(2):
                writer.write(b"GET /slow HTTP/1.1\r\n\r\n")
                said = await reader.readuntil(b"0\r\n\r\n")
                await asyncio.sleep(3)
            return said

    assert run_at_once(answer()).endswith(SLOWLY)


def test_a_web_socket_may_be_silent_for_as_long_as_it_likes() -> None:
    async def answer() -> bytes:
        async with wired(APP) as (reader, writer):
            writer.write(HANDSHAKE)
            assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(10 * LONGEST_WAIT_SECONDS)
            writer.write(b"\x81\x82\0\0\0\0hi")  # a text frame, masked with zeros
            return await reader.readexactly(4)

    assert run_at_once(answer()) == b"\x81\x02hi"


# How much it reads


@pytest.mark.parametrize("in_pieces", [False, True])
def test_a_trailer_is_no_header(in_pieces: bool) -> None:
    async def answers() -> list[bytes]:
        async with wired(APP) as (reader, writer):
            said = []
            for trailers in (b"X-Api-Key: k\r\nExpect: 100-continue\r\n", b""):
                writer.write(CHUNKED + b"1\r\n{\r\n0\r\n")
                if in_pieces:
                    await asyncio.sleep(1)
                writer.write(trailers + b"\r\n")
                said.append((await reader.readuntil(b"]]")).rpartition(b"\r\n")[2])
            return said

    assert run_at_once(answers()) == 2 * [b'[1,["transfer-encoding"]]']


@pytest.mark.parametrize(
    ("said", "endless", "what"),
    [
        (b"GET /", b"a", "head of the request"),
        (b"GET / HTTP/1.1\r\n", b"a: b\r\n", "head of the request"),
        (b"", b"\r\n", "head of the request"),
        (CHUNKED + b"1\r\n{\r\n0\r\n", b"a: b\r\n", "framing of the body"),
        (CHUNKED + b"1\r\n{\r\n0\r\na: ", b"b", "framing of the body"),
        (CHUNKED + b"1\r\n{\r\n1;", b"b", "framing of the body"),
    ],
)
def test_what_is_no_body_and_has_no_end_is_refused(said: bytes, endless: bytes, what: str) -> None:
    async def refusal() -> tuple[bytes, int]:
        async with wired(APP) as (reader, writer):
            writer.write(said)
            answer, num_bytes = asyncio.create_task(reader.read()), 0
            while not answer.done():
                writer.write(1024 // len(endless) * endless)
                num_bytes += 1024
                await asyncio.sleep(0.001)
            return answer.result(), num_bytes

    answer, num_bytes = run_at_once(refusal())
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(f"The {what} is too large.".encode())
    assert LONGEST_HEAD <= num_bytes < 1.2 * LONGEST_HEAD


def test_many_small_pieces_of_a_body_are_no_head() -> None:
    num_pieces = LONGEST_HEAD // 4

    async def answer() -> bytes:
        async with wired(APP) as (reader, writer):
            writer.write(CHUNKED)
            for _ in range(8):
                writer.write(num_pieces // 8 * b"1\r\nx\r\n")
                await asyncio.sleep(0.001)
            writer.write(b"0\r\n\r\n")
            return await reader.readuntil(b"]]")

    assert run_at_once(answer()).endswith(f'[{num_pieces},["transfer-encoding"]]'.encode())


def test_nonsense_in_the_middle_of_an_answer_ends_it_and_is_not_answered_within_it() -> None:
    async def answer() -> bytes:
        async with wired(APP) as (reader, writer):
            writer.write(b"GET /slow HTTP/1.1\r\n\r\n")
            begun = await reader.readuntil(b"a\r\n")
            writer.write(b"no request\r\n\r\n")
            return begun + await reader.read()

    assert run_at_once(answer()).endswith(b"1\r\na\r\n")
