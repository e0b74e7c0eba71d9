"""The thread that owns a core: it builds it, steps it and closes it, and nobody else touches what the core holds."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from cosystream.runtime.protocol import CoreLoad, EngineCore, Output
from cosystream.types import JobId

P = TypeVar("P")
logger = logging.getLogger(__name__)

# Commands, in the order in which they are sent.


@dataclass(frozen=True, slots=True)
class Submit(Generic[P]):
    job: JobId
    prepared: P


@dataclass(frozen=True, slots=True)
class Pause:
    job: JobId


@dataclass(frozen=True, slots=True)
class Resume:
    job: JobId


@dataclass(frozen=True, slots=True)
class Cancel:
    job: JobId


@dataclass(frozen=True, slots=True)
class Stop:
    """Close the core and end the thread."""


Command = Submit[P] | Pause | Resume | Cancel | Stop

# What comes back.


@dataclass(frozen=True, slots=True)
class Built(Generic[P]):
    core: EngineCore[P]
    """For ``info`` and ``prepare``, which any thread may call."""


@dataclass(frozen=True, slots=True)
class Stepped:
    outputs: Sequence[tuple[JobId, Output]]
    step_seconds: tuple[float, ...]
    """Of this step, and of those before it that brought nothing."""
    load: CoreLoad


@dataclass(frozen=True, slots=True)
class Died:
    error: Exception


News = Built[P] | Stepped | Died


class Worker(Generic[P]):
    """One thread, one core, one inbox.

    ``deliver`` is called on the thread: once when the core is built, once per step that brought something about, and
    once if the core dies, which ends the thread.
    """

    def __init__(
        self,
        build: Callable[[], EngineCore[P]],
        deliver: Callable[["Worker[P]", News[P]], None],
    ) -> None:
        self._build = build
        self._deliver = deliver
        self._inbox: SimpleQueue[Command[P]] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="cosystream-worker", daemon=True)
        self._busy_since: float | None = None

    def start(self) -> None:
        self._thread.start()

    def send(self, command: Command[P]) -> None:
        """Queue a command; a thread that has ended ignores it."""
        self._inbox.put(command)

    def join(self, timeout_seconds: float) -> bool:
        """Wait for the thread to end; whether it did."""
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    @property
    def busy_seconds(self) -> float:
        """For how long the step or command in progress has been running; 0 between them. For any thread to read."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def _run(self) -> None:
        try:
            core = self._build()
        except Exception as error:  # noqa: BLE001 - the top of the thread
            self._deliver(self, Died(error))
            return
        try:
            self._deliver(self, Built(core))
            self._serve(core)
        except Exception as error:  # noqa: BLE001 - the top of the thread
            self._deliver(self, Died(error))
        finally:
            try:
                core.close()
            except Exception:
                logger.exception("closing the engine failed")

    def _serve(self, core: EngineCore[P]) -> None:
        step_seconds: list[float] = []
        while self._obey(core):
            began = self._busy_since = time.monotonic()
            outputs = core.step()
            step_seconds.append(time.monotonic() - began)
            if outputs:
                self._deliver(self, Stepped(outputs, tuple(step_seconds), core.load))
                step_seconds.clear()

    def _obey(self, core: EngineCore[P]) -> bool:
        """Carry out what the inbox holds, waiting for work if there is none; False once told to stop."""
        while True:
            self._busy_since = None
            try:
                command = self._inbox.get(block=not core.has_work)
            except Empty:
                return True
            self._busy_since = time.monotonic()
            match command:
                case Submit(job, prepared):
                    core.submit(job, prepared)
                case Cancel(job):
                    core.cancel(job)
                case Pause(job):
                    core.pause(job)
                case Resume(job):
                    core.resume(job)
                case Stop():
                    return False
