import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue

import pytest

from cosystream.runtime.protocol import Finished
from cosystream.runtime.worker import Built, Cancel, Command, Died, News, Pause, Resume, Stepped, Stop, Submit, Worker
from cosystream.types import AudioChunk, JobId
from tests.support.cores import ScriptedCore

FIRST, SECOND = JobId(1), JobId(2)
SECONDS = 20.0
"""For what should happen at once; only a failing test waits so long."""


class Desk:
    """A worker, and the news it delivers."""

    def __init__(self, build: Callable[[], ScriptedCore]) -> None:
        self.worker: Worker[list[str]] = Worker(build, lambda _, news: self._news.put(news))
        self._news: SimpleQueue[News[list[str]]] = SimpleQueue()

    def news(self) -> News[list[str]]:
        return self._news.get(timeout=SECONDS)

    def stepped(self) -> Stepped:
        news = self.news()
        assert isinstance(news, Stepped)
        return news

    def submit(self, job: JobId, text: str) -> None:
        self.worker.send(Submit(job, text.split()))

    def stop(self) -> None:
        self.worker.send(Stop())
        assert self.worker.join(SECONDS)

    def nothing_new(self) -> bool:
        return self._news.empty()


@contextmanager
def at_work(core: ScriptedCore) -> Iterator[Desk]:
    """A worker that has built ``core``; it is stopped in the end."""
    desk = Desk(lambda: core)
    desk.worker.start()
    assert desk.news() == Built(core)
    yield desk
    core.wake.set()
    desk.stop()


def sentences(step: Stepped) -> list[str | None]:
    return [output.sentence for _, output in step.outputs if isinstance(output, AudioChunk)]


def test_each_step_that_brings_something_is_news() -> None:
    with at_work(ScriptedCore(streams_at_once=7)) as desk:
        desk.submit(FIRST, "one rest rest two")
        steps = [desk.stepped() for _ in range(3)]
    assert [sentences(step) for step in steps] == [["one"], ["two"], []]
    assert steps[-1].outputs == [(FIRST, Finished())]
    assert {step.load.streams_at_once for step in steps} == {7}
    assert desk.nothing_new()


def test_the_time_of_steps_that_bring_nothing_counts_with_the_next_one_that_does() -> None:
    with at_work(ScriptedCore()) as desk:
        began = time.monotonic()
        desk.submit(FIRST, "one rest rest rest rest rest two three")
        steps = [desk.stepped() for _ in range(4)]
        seconds = time.monotonic() - began
    assert sum(steps[1].step_seconds) > 0.005  # five rests of a millisecond
    assert sum(sum(step.step_seconds) for step in steps) < seconds  # each counted once


def test_commands_are_obeyed_in_the_order_in_which_they_were_sent() -> None:
    core = ScriptedCore()
    with at_work(core) as desk:
        desk.submit(FIRST, "hold")
        desk.submit(SECOND, "hold")
        desk.worker.send(Pause(FIRST))
        desk.worker.send(Resume(FIRST))
        desk.worker.send(Cancel(SECOND))
    assert core.diary == [
        ("submit", FIRST),
        ("submit", SECOND),
        ("pause", FIRST),
        ("resume", FIRST),
        ("cancel", SECOND),
    ]


def test_a_cancel_is_found_before_the_next_step() -> None:
    core = ScriptedCore()
    with at_work(core) as desk:
        desk.submit(FIRST, "hang one two")
        assert core.hanging.wait(SECONDS)
        desk.worker.send(Cancel(FIRST))
        core.wake.set()
        desk.stepped()  # the one that was under way
    assert core.jobs_that_were("cancel") == [FIRST]
    assert desk.nothing_new()


def test_one_thread_builds_and_uses_and_closes_the_core() -> None:
    cores: list[ScriptedCore] = []

    def build() -> ScriptedCore:
        cores.append(ScriptedCore())
        return cores[0]

    desk = Desk(build)
    desk.worker.start()
    desk.news()
    desk.submit(FIRST, "one")
    desk.stepped()
    desk.stop()
    (thread,) = cores[0].threads
    assert thread is not threading.current_thread()
    assert cores[0].closed.is_set()


def test_stopping_ends_a_thread_that_sleeps_and_one_that_is_in_the_middle_of_a_text() -> None:
    for text in ("hold", "word " * 100_000):
        core = ScriptedCore()
        with at_work(core) as desk:
            desk.submit(FIRST, text)
        assert core.closed.is_set()
        assert FIRST in core.jobs


def test_a_stop_sent_while_the_core_is_being_built_is_obeyed_after_that() -> None:
    core, may_go_on = ScriptedCore(), threading.Event()

    def build() -> ScriptedCore:
        assert may_go_on.wait(SECONDS)
        return core

    desk = Desk(build)
    desk.worker.start()
    desk.worker.send(Stop())
    assert not desk.worker.join(0.0)
    may_go_on.set()
    assert desk.worker.join(SECONDS)
    assert core.closed.is_set()


def test_an_exception_out_of_a_step_ends_the_thread_and_closes_the_core() -> None:
    core = ScriptedCore()
    with at_work(core) as desk:
        desk.submit(FIRST, "one die")
        assert sentences(desk.stepped()) == ["one"]
        died = desk.news()
        assert isinstance(died, Died)
        assert isinstance(died.error, RuntimeError)
        assert desk.worker.join(SECONDS)
        assert core.closed.is_set()
        desk.submit(SECOND, "one")  # which nobody reads any more
    assert desk.nothing_new()


def test_an_exception_out_of_a_command_does_the_same() -> None:
    with at_work(ScriptedCore()) as desk:
        desk.worker.send(Submit(FIRST, None))  # type: ignore[arg-type]
        assert isinstance(desk.news(), Died)


def test_an_exception_out_of_building_is_all_there_is_to_tell() -> None:
    def build() -> ScriptedCore:
        raise OSError("no such checkpoint")

    desk = Desk(build)
    desk.worker.start()
    died = desk.news()
    assert isinstance(died, Died)
    assert str(died.error) == "no such checkpoint"
    assert desk.worker.join(SECONDS)
    assert desk.nothing_new()


class ClosingBadly(ScriptedCore):
    def close(self) -> None:
        raise RuntimeError("the driver has gone")


def test_an_exception_out_of_closing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), at_work(ClosingBadly()):
        pass
    assert "closing the engine failed" in caplog.text
    assert "the driver has gone" in caplog.text


@pytest.mark.parametrize("commands", [[Submit(FIRST, ["hang"])], [Submit(FIRST, ["hold", "cling"]), Cancel(FIRST)]])
def test_others_can_see_for_how_long_a_step_or_a_command_has_been_running(commands: list[Command[list[str]]]) -> None:
    core = ScriptedCore()
    with at_work(core) as desk:
        for command in commands:
            desk.worker.send(command)
        assert core.hanging.wait(SECONDS)
        before = desk.worker.busy_seconds
        assert 0 < before < desk.worker.busy_seconds


def test_a_worker_that_sleeps_is_not_busy() -> None:
    with at_work(ScriptedCore()) as desk:
        desk.submit(FIRST, "one hold")
        desk.stepped()
        while desk.worker.busy_seconds > 0:
            pass  # on its way to sleep
