"""Keeps a worker alive: notices that it died or hangs, and builds another after a while."""

import asyncio
import logging
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import anyio
import anyio.to_thread

from cosystream.errors import ConfigError, Stalled
from cosystream.runtime.admission import Limits
from cosystream.runtime.protocol import EngineCore
from cosystream.runtime.worker import Built, Command, Died, News, Stepped, Stop, Worker

P = TypeVar("P")
logger = logging.getLogger(__name__)

LONGEST_BACK_OFF_SECONDS = 30.0


class Listener(Protocol[P]):
    """Who is told, on the event loop, what becomes of the worker."""

    def core_built(self, core: EngineCore[P]) -> None: ...

    def core_stepped(self, step: Stepped) -> None: ...

    def core_lost(self, error: Exception, rebuilt_in_seconds: float | None) -> None:
        """Everything submitted is lost. None: no other core will be built, since this one's settings are wrong."""
        ...


class Supervisor(Generic[P]):
    """One worker at a time, and its successors."""

    def __init__(self, build: Callable[[], EngineCore[P]], listener: Listener[P], limits: Limits) -> None:
        self._build = build
        self._listener = listener
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._worker: Worker[P] | None = None
        self._restart: asyncio.TimerHandle | None = None
        self._building_since: float | None = None
        self._build_seconds = 0.0
        self._back_off_seconds = limits.first_back_off_seconds
        self.deaths = 0

    def start(self) -> None:
        self._restart, self._building_since = None, self._loop.time()
        self._worker = Worker(self._build, self._deliver)
        self._worker.start()

    def send(self, command: Command[P]) -> None:
        """Pass a command on; without a worker there is nothing left to command."""
        if self._worker is not None:
            self._worker.send(command)

    @property
    def step_seconds(self) -> float:
        """For how long the present step has been running; 0 between steps."""
        return 0.0 if self._worker is None else self._worker.busy_seconds

    @property
    def built_in_seconds(self) -> float:
        """Until there is a core again, if it takes as long to build as the last one; 0 where there is one."""
        begins = self._building_since if self._restart is None else self._restart.when()
        return 0.0 if begins is None else max(0.0, begins + self._build_seconds - self._loop.time())

    def proven(self) -> None:
        """The core has done its work once: should it die, try the next one soon."""
        self._back_off_seconds = self._limits.first_back_off_seconds

    def check(self) -> None:
        """Give the worker up if its step does not return.

        A thread cannot be ended from outside: it is left behind, and stops by itself should it ever wake up.
        """
        longest = self._limits.stall_seconds
        if self.step_seconds > longest:
            self.give_up(Stalled(f"a step of the engine did not return for {longest:g} s (stall_timeout_ms)"))

    def give_up(self, error: Exception) -> None:
        """The core is of no more use."""
        self._dismiss()
        if isinstance(error, ConfigError):
            self._listener.core_lost(error, None)
            return
        self.deaths += 1
        back_off_seconds = self._back_off_seconds
        self._back_off_seconds = min(LONGEST_BACK_OFF_SECONDS, 2 * back_off_seconds)
        logger.error("the engine died; it is rebuilt in %.1f s", back_off_seconds, exc_info=error)
        self._restart = self._loop.call_later(back_off_seconds, self.start)
        self._listener.core_lost(error, back_off_seconds + self._build_seconds)

    async def close(self) -> None:
        """Stop the worker and wait for it, for a while."""
        if self._restart is not None:
            self._restart.cancel()
        worker = self._dismiss()
        if worker is None:
            return
        with anyio.CancelScope(shield=True):
            longest = self._limits.closing_seconds
            if not await anyio.to_thread.run_sync(worker.join, longest):
                logger.info("the engine's thread did not end within %g s and is left behind", longest)

    def _dismiss(self) -> Worker[P] | None:
        self.send(Stop())
        worker, self._worker = self._worker, None
        return worker

    def _deliver(self, worker: Worker[P], news: News[P]) -> None:
        """Called on the worker's thread."""
        try:
            self._loop.call_soon_threadsafe(self._receive, worker, news)
        except RuntimeError:
            logger.debug("the event loop is gone; the worker's news are dropped")

    def _receive(self, worker: Worker[P], news: News[P]) -> None:
        if worker is not self._worker:
            return  # one that was given up
        match news:
            case Built(core):
                if self._building_since is not None:
                    self._build_seconds = round(self._loop.time() - self._building_since, 1)  # as well as it is known
                    self._building_since = None
                self._listener.core_built(core)
            case Stepped():
                self._listener.core_stepped(news)
            case Died(error):
                self.give_up(error)
