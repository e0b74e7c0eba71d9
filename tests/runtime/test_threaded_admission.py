"""Who is begun, who waits, who is refused; and the slow reader, who holds up nobody."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from cosystream.errors import Overloaded, Stalled
from cosystream.runtime.admission import Limits
from cosystream.runtime.protocol import CoreLoad
from cosystream.runtime.threaded import ThreadedEngine
from cosystream.runtime.worker import Stepped
from cosystream.types import JobId, SynthesisRequest
from tests.support.cores import INFO, ScriptedCore, audio
from tests.support.listening import happened, heard, say

NOBODY = JobId(0)


def request(text: str) -> SynthesisRequest:
    return SynthesisRequest(text)


def seem_to_need(engine: ThreadedEngine[list[str]], rtf: float) -> None:
    """As if the worker had just spoken for an hour and needed ``rtf`` hours for it."""
    engine.core_stepped(Stepped([(NOBODY, audio(3_600.0))], step_seconds=(3_600.0 * rtf,), load=CoreLoad()))


async def refusal(engine: ThreadedEngine[list[str]], text: str = "one") -> Overloaded:
    with pytest.raises(Overloaded) as caught:
        await say(engine, text)
    return caught.value


# The queue


async def test_jobs_are_begun_in_order_of_arrival() -> None:
    core = ScriptedCore()
    async with ThreadedEngine.running(lambda: core) as engine, AsyncExitStack() as others:
        async with engine.stream(request("hold")):
            streams = [await others.enter_async_context(engine.stream(request(text))) for text in ("a", "b", "c")]
        for stream, sentence in reversed([*zip(streams, "abc", strict=True)]):  # whoever reads first
            assert await heard(stream) == [sentence]
    assert core.jobs_that_were("submit") == [1, 2, 3, 4, 5]


async def test_as_many_are_begun_as_the_core_can_keep_ahead_of_real_time() -> None:
    async with ThreadedEngine.running(lambda: ScriptedCore(streams_at_once=2)) as engine, AsyncExitStack() as streams:
        for _ in range(5):
            await streams.enter_async_context(engine.stream(request("hold")))
        assert (engine.load.running, engine.load.waiting) == (2, 3)


async def test_no_more_are_begun_than_streams_may_be_open() -> None:
    limits = Limits(max_streams=1)
    async with ThreadedEngine.running(lambda: ScriptedCore(streams_at_once=9), limits) as engine:
        assert engine.load.streams_at_once == 1
        async with AsyncExitStack() as first:
            await heard(await first.enter_async_context(engine.stream(request("one"))))  # and does not leave
            async with engine.stream(request("two")) as second:
                assert (engine.load.running, engine.load.waiting) == (0, 1)
                await first.aclose()
                assert await heard(second) == ["two"]


async def test_who_waits_is_told_his_place_whenever_it_changes() -> None:
    async with (
        ThreadedEngine.running(ScriptedCore) as engine,
        AsyncExitStack() as front,
        AsyncExitStack() as middle,
    ):
        await front.enter_async_context(engine.stream(request("hold")))
        await middle.enter_async_context(engine.stream(request("hold")))
        async with engine.stream(request("one")) as stream:
            places = aiter(stream.waiting())
            place = await anext(places)
            assert place.position == 2
            assert place.eta_seconds > 0
            await front.aclose()
            assert (await anext(places)).position == 1
            await middle.aclose()
            with pytest.raises(StopAsyncIteration):
                await anext(places)
            assert await heard(stream) == ["one"]


async def test_who_took_longer_to_prepare_keeps_his_place() -> None:
    core, entered = ScriptedCore(), asyncio.Event()

    async def speak_slowly(engine: ThreadedEngine[list[str]]) -> list[str | None]:
        async with engine.stream(request("ponder slow")) as stream:
            entered.set()
            return await heard(stream)

    async with ThreadedEngine.running(lambda: core) as engine, AsyncExitStack() as front:
        await front.enter_async_context(engine.stream(request("hold")))
        slow = asyncio.create_task(speak_slowly(engine))
        await happened(core.pondering)
        async with engine.stream(request("quick")) as quick:
            assert (await anext(aiter(quick.waiting()))).position == 2
            core.pondered.set()
            await entered.wait()
            await front.aclose()
            assert await heard(quick) == ["quick"]
        assert await slow == ["slow"]
    assert core.jobs_that_were("submit") == [1, 2, 3, 4]


# Refusals


async def test_one_more_than_may_wait_is_refused() -> None:
    async with ThreadedEngine.running(ScriptedCore, Limits(max_queue=2)) as engine:
        async with AsyncExitStack() as streams:
            for _ in range(3):
                await streams.enter_async_context(engine.stream(request("hold")))
            assert "the queue is full, with 2 waiting" in str(await refusal(engine))
            assert engine.load.open == 3
        assert await say(engine, "one") == ["one"]


async def test_without_a_queue_one_is_begun_at_once_or_refused() -> None:
    async with ThreadedEngine.running(ScriptedCore, Limits(max_queue=0)) as engine:
        async with engine.stream(request("hold")):
            await refusal(engine)
        assert await say(engine, "one") == ["one"]


async def test_those_being_prepared_take_their_places_in_the_queue() -> None:
    core = ScriptedCore()
    async with ThreadedEngine.running(lambda: core, Limits(max_queue=1)) as engine:
        async with engine.stream(request("hold")):
            preparing = asyncio.create_task(say(engine, "ponder one"))
            await happened(core.pondering)
            assert engine.load.waiting == 1
            assert "queue is full" in str(await refusal(engine))
            core.pondered.set()
        assert await preparing == ["one"]


async def test_the_queue_is_as_full_when_the_job_in_front_takes_longer_than_expected() -> None:
    async with (
        ThreadedEngine.running(ScriptedCore, Limits(max_queue=0)) as engine,
        engine.stream(request("a a a a a a a a hold")) as front,
    ):
        for _ in range(8):
            await anext(front)  # by now it has said more than so short a text was thought to be
        assert (await refusal(engine)).retry_after_seconds == 1.0


async def test_when_to_come_back_follows_from_the_measured_speed() -> None:
    text = "hold " + "word " * 10_000
    async with (
        ThreadedEngine.running(ScriptedCore, Limits(max_queue=0)) as engine,
        engine.stream(request(text)),
    ):
        retries = []
        for rtf in (0.5, 1.0, 4.0):
            seem_to_need(engine, rtf)
            retries.append((await refusal(engine)).retry_after_seconds)
    assert retries[0] > 1
    assert retries == pytest.approx([retries[0], 2 * retries[0], 8 * retries[0]], rel=1e-3)


async def test_who_would_wait_too_long_is_refused_until_he_would_not() -> None:
    text = "hold " + "word " * 10_000
    async with (
        ThreadedEngine.running(ScriptedCore, Limits(max_wait_seconds=60.0)) as engine,
        engine.stream(request(text)),
    ):
        seem_to_need(engine, 0.001)
        async with engine.stream(request("one")) as waiting:
            eta_seconds = (await anext(aiter(waiting.waiting()))).eta_seconds
        seem_to_need(engine, 100 / eta_seconds * 0.001)  # so that it is a hundred seconds
        refused = await refusal(engine, text)
        async with engine.stream(request("one")) as short:  # which may slip in before
            assert (await anext(aiter(short.waiting()))).position == 1
    assert "would wait for 100 s" in str(refused)
    assert refused.retry_after_seconds == pytest.approx(40, rel=0.01)


async def test_a_short_text_slips_in_where_those_who_speak_have_a_long_lead_and_a_long_one_waits() -> None:
    text = "flood hold " + "word " * 10_000
    patient = Limits(max_wait_seconds=3_600.0)
    async with ThreadedEngine.running(ScriptedCore, patient) as engine, engine.stream(request(text)) as speaking:
        assert (await anext(speaking)).num_samples == 60 * INFO.sample_rate
        seem_to_need(engine, 0.5)
        async with engine.stream(request("hold")), engine.stream(request("one")):
            assert (engine.load.running, engine.load.waiting) == (2, 1)  # the one that slipped in has no lead itself
        async with engine.stream(request("one")) as short:
            assert await heard(short) == ["one"]
        async with engine.stream(request(text)):
            assert (engine.load.running, engine.load.waiting) == (1, 1)


async def test_no_more_streams_are_opened_than_may_be_open_and_waiting_however_little_there_is_to_compute() -> None:
    async with (
        ThreadedEngine.running(ScriptedCore, Limits(max_streams=2, max_queue=1)) as engine,
        AsyncExitStack() as streams,
    ):
        for _ in range(2):
            await heard(await streams.enter_async_context(engine.stream(request("one"))))  # and does not leave
        await streams.enter_async_context(engine.stream(request("one")))
        assert "3 streams are open already" in str(await refusal(engine))


# The slow reader

SLOW = Limits(buffer_seconds=1.0)
PAUSING = "word " * 11 + "break " + "word " * 9
"""Passes the bound of SLOW with its eleventh word, and does not go on before it is resumed."""


async def test_a_slow_reader_is_paused_and_others_take_his_place() -> None:
    core = ScriptedCore()
    async with ThreadedEngine.running(lambda: core, SLOW) as engine, engine.stream(request(PAUSING)) as slow:
        assert await say(engine, "one two") == ["one", "two"]
        assert (engine.load.running, engine.load.open) == (0, 1)
        assert slow.buffered_seconds == pytest.approx(1.1)
        assert len(await heard(slow)) == 20
    assert (core.jobs_that_were("pause"), core.jobs_that_were("resume")) == ([2], [2])


async def test_he_is_resumed_when_he_has_read_half_of_the_buffer() -> None:
    async with ThreadedEngine.running(ScriptedCore, SLOW) as engine, engine.stream(request(PAUSING)) as slow:
        await say(engine, "one")
        for _ in range(5):
            await anext(slow)
        assert slow.paused
        await anext(slow)
        assert not slow.paused
        assert len(await heard(slow)) == 14


async def test_what_comes_after_the_pause_was_sent_is_kept_and_pauses_only_once() -> None:
    core = ScriptedCore()
    async with ThreadedEngine.running(lambda: core, SLOW) as engine, engine.stream(request("hold")) as slow:
        late = [(slow.id, audio(0.6, str(number))) for number in range(4)]
        engine.core_stepped(Stepped(late, step_seconds=(0.1,), load=CoreLoad()))
        assert slow.paused
        assert [(await anext(slow)).sentence for _ in range(4)] == ["0", "1", "2", "3"]
    assert (core.jobs_that_were("pause"), core.jobs_that_were("resume")) == ([2], [2])


async def test_a_slow_reader_may_leave_while_he_is_paused() -> None:
    core = ScriptedCore()
    async with ThreadedEngine.running(lambda: core, SLOW) as engine:
        async with engine.stream(request(PAUSING)):
            await say(engine, "one")
        assert engine.load.open == 0
    assert core.jobs == {}


async def test_nobody_waits_for_what_is_left_to_compute_for_a_slow_reader() -> None:
    async with (
        ThreadedEngine.running(ScriptedCore, SLOW) as engine,
        engine.stream(request(PAUSING + "word " * 1_000)),
        engine.stream(request("hold")) as running,
        engine.stream(request("one")) as waiting,
    ):
        places = aiter(waiting.waiting())
        while (await anext(places)).position > 1:
            pass  # until the slow one is paused, and the next is begun
        assert running.begun
        seem_to_need(engine, 1.0)
        async with engine.stream(request("two")) as last:
            assert (await anext(aiter(last.waiting()))).eta_seconds < 1  # and not 40


async def test_the_time_for_which_he_was_paused_is_not_held_against_the_engine() -> None:
    async with (
        ThreadedEngine.running(ScriptedCore, Limits(buffer_seconds=0.1, stall_seconds=0.3)) as engine,
        engine.stream(request("one two break three")) as slow,
        engine.stream(request("a b c hold")) as other,
    ):
        with pytest.raises(Stalled):
            await heard(other)  # ended 0.6 s after its beginning; the paused one would have been after 0.5 s
        assert await heard(slow) == ["one", "two", "three"]
        assert slow.report.underruns == 0


async def test_who_goes_on_is_not_refused_where_a_newcomer_is() -> None:
    limits = Limits(max_streams=1, max_queue=0)
    async with ThreadedEngine.running(ScriptedCore, limits) as engine, AsyncExitStack() as first:
        await heard(await first.enter_async_context(engine.stream(request("one"))))
        assert (await refusal(engine)).retry_after_seconds >= 1.0
        async with engine.stream(request("two"), goes_on=True) as second:
            assert engine.load.waiting == 1
            await first.aclose()
            assert await heard(second) == ["two"]
