"""The unhappy ends of a job: it fails, it stalls, its core dies or hangs, the server goes away."""

import asyncio
import time
from contextlib import AsyncExitStack

import pytest

from cosystream.errors import NotReady, ShuttingDown, Stalled, SynthesisFailed
from cosystream.runtime.admission import Limits
from cosystream.runtime.protocol import EngineState
from cosystream.runtime.stats import JobMeter
from cosystream.runtime.threaded import WARM_UP, ThreadedEngine
from cosystream.types import SynthesisRequest
from tests.support.cores import INFO, Builder, ScriptedCore
from tests.support.listening import broken_off, happened, heard, say

SOON = Limits(first_back_off_seconds=0.01)
WATCHFUL = Limits(stall_seconds=0.3, first_back_off_seconds=0.01)


def request(text: str) -> SynthesisRequest:
    return SynthesisRequest(text)


def pair() -> ScriptedCore:
    return ScriptedCore(streams_at_once=2)


# One job


async def test_a_job_that_fails_ends_alone() -> None:
    async with (
        ThreadedEngine.running(pair) as engine,
        engine.stream(request("one hold")) as other,
        engine.stream(request("one fail")) as failing,
    ):
        sentences, error = await broken_off(failing)
        assert sentences == ["one"]
        assert isinstance(error, SynthesisFailed)
        assert "as it was told to" in str(error)
        assert (await anext(other)).sentence == "one"
        assert (engine.load.running, engine.load.deaths) == (1, 0)


async def test_more_audio_than_the_text_can_be_ends_the_job() -> None:
    core = ScriptedCore()
    async with ThreadedEngine.running(lambda: core) as engine:
        async with engine.stream(request("flood hold")) as stream:
            sentences, error = await broken_off(stream)
            assert len(sentences) == 1  # what there is may be heard
            assert isinstance(error, Stalled)
            assert "60 s of audio is more than the text can be" in str(error)
        assert await say(engine, "one") == ["one"]
    assert core.jobs_that_were("cancel") == [2]


async def test_a_job_without_progress_ends_alone() -> None:
    core = pair()
    async with ThreadedEngine.running(lambda: core, WATCHFUL) as engine:
        async with (
            engine.stream(request("word " * 50 + "hold")) as ahead,
            engine.stream(request("one hold")) as stuck,
            engine.stream(request("two")) as waiting,
        ):
            sentences, error = await broken_off(stuck)
            assert sentences == ["one"]
            assert isinstance(error, Stalled)
            assert "no audio for 0.3 s" in str(error)
            assert await heard(waiting) == ["two"]
            assert ahead.error is None  # though as silent, it is seconds ahead of its listener
            assert [(await anext(ahead)).sentence for _ in range(50)] == ["word"] * 50
        assert engine.load.deaths == 0
    assert core.jobs_that_were("cancel") == [3, 2]


async def test_a_job_that_is_worked_at_has_not_stalled_however_long_it_is_silent() -> None:
    async with (
        ThreadedEngine.running(ScriptedCore, WATCHFUL) as engine,
        engine.stream(request("work " * 600 + "one hold")) as stream,  # at least twice as long as a stall
    ):
        assert (await anext(stream)).sentence == "one"
        sentences, error = await broken_off(stream)
        assert sentences == []
        assert isinstance(error, Stalled)


# The core dies


async def test_when_the_core_dies_its_streams_end_after_what_they_have_and_the_next_request_is_spoken() -> None:
    build = Builder(pair, ScriptedCore)
    async with ThreadedEngine.running(build, SOON) as engine:
        async with (
            engine.stream(request("one two hold")) as first,
            engine.stream(request("one two wait die")) as second,
            engine.stream(request("one")) as waiting,
        ):
            places = aiter(waiting.waiting())
            assert (await anext(places)).position == 1
            build.built[0].wake.set()
            for stream in (first, second):
                sentences, error = await broken_off(stream)
                assert sentences == ["one", "two"]
                assert isinstance(error, SynthesisFailed)
                assert "the engine died" in str(error)
            states = [engine.load.state]
            assert engine.load.deaths == 1
            assert (engine.load.running, engine.load.waiting) == (0, 0)
            with pytest.raises(NotReady) as caught:
                await anext(places)
            assert caught.value.retry_after_seconds == 0.01
        with pytest.raises(NotReady, match="being rebuilt"):
            await say(engine, "three")
        await engine.ready()
        states.append(engine.load.state)
        assert states == [EngineState.DEAD, EngineState.READY]
        assert await say(engine, "four") == ["four"]
    assert all(core.closed.is_set() for core in build.built)


