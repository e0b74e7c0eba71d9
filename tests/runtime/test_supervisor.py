import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from cosystream.errors import ConfigError, Stalled
from cosystream.runtime.admission import Limits
from cosystream.runtime.protocol import EngineCore
from cosystream.runtime.supervisor import LONGEST_BACK_OFF_SECONDS, Supervisor
from cosystream.runtime.worker import Stepped, Submit
from cosystream.types import JobId
from tests.support.cores import Builder, ScriptedCore
from tests.support.listening import happened

FIRST = JobId(1)
SOON = Limits(first_back_off_seconds=0.001)


class RecordingListener:
    """Keeps what it is told, and in ``queue`` the order."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[object] = asyncio.Queue()
        self.lost: list[tuple[Exception, float | None]] = []

    def core_built(self, core: EngineCore[list[str]]) -> None:
        self.queue.put_nowait(core)

    def core_stepped(self, step: Stepped) -> None:
        self.queue.put_nowait(step)

    def core_lost(self, error: Exception, rebuilt_in_seconds: float | None) -> None:
        self.lost.append((error, rebuilt_in_seconds))
        self.queue.put_nowait(error)


class Ward:
    """A supervisor, the core it has in its care, and its listener."""

    def __init__(self, build: Callable[[], ScriptedCore], limits: Limits) -> None:
        self.listener = RecordingListener()
        self.supervisor: Supervisor[list[str]] = Supervisor(build, self.listener, limits)

    async def news(self) -> object:
        return await self.listener.queue.get()

    async def core(self) -> ScriptedCore:
        """The next news, which are those of a core."""
        core = await self.news()
        assert isinstance(core, ScriptedCore)
        return core

    def submit(self, text: str) -> None:
        self.supervisor.send(Submit(FIRST, text.split()))


@asynccontextmanager
async def supervised(build: Callable[[], ScriptedCore], limits: Limits = SOON) -> AsyncIterator[Ward]:
    ward = Ward(build, limits)
    ward.supervisor.start()
    yield ward
    await ward.supervisor.close()


async def test_news_come_in_order_on_the_event_loop() -> None:
    async with supervised(ScriptedCore) as ward:
        await ward.core()
        ward.submit("one two")
        steps = [await ward.news() for _ in range(3)]
    assert [len(step.outputs) for step in steps if isinstance(step, Stepped)] == [1, 1, 1]


async def test_a_core_that_dies_is_followed_by_another() -> None:
    async with supervised(ScriptedCore) as ward:
        first = await ward.core()
        ward.submit("die")
        assert isinstance(await ward.news(), RuntimeError)
        ward.submit("one")  # in between there is nobody to take it
        second = await ward.core()
        ward.submit("two")
        assert isinstance(await ward.news(), Stepped)
        assert ward.supervisor.deaths == 1
        await happened(first.closed)
    assert second.closed.is_set()
    assert second.jobs_that_were("submit") == [FIRST]


async def test_a_build_that_fails_is_tried_again_later_and_later() -> None:
    build = Builder(OSError("busy"), OSError("busy"), OSError("busy"), ScriptedCore)
    async with supervised(build) as ward:
        for _ in range(3):
            assert isinstance(await ward.news(), OSError)
        await ward.core()
    assert [delay for _, delay in ward.listener.lost] == [0.001, 0.002, 0.004]
    assert ward.supervisor.deaths == 3


async def test_after_a_core_that_has_proven_itself_the_next_one_is_tried_soon() -> None:
    async with supervised(ScriptedCore) as ward:
        for _ in range(3):
            await ward.core()
            ward.supervisor.proven()
            ward.submit("die")
            await ward.news()
    assert [delay for _, delay in ward.listener.lost] == [0.001] * 3


async def test_however_often_it_dies_the_next_one_is_tried_within_half_a_minute() -> None:
    async with supervised(ScriptedCore, Limits(first_back_off_seconds=10.0)) as ward:
        await ward.core()
        for _ in range(2_000):
            ward.supervisor.give_up(RuntimeError("again"))
    delays = [delay for _, delay in ward.listener.lost]
    assert delays[:3] == [10.0, 20.0, 30.0]
    assert set(delays[2:]) == {LONGEST_BACK_OFF_SECONDS}


async def test_with_settings_that_cannot_work_no_other_core_is_built() -> None:
    build = Builder(ConfigError("no such folder"))
    async with supervised(build) as ward:
        error = await ward.news()
    assert ward.listener.lost == [(error, None)]
    assert (build.calls, ward.supervisor.deaths) == (1, 0)


async def test_a_worker_that_hangs_is_given_up_and_what_it_says_later_is_not_heard() -> None:
    build = Builder(ScriptedCore)
    async with supervised(build, Limits(stall_seconds=0.01, first_back_off_seconds=0.001)) as ward:
        hung = await ward.core()
        ward.submit("one hang")
        assert isinstance(await ward.news(), Stepped)
        await happened(hung.hanging)
        while not ward.listener.lost:
            ward.supervisor.check()
        error = await ward.news()
        assert isinstance(error, Stalled)
        assert "0.01 s" in str(error)
        assert ward.supervisor.step_seconds == 0
        await ward.core()
        hung.wake.set()
        await happened(hung.closed)  # by itself, once it wakes up
        assert ward.listener.queue.empty()


async def test_a_worker_between_steps_does_not_hang_however_long_it_sleeps() -> None:
    async with supervised(ScriptedCore, Limits(stall_seconds=0.0)) as ward:
        await ward.core()
        ward.submit("one hold")
        await ward.news()
        while ward.supervisor.step_seconds > 0:
            pass  # it is on its way to sleep
        ward.supervisor.check()
    assert not ward.listener.lost


async def test_closing_waits_for_the_thread() -> None:
    async with supervised(ScriptedCore) as ward:
        core = await ward.core()
    assert core.closed.is_set()
    (thread,) = core.threads
    assert not thread.is_alive()


async def test_closing_leaves_a_thread_behind_that_does_not_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with supervised(ScriptedCore, Limits(closing_seconds=0.01)) as ward:
        core = await ward.core()
        ward.submit("hang")
        await happened(core.hanging)
    assert "did not end within 0.01 s" in caplog.text
    assert not core.closed.is_set()
    core.wake.set()
    await happened(core.closed)


async def test_closing_while_the_next_core_is_still_to_be_built_builds_none() -> None:
    build = Builder(ScriptedCore)
    async with supervised(build, Limits(first_back_off_seconds=60.0)) as ward:
        await ward.core()
        ward.submit("die")
        await ward.news()
    restart = ward.supervisor._restart
    assert restart is not None
    assert restart.cancelled()
    assert build.calls == 1


def test_a_thread_that_outlives_the_event_loop_speaks_to_nobody() -> None:
    cores: list[ScriptedCore] = []

    async def leave_it_hanging() -> None:
        async with supervised(ScriptedCore, Limits(closing_seconds=0.0)) as ward:
            cores.append(await ward.core())
            ward.submit("hang")
            await happened(cores[0].hanging)

    asyncio.run(leave_it_hanging())
    cores[0].wake.set()
    assert cores[0].closed.wait(20.0)


async def test_when_there_will_be_a_core_again_is_told_from_how_long_the_last_one_took() -> None:
    def slowly() -> ScriptedCore:
        time.sleep(0.2)
        return ScriptedCore()

    async with supervised(slowly, Limits(first_back_off_seconds=60.0)) as ward:
        assert ward.supervisor.built_in_seconds == 0.0  # nobody can tell yet
        await ward.core()
        assert ward.supervisor.built_in_seconds == 0.0
        ward.submit("die")
        await ward.news()
        ((_, told),) = ward.listener.lost
        assert told is not None
        assert 60.1 < told < 62.0
        assert told - 2.0 < ward.supervisor.built_in_seconds <= told
