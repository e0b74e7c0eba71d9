from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.support.virtual_time import run_at_once
from tests.support.wired import wired


async def stream(request: Request) -> Response:
    async def pieces() -> AsyncIterator[str]:
        yield "abc"
        yield ""
        yield "de"

    return StreamingResponse(pieces())


async def whole(request: Request) -> Response:
    return Response("abcde")


async def nothing(request: Request) -> Response:
    return Response(status_code=204)


APP = Starlette(routes=[Route("/stream", stream), Route("/whole", whole), Route("/nothing", nothing)])


def answer(request: str) -> tuple[str, str]:
    """Head and body, up to the end of the connection."""

    async def asked() -> bytes:
        async with wired(APP) as (reader, writer):
            writer.write(request.encode())
            return await reader.read()

    head, _, body = run_at_once(asked()).decode().partition("\r\n\r\n")
    return head, body


def test_a_stream_for_http_1_0_has_no_chunks_and_ends_with_the_connection() -> None:
    head, body = answer("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert body == "abcde"
    assert "transfer-encoding" not in head
    assert "connection: close" in head


def test_a_stream_for_http_1_1_has_chunks() -> None:
    head, body = answer("GET /stream HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert body == "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    assert "transfer-encoding: chunked" in head


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_what_has_a_length_says_it(version: str) -> None:
    head, body = answer(f"GET /whole HTTP/{version}\r\nConnection: close\r\n\r\n")
    assert body == "abcde"
    assert "content-length: 5" in head


@pytest.mark.parametrize("request_line", ["HEAD /stream", "HEAD /whole", "GET /nothing"])
def test_what_has_no_body_has_none_for_http_1_0(request_line: str) -> None:
    head, body = answer(f"{request_line} HTTP/1.0\r\n\r\n")
    assert head.startswith("HTTP/1.1 20")
    assert (body, "transfer-encoding" in head) == ("", False)