async def test_what_was_spoken_before_the_death_is_heard_to_its_end() -> None:
    async with (
        ThreadedEngine.running(ScriptedCore, SOON) as engine,
        engine.stream(request("one two")) as finished,
        engine.stream(request("die")) as fatal,
    ):
        await broken_off(fatal)
        assert await heard(finished) == ["one", "two"]


async def test_listeners_who_linger_do_not_keep_the_next_core_from_warming_up() -> None:
    build = Builder(ScriptedCore)
    async with ThreadedEngine.running(build, Limits(max_streams=1, max_queue=1, first_back_off_seconds=0.01)) as engine:
        async with engine.stream(request("one wait die")) as lingering, engine.stream(request("two")) as other:
            build.built[0].wake.set()
            await broken_off(other)  # and does not leave
            await engine.ready()
            assert (await broken_off(lingering))[0] == ["one"]
        assert await say(engine, "one") == ["one"]


async def test_a_request_being_prepared_when_the_core_dies_is_told_to_come_back() -> None:
    build = Builder(pair, ScriptedCore)
    async with ThreadedEngine.running(build, SOON) as engine:
        core = build.built[0]
        preparing = asyncio.create_task(say(engine, "ponder one"))
        await happened(core.pondering)
        async with engine.stream(request("die")) as fatal:
            await broken_off(fatal)
        core.pondered.set()
        with pytest.raises(NotReady, match="being rebuilt"):
            await preparing
        await engine.ready()
        assert await say(engine, "two") == ["two"]
    assert core.jobs_that_were("submit") == [1, 3]


async def test_a_core_may_die_again_and_again() -> None:
    build = Builder(ScriptedCore)
    async with ThreadedEngine.running(build, SOON) as engine:
        for deaths in range(1, 6):
            async with engine.stream(request("wait die")), engine.stream(request("one")) as waiting:
                build.built[-1].wake.set()
                with pytest.raises(NotReady) as caught:
                    await heard(waiting)
            assert caught.value.retry_after_seconds == 0.01  # each has spoken, so the next one is worth a try soon
            await engine.ready()
            assert engine.load.deaths == deaths
            assert await say(engine, "one") == ["one"]


# The core hangs


@pytest.mark.parametrize("hanging", ["one hang", "one hold cling"])
async def test_a_core_that_hangs_is_given_up_and_another_speaks(hanging: str) -> None:
    build = Builder(ScriptedCore)
    async with ThreadedEngine.running(build, WATCHFUL) as engine, AsyncExitStack() as streams:
        hung = build.built[0]
        stream = await streams.enter_async_context(engine.stream(request(hanging)))
        waiting = await streams.enter_async_context(engine.stream(request("two")))
        sentences, error = await broken_off(stream)  # after 0.3 s; cancelling it then makes "cling" hang
        assert sentences == ["one"]
        assert isinstance(error, Stalled)
        with pytest.raises((NotReady, Stalled)):
            await heard(waiting)
        await engine.ready()
        assert engine.load.deaths == 1
        assert await say(engine, "three") == ["three"]
        listening = await streams.enter_async_context(engine.stream(request("four hold")))
        assert (await anext(listening)).sentence == "four"
        rtf = engine.load.rtf

        hung.wake.set()
        await happened(hung.closed)
        assert listening.buffered_seconds == 0  # though the hung core spoke for every job there may be
        assert engine.load.rtf == rtf
        assert listening.error is None


async def test_who_waits_behind_a_core_that_hangs_is_told_to_come_back() -> None:
    build = Builder(pair)
    async with ThreadedEngine.running(build, WATCHFUL) as engine:
        async with (
            engine.stream(request("hold")) as silent,
            engine.stream(request("wait")),
            engine.stream(request("one")) as waiting,
        ):
            silent.meter = JobMeter(INFO.sample_rate, now=time.monotonic() - 0.1)
            # It is overdue before the step is; yet it makes room for nobody.
            with pytest.raises(NotReady):
                await heard(waiting)
        build.built[0].wake.set()


# The server goes away


async def test_while_draining_requests_are_refused_and_streams_go_on() -> None:
    core = ScriptedCore()
    async with (
        ThreadedEngine.running(lambda: core) as engine,
        engine.stream(request("one wait two")) as running,
        engine.stream(request("three")) as waiting,
    ):
        engine.drain(0.0)
        engine.drain(60.0)  # the last word counts
        assert engine.load.state is EngineState.DRAINING
        with pytest.raises(ShuttingDown):
            await say(engine, "four")
        core.wake.set()
        assert await heard(running) == ["one", "two"]
        assert await heard(waiting) == ["three"]


