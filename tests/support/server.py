"""``cosystream serve`` as a process on a free port of loopback."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COSYSTREAM = Path(sys.executable).with_name("cosystream")
START_SECONDS = 60


class ServerProcess:
    """A running server; its log is at hand when a test fails."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log
        self.port = self._announced_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def exit_status(self, timeout_seconds: float) -> int:
        return self._process.wait(timeout_seconds)

    def _announced_port(self) -> int:
        """The server's first line says where it listens, once it is ready."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        announced = re.search(r"http://[\d.]+:(\d+)", line)
        assert announced, f"no announcement but {line!r}; the log:\n{self.log()}"
        return int(announced[1])


@contextmanager
def running_server(folder: Path, *flags: str) -> Iterator[ServerProcess]:
    """A server that is ready when the context begins and gone when it ends. Its log goes to ``folder``."""
    log = folder / "server.log"
    command = [str(COSYSTREAM), "serve", "--host", "127.0.0.1", "--port", "0", *flags]
    with (
        log.open("w", encoding="utf-8") as stderr,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=folder) as process,
    ):
        try:
            yield ServerProcess(process, log)
        finally:
            process.kill()
