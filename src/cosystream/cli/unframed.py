"""Answers to HTTP/1.0, which knows no chunks: a body without a length ends with the connection (RFC 9112, 6.1)."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


def unframed(cycle: RequestResponseCycle, app: ASGIApp) -> ASGIApp:
    """``app``, which answers in ``cycle``; uvicorn closes the connection after it by itself."""
    if cycle.scope["http_version"] >= "1.1":
        return app

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        has_length = False

        async def send_unframed(message: Message) -> None:
            nonlocal has_length
            if message["type"] == "http.response.start":
                has_length = any(name.lower() == b"content-length" for name, _ in message.get("headers", ()))
                cycle.chunked_encoding = None if has_length else False
            elif not has_length:
                cycle.expected_content_length = len(message.get("body", b""))  # so that every piece is the last
            await send(message)

        await app(scope, receive, send_unframed)

    return answer
