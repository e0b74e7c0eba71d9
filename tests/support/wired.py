"""HTTP byte by byte, as the server reads it: an application behind uvicorn, at the other end of a pair of sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from cosystream.cli.heads import LimitedHttp

LONGEST_WAIT_SECONDS = 30.0
"""How long the server waits for the rest of a request."""


@asynccontextmanager
async def wired(app: ASGIApp) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """What ``app`` sends, and what is sent to it."""
    config = uvicorn.Config(app, log_config=None, ws_ping_interval=None)
    config.load()
    server, client = socket.socketpair()

    def protocol() -> LimitedHttp:
        return LimitedHttp(config, ServerState(), {}, longest_wait_seconds=LONGEST_WAIT_SECONDS)

    transport, _ = await asyncio.get_running_loop().connect_accepted_socket(protocol, server)
    reader, writer = await asyncio.open_connection(sock=client)
    try:
        yield reader, writer
    finally:
        writer.close()
        transport.close()
