"""``cosystream serve``: the engine, the application and uvicorn, put together and taken down in order."""

import asyncio
import logging
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from sse_starlette.sse import AppStatus
from starlette.types import ASGIApp

from cosystream.cli.heads import LimitedHttp
from cosystream.cli.hosting import SWITCH_INTERVAL_SECONDS, limits_of
from cosystream.cli.listening import listening, spelled
from cosystream.config import Settings
from cosystream.engines.registry import CoreBuilder, core_builder
from cosystream.errors import ConfigError
from cosystream.runtime.threaded import ThreadedEngine
from cosystream.web.app import create_app

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - a server
"""Hosts to listen on that are none to call."""

FAREWELL_SECONDS = 1.0
"""Of the time to drain, what is kept for error events to leave and for the engine to close."""

LAST_WORDS_SECONDS = 0.5
"""After the last job, for what is still on its way, which some WebSocket clients forget when they are closed, and for
the next job of a text that is being spoken."""


def serve(settings: Settings, choose: Callable[[Settings], CoreBuilder] = core_builder) -> int:
    """Serve until SIGTERM or SIGINT; the exit status. Raises ConfigError where ``settings`` name no engine, or no port
    that is free."""
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    # Else sse-starlette cuts every stream within half a second of SIGTERM.
    AppStatus.disable_automatic_graceful_drain()  # type: ignore[no-untyped-call]
    with listening(settings.host, settings.port, settings.reader_timeout_ms / 1000) as sockets:
        build = choose(settings)
        with asyncio.Runner(loop_factory=uvicorn.Config("", log_config=None).get_loop_factory()) as runner:
            return runner.run(_serve(settings, build, sockets))


async def _serve(settings: Settings, build: CoreBuilder, sockets: list[socket.socket]) -> int:
    limits = replace(limits_of(settings), closing_seconds=FAREWELL_SECONDS / 2)
    running = ThreadedEngine.running(build, limits, default_speaker=settings.default_speaker or None, wait_ready=False)
    async with running as engine:
        server = _Server(create_app(engine, settings), settings, engine)
        announcement = asyncio.create_task(_announce(engine, server, settings))
        await server.serve(sockets)
        if not announcement.done():
            announcement.cancel()
            return 0
        return announcement.result()


async def _announce(engine: ThreadedEngine[Any], server: "_Server", settings: Settings) -> int:
    """Say how to listen once that is possible; stop the server if it never will be. The exit status."""
    try:
        await engine.ready()
    except ConfigError as error:
        print(f"cosystream: {error}", file=sys.stderr)
        server.should_exit = True
        return 2
    await server.listening.wait()  # a small engine may be ready first
    print(_announcement(settings, server.port, engine.info.name), flush=True)
    return 0


def _announcement(settings: Settings, port: int, engine_name: str) -> str:
    """Where the server listens, and a command that makes it speak."""
    address = spelled("localhost" if settings.host in EVERYWHERE else settings.host)
    key = '-H "X-Api-Key: $KEY" ' if settings.api_keys else ""
    given = ", KEY being one of its keys" if settings.api_keys else ""
    return (
        f"cosystream speaks on http://{spelled(settings.host)}:{port} ({engine_name}). To hear it{given}:\n"
        f"""  curl -X POST {address}:{port}/synthesize/stream {key}-H 'content-type: application/json' \\
    -d '{{"text":"你好，很高兴认识你。","format":"wav"}}' -o hello.wav"""
    )


class _Server(uvicorn.Server):
    """uvicorn, told to let its listeners finish: the engine takes no more requests and sets them a deadline."""

    def __init__(self, app: ASGIApp, settings: Settings, engine: ThreadedEngine[Any]) -> None:
        drain_seconds = settings.drain_ms / 1000
        self._deadline_seconds = max(0.0, drain_seconds - FAREWELL_SECONDS)
        self._engine = engine
        self.listening = asyncio.Event()
        self._forced = asyncio.Event()
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                http=partial(LimitedHttp, longest_wait_seconds=settings.reader_timeout_ms / 1000),  # type: ignore[arg-type]
                ws_max_size=settings.max_body_bytes,
                ws_ping_timeout=None,  # a ping waits behind audio that is still to be played
                ws_per_message_deflate=False,  # samples hardly shrink, and what compresses them holds the event loop
            )
        )

    @property
    def port(self) -> int:
        """The port it listens on, which is not the one in the settings if that is 0."""
        port = self.servers[0].sockets[0].getsockname()[1]
        assert isinstance(port, int)
        return port

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, let listeners finish, and close.

        The last is what uvicorn begins with where it has WebSockets; it must not before all is said on them.
        """
        for server in self.servers:
            server.close()
        began, had_listeners = time.monotonic(), self._engine.load.open > 0
        if had_listeners:
            endings = [asyncio.create_task(self._silence()), asyncio.create_task(self._forced.wait())]
            await asyncio.wait(endings, timeout=self._deadline_seconds, return_when=asyncio.FIRST_COMPLETED)
            for ending in endings:
                ending.cancel()
        left = self._deadline_seconds + FAREWELL_SECONDS / 2 - (time.monotonic() - began)
        # Behind the engine's deadline: whole seconds, as it is declared, would cut off who is being told.
        self.config.timeout_graceful_shutdown = max(left, 0.1)  # type: ignore[assignment]
        await super().shutdown(sockets)

    async def _silence(self) -> None:
        """Wait until nobody has listened for a moment."""
        while self._engine.load.open:
            await self._engine.drained()
            await asyncio.sleep(LAST_WORDS_SECONDS)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM or SIGINT; a second one does not wait for anybody."""
        if self.should_exit:
            self.force_exit = True
            self._forced.set()
        self.should_exit = True
        asyncio.get_running_loop().call_soon_threadsafe(self._engine.drain, self._deadline_seconds)
