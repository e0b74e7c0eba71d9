"""A server in a process of its own: started, waited for until it is ready, and ended whatever happens."""

import asyncio
import contextlib
import ctypes
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import IO

from cosystream.bench.connection import LOOPBACK, Address, get
from cosystream.bench.histogram import read_metrics

READY_SECONDS = 180.0
"""An engine that runs for the first time may prepare its model."""
POLL_SECONDS = 0.05
STOP_SECONDS = 10.0
LOG_TAIL_BYTES = 2000

_PR_SET_PDEATHSIG = 1


class ServerFailed(Exception):
    """The server ended by itself, or never became ready. ``last_words`` is what it wrote in the end."""

    def __init__(self, message: str, last_words: str) -> None:
        super().__init__(message)
        self.last_words = last_words


class Server:
    """A child process that listens on ``address``."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
        self.address = Address(LOOPBACK, port)
        self.pid = process.pid
        self._process = process
        self._log = log

    @classmethod
    @contextlib.contextmanager
    def running(cls, command: Sequence[str]) -> Iterator["Server"]:
        """``command … --port N`` for as long as the context lasts."""
        libc = ctypes.CDLL(None)
        port = _free_port()
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(
                [*command, "--port", str(port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),  # in case we are killed ourselves
            )
            try:
                yield cls(process, port, log)
            finally:
                _stop(process)

    async def ready(self) -> None:
        """Wait until requests are taken. Raises ServerFailed."""
        deadline = time.monotonic() + READY_SECONDS
        while (await get(self.address, "/readyz")).status != 200:
            if self._process.poll() is not None:
                raise ServerFailed(f"it ended with status {self._process.returncode}", self._last_words())
            if time.monotonic() > deadline:
                raise ServerFailed(f"it was not ready within {READY_SECONDS:g} s", self._last_words())
            await asyncio.sleep(POLL_SECONDS)

    async def metrics(self) -> dict[str, float]:
        """Every sample of ``/metrics``, by its name with labels. Raises ServerFailed."""
        answer = await get(self.address, "/metrics")
        if answer.status != 200:
            raise ServerFailed(f"its /metrics were answered with status {answer.status}", self._last_words())
        return read_metrics(answer.body)

    def _last_words(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-LOG_TAIL_BYTES:].strip()


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        port = taken.getsockname()[1]
    assert isinstance(port, int)
    return port