async def test_while_draining_a_text_that_is_being_spoken_is_gone_on_with_until_the_deadline() -> None:
    async with ThreadedEngine.running(ScriptedCore) as engine:
        async with engine.stream(request("one")) as first:
            engine.drain(60.0)
            assert await heard(first) == ["one"]
        async with engine.stream(request("two"), goes_on=True) as second:
            assert await heard(second) == ["two"]
        await engine.drained()
        engine._end_all()
        with pytest.raises(ShuttingDown):
            async with engine.stream(request("three"), goes_on=True):
                pass


async def test_it_is_drained_when_nobody_listens_any_more() -> None:
    async with ThreadedEngine.running(ScriptedCore) as engine:
        await engine.drained()
        async with engine.stream(request("one")):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(engine.drained(), 0.01)
        await engine.drained()


async def test_streams_past_the_deadline_end_with_what_they_have_not_heard() -> None:
    core = ScriptedCore()
    async with (
        ThreadedEngine.running(lambda: core) as engine,
        engine.stream(request("one two")) as finished,
        engine.stream(request("one hold")) as running,
        engine.stream(request("one")) as waiting,
    ):
        assert (await anext(running)).sentence == "one"
        assert (await anext(finished)).sentence == "one"
        places = aiter(waiting.waiting())
        assert (await anext(places)).position == 1
        engine.drain(0.0)
        with pytest.raises(ShuttingDown):
            await anext(places)
        for stream in (finished, running, waiting):
            assert isinstance((await broken_off(stream))[1], ShuttingDown)
            assert stream.buffered_seconds == 0
        assert (engine.load.running, engine.load.waiting, engine.load.open) == (0, 0, 3)
    assert core.jobs_that_were("submit") == [1, 2, 3]


async def test_a_request_being_prepared_at_the_deadline_is_not_begun() -> None:
    core = ScriptedCore()
    async with ThreadedEngine.running(lambda: core) as engine:
        preparing = asyncio.create_task(say(engine, "ponder one"))
        await happened(core.pondering)
        async with engine.stream(request("hold")) as running:
            engine.drain(0.0)
            await broken_off(running)
        core.pondered.set()
        with pytest.raises(ShuttingDown):
            await preparing
    assert core.jobs_that_were("submit") == [1, 3]


async def test_a_core_that_dies_while_draining_does_not_take_requests_again() -> None:
    first, second = ScriptedCore(), ScriptedCore(instead={WARM_UP.text: "wait one"})
    async with ThreadedEngine.running(Builder(lambda: first, lambda: second), SOON) as engine:
        async with engine.stream(request("wait die")) as fatal:
            engine.drain(60.0)
            first.wake.set()
            assert isinstance((await broken_off(fatal))[1], SynthesisFailed)
        await happened(second.hanging)
        (warm_up,) = engine._jobs.values()
        second.wake.set()
        await heard(warm_up)
        with pytest.raises(ShuttingDown):
            await say(engine, "one")


async def test_closing_ends_the_streams_that_are_open_and_they_may_be_left_later() -> None:
    core = ScriptedCore()
    async with AsyncExitStack() as streams:
        async with ThreadedEngine.running(lambda: core) as engine:
            running = await streams.enter_async_context(engine.stream(request("one hold")))
            waiting = await streams.enter_async_context(engine.stream(request("one")))
            await anext(running)
        assert core.closed.is_set()
        for stream in (running, waiting):
            assert isinstance((await broken_off(stream))[1], ShuttingDown)
        with pytest.raises(ShuttingDown):
            await say(engine, "two")
    assert engine.load.open == 0


async def test_closing_does_not_wait_for_a_warm_up() -> None:
    core = ScriptedCore(instead={WARM_UP.text: "ponder one"})
    async with ThreadedEngine.running(lambda: core, wait_ready=False) as engine:
        await happened(core.pondering)
        assert engine.load.open == 1
    assert engine.load.open == 0
    assert core.closed.is_set()
    core.pondered.set()


async def test_closing_while_the_core_is_dead_leaves_no_task_behind() -> None:
    core = ScriptedCore()
    async with (
        ThreadedEngine.running(lambda: core, Limits(first_back_off_seconds=60.0)) as engine,
        engine.stream(request("die")) as fatal,
    ):
        await broken_off(fatal)
    assert asyncio.all_tasks() == {asyncio.current_task()}
