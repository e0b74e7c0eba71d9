"""A side of the comparison in a process of its own, with a Python of its own: asked, waited for, and ended."""

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, TypeVar

import msgspec

from bench.reference_protocol import About, Arrival, Speech

T = TypeVar("T")

HERE = Path(__file__).parents[1]
LOG_TAIL_BYTES = 2000
END_SECONDS = 10.0


class SideFailed(Exception):
    """The process ended by itself. ``last_words`` is what it wrote in the end."""

    def __init__(self, message: str, last_words: str) -> None:
        super().__init__(message)
        self.last_words = last_words


class SideProcess:
    """A ``Side`` by its protocol; each call waits for the answer, and raises SideFailed where there is none."""

    def __init__(self, process: "subprocess.Popen[str]", log: IO[bytes]) -> None:
        self._process = process
        self._log = log
        self.about = self._answer(About)

    @classmethod
    @contextlib.contextmanager
    def running(cls, command: Sequence[str]) -> Iterator["SideProcess"]:
        """``command`` for as long as the context lasts, from when its models are loaded. Raises SideFailed."""
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                cwd=HERE,
            )
            with process:  # closes its pipes
                try:
                    yield cls(process, log)
                finally:
                    _end(process)

    def speak(self, way: str, speech: Speech, num_streams: int) -> list[list[Arrival]]:
        question = {"way": way, "speech": asdict(speech), "num_streams": num_streams}
        return self._ask(question, list[list[Arrival]])

    def chunk_seconds(self, way: str, speech: Speech, behind: Sequence[int]) -> list[float]:
        return self._ask({"way": way, "speech": asdict(speech), "behind": behind}, list[float])

    def _ask(self, question: dict[str, object], answer: type[T]) -> T:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # what it died of is said below
            print(json.dumps(question), file=self._process.stdin, flush=True)
        return self._answer(answer)

    def _answer(self, answer: type[T]) -> T:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SideFailed(f"it ended with status {self._process.wait()}", self._last_words())
        return msgspec.json.decode(line, type=answer)

    def _last_words(self) -> str:
        end = self._log.seek(0, 2)
        self._log.seek(max(0, end - LOG_TAIL_BYTES))
        return self._log.read().decode(errors="replace").strip()


def _end(process: "subprocess.Popen[str]") -> None:
    """It ends by itself when nothing more is asked; one in the midst of an answer, minutes from its end, is ended."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
