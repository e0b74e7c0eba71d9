"""An application served on a thread of its own, on a free port of loopback, with whatever engine a test has written."""

import asyncio
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp


@dataclass(frozen=True)
class Served:
    url: str
    _loop: asyncio.AbstractEventLoop

    def call(self, act: Callable[[], object]) -> None:
        """Do something on the server's loop."""
        self._loop.call_soon_threadsafe(act)


@contextmanager
def serving(app: ASGIApp) -> Iterator[Served]:
    listening = socket.create_server(("127.0.0.1", 0))  # whoever comes early waits
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
    loops: queue.SimpleQueue[asyncio.AbstractEventLoop] = queue.SimpleQueue()

    def run() -> None:
        with asyncio.Runner() as runner:  # which ends what is left over
            loops.put(runner.get_loop())
            runner.run(server.serve(sockets=[listening]))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{listening.getsockname()[1]}", loops.get())
    finally:
        server.should_exit = True
        thread.join()
