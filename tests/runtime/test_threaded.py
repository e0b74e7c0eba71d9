"""A job's usual life: opened, resolved, spoken, left. Its queue and its unhappy ends have files of their own."""

import asyncio
import math
import random
import threading
from contextlib import suppress
from dataclasses import replace

import pytest

from cosystream.errors import ConfigError, InvalidRequest, NotReady, Stalled, SynthesisFailed, UnknownVoice
from cosystream.runtime.admission import Limits
from cosystream.runtime.protocol import CoreLoad, EngineState, Finished
from cosystream.runtime.threaded import WARM_UP, ThreadedEngine
from cosystream.runtime.worker import Stepped
from cosystream.types import JobId, Prompt, SynthesisRequest
from tests.support.cores import INFO, Builder, ScriptedCore
from tests.support.listening import happened, heard, say

FIRST = JobId(2)
"""The first job of a listener: 1 is the warm-up."""


def request(text: str) -> SynthesisRequest:
    return SynthesisRequest(text)


# Speaking


async def test_a_text_is_heard_as_it_was_spoken() -> None:
    core = ScriptedCore()
    async with ThreadedEngine.running(lambda: core) as engine, engine.stream(request("one two three")) as stream:
        assert await heard(stream) == ["one", "two", "three"]
        report = stream.report
    assert (report.chunks, report.samples) == (3, 300)
    assert report.first_audio_seconds is not None
    assert report.queue_seconds <= report.first_audio_seconds
    assert core.jobs_that_were("cancel") == []


async def test_several_are_spoken_at_once_and_none_hears_another() -> None:
    async with ThreadedEngine.running(lambda: ScriptedCore(streams_at_once=4)) as engine:
        texts = [f"{name}1 {name}2 {name}3" for name in "abcdefgh"]
        assert await asyncio.gather(*(say(engine, text) for text in texts)) == [text.split() for text in texts]


async def test_the_hundredth_job_is_as_the_first() -> None:
    core = ScriptedCore()
    async with ThreadedEngine.running(lambda: core) as engine:
        seen = set()
        for _ in range(100):
            async with engine.stream(request("one two")) as stream:
                sentences, report = await heard(stream), stream.report
            seen.add((*sentences, report.chunks, report.samples, engine.load.open, engine.load.streams_at_once))
            assert core.jobs == {}
        assert seen == {("one", "two", 2, 200, 0, 1)}


async def test_the_load_counts_who_is_spoken_to_and_who_waits_and_who_listens() -> None:
    async with ThreadedEngine.running(ScriptedCore) as engine:
        async with (
            engine.stream(request("one")) as spoken,
            engine.stream(request("hold")),
            engine.stream(request("two")),
        ):
            await heard(spoken)
            load = engine.load
            assert (load.running, load.waiting, load.open, load.streams_at_once) == (1, 1, 3, 1)
            assert (load.state, load.deaths) == (EngineState.READY, 0)
        load = engine.load
        assert (load.running, load.waiting, load.open) == (0, 0, 0)


# Leaving


async def test_leaving_the_stream_cancels_the_job() -> None:
    core = ScriptedCore()
    async with ThreadedEngine.running(lambda: core) as engine:
        async with engine.stream(request("word " * 100_000)) as stream:
            await anext(aiter(stream))
        assert engine.load.open == 0
    assert core.jobs_that_were("cancel") == [FIRST]  # the inbox is in order: what was sent before the stop has happened
    assert core.jobs == {}


async def test_a_cancel_does_not_pass_its_submit() -> None:
    core = ScriptedCore()
    async with ThreadedEngine.running(lambda: core) as engine, engine.stream(request("one hold")):
        pass
    assert core.diary[-2:] == [("submit", FIRST), ("cancel", FIRST)]


async def test_an_exception_in_the_listener_and_a_cancelled_listener_leave_it_too() -> None:
    core = ScriptedCore()

    async def listen(engine: ThreadedEngine[list[str]], began: asyncio.Event) -> None:
        async with engine.stream(request("one hold")) as stream:
            await anext(aiter(stream))
            began.set()
            await anext(aiter(stream))

    async with ThreadedEngine.running(lambda: core) as engine:
        with pytest.raises(ConnectionError):
            async with engine.stream(request("one hold")):
                raise ConnectionError
        began = asyncio.Event()
        listener = asyncio.create_task(listen(engine, began))
        await began.wait()
        listener.cancel()
        with pytest.raises(asyncio.CancelledError):
            await listener
        assert engine.load.open == 0
    assert core.jobs_that_were("cancel") == [FIRST, FIRST + 1]


async def test_who_leaves_while_waiting_is_never_begun() -> None:
    core = ScriptedCore()
    async with ThreadedEngine.running(lambda: core) as engine:
        async with engine.stream(request("hold")):
            async with engine.stream(request("one")):
                assert engine.load.waiting == 1
            assert engine.load.waiting == 0
        assert await say(engine, "two") == ["two"]
    assert core.jobs_that_were("submit") == [1, FIRST, FIRST + 2]
    assert core.jobs_that_were("cancel") == [FIRST]


async def test_who_leaves_while_being_prepared_is_never_begun() -> None:
    core = ScriptedCore()
    async with ThreadedEngine.running(lambda: core) as engine:
        listener = asyncio.create_task(say(engine, "ponder one"))
        await happened(core.pondering)
        listener.cancel()
        with pytest.raises(asyncio.CancelledError):
            await listener
        assert engine.load.open == 0
        core.pondered.set()
        assert await say(engine, "two") == ["two"]
    assert core.jobs_that_were("submit") == [1, FIRST + 1]


async def test_who_leaves_after_the_end_leaves_nothing_to_cancel() -> None:
    core = ScriptedCore()
    async with ThreadedEngine.running(lambda: core) as engine:
        await say(engine, "one two")
    assert core.jobs_that_were("cancel") == []


def test_a_thousand_listeners_who_leave_when_they_like_leave_nothing_behind() -> None:
    core = ScriptedCore(streams_at_once=4)
    dice = random.Random(7)
    before = set(threading.enumerate())

    async def listen(engine: ThreadedEngine[list[str]], door: asyncio.Semaphore) -> None:
        num_words, end = dice.randint(1, 20), dice.choice(["", "hold", "fail"])
        patience_seconds = dice.choice([60.0, 0.05 * dice.random()])
        text = "word " * num_words + end
        with suppress(TimeoutError):
            async with door, asyncio.timeout(patience_seconds), engine.stream(request(text)) as stream:
                for _ in range(dice.randint(0, num_words)):
                    await anext(stream)

    async def everybody() -> None:
        door = asyncio.Semaphore(50)
        limits = Limits(max_streams=8, max_queue=50, max_wait_seconds=math.inf, stall_seconds=60.0)
        async with ThreadedEngine.running(lambda: core, limits) as engine:
            async with asyncio.TaskGroup() as listeners:
                for _ in range(1_000):
                    listeners.create_task(listen(engine, door))
            load = engine.load
            assert (load.running, load.waiting, load.open, load.deaths) == (0, 0, 0, 0)
            assert await say(engine, "one two") == ["one", "two"]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(everybody())
    assert core.jobs == {}
    assert len(core.jobs_that_were("cancel")) > 100
    for thread in set(threading.enumerate()) - before:
        thread.join(20.0)  # helpers, who have been told
        assert not thread.is_alive()


# What is asked for


async def test_what_a_request_leaves_open_the_engine_fills_in() -> None:
    async with ThreadedEngine.running(ScriptedCore) as engine:
        async with engine.stream(request("one")) as stream:
            seed = stream.request.seed
            assert stream.request == replace(request("one"), speaker="Ann", seed=seed, voice=INFO.voices[0])
            assert seed is not None
            assert 0 <= seed < 2**31
        async with engine.stream(request("one")) as other:
            assert other.request.seed != seed
        asked = SynthesisRequest("one", speaker="Bob", seed=0, speed=2.0)
        async with engine.stream(asked) as stream:
            assert stream.request == replace(asked, voice=INFO.voices[1])


async def test_the_settings_may_name_another_default_speaker() -> None:
    async with (
        ThreadedEngine.running(ScriptedCore, default_speaker="Bob") as engine,
        engine.stream(request("one")) as stream,
    ):
        assert stream.request.speaker == "Bob"


async def test_a_default_speaker_that_does_not_exist_is_an_error_of_the_settings() -> None:
    with pytest.raises(ConfigError, match=r"no voice 'Cleo' to be the default; there are Ann, Bob"):
        async with ThreadedEngine.running(ScriptedCore, default_speaker="Cleo"):
            pass


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        (SynthesisRequest("one", speaker="Cleo"), UnknownVoice, "no voice 'Cleo'; there are Ann, Bob"),
        (SynthesisRequest("one", instruction="whisper"), InvalidRequest, "instruction: .*leave it out"),
        (SynthesisRequest("one", prompt=Prompt(b"RIFF")), InvalidRequest, "prompt_wav: .*leave it out"),
        (SynthesisRequest("refuse"), InvalidRequest, "text: refused"),
        (SynthesisRequest("stumble"), SynthesisFailed, "could not prepare this text"),
    ],
    ids=["voice", "instruction", "prompt", "text", "bug"],
)
async def test_what_cannot_be_said_is_refused_before_there_is_a_stream(
    asked: SynthesisRequest, error: type[Exception], message: str
) -> None:
    core = ScriptedCore()
    async with ThreadedEngine.running(lambda: core) as engine:
        with pytest.raises(error, match=message):
            async with engine.stream(asked):
                pass
        assert engine.load.open == 0
        assert await say(engine, "one") == ["one"]
    assert core.jobs_that_were("submit") == [1, core.diary[-1][1]]


async def test_engines_that_can_follow_instructions_and_prompts_get_them() -> None:
    def build() -> ScriptedCore:
        core = ScriptedCore()
        core.info = replace(INFO, can_instruct=True, can_clone=True)
        return core

    asked = SynthesisRequest("one", instruction="whisper", prompt=Prompt(b"RIFF"))
    async with ThreadedEngine.running(build) as engine, engine.stream(asked) as stream:
        assert (stream.request.instruction, stream.request.prompt) == ("whisper", Prompt(b"RIFF"))
        assert stream.request.speaker == "prompt_wav"


async def test_an_engine_without_voices_is_ready_and_speaks_for_those_who_bring_a_recording() -> None:
    def build() -> ScriptedCore:
        core = ScriptedCore()
        core.info = replace(INFO, voices=(), default_speaker="Ann", can_clone=True, voices_note="record one, then")
        return core

    async with ThreadedEngine.running(build) as engine:
        async with engine.stream(SynthesisRequest("one", prompt=Prompt(b"RIFF"))) as stream:
            assert await heard(stream) == ["one"]
        for asked in SynthesisRequest("one"), SynthesisRequest("one", speaker="Ann", prompt=Prompt(b"RIFF")):
            with pytest.raises(UnknownVoice, match="no voice 'Ann'; record one, then"):
                async with engine.stream(asked):
                    pass


async def test_a_text_whose_preparation_does_not_return_is_given_up() -> None:
    core = ScriptedCore()
    async with ThreadedEngine.running(lambda: core, Limits(stall_seconds=0.3)) as engine:
        with pytest.raises(Stalled, match=r"not prepared within 0\.3 s"):
            await say(engine, "ponder")
        assert await say(engine, "one") == ["one"]
        core.pondered.set()


# Becoming ready


async def test_before_it_is_built_an_engine_has_no_info_and_takes_no_requests() -> None:
    may_go_on = threading.Event()

    def build() -> ScriptedCore:
        assert may_go_on.wait(20.0)
        return ScriptedCore()

    async with ThreadedEngine.running(build, wait_ready=False) as engine:
        states = [engine.load.state]
        with pytest.raises(NotReady):
            _ = engine.info
        with pytest.raises(NotReady, match="loading"):
            await say(engine, "one")
        may_go_on.set()
        await engine.ready()
        states.append(engine.load.state)
        assert states == [EngineState.LOADING, EngineState.READY]
        assert engine.info == INFO


async def test_an_engine_is_not_ready_before_it_has_spoken() -> None:
    core = ScriptedCore(instead={WARM_UP.text: "hang"})
    async with ThreadedEngine.running(lambda: core, wait_ready=False) as engine:
        await happened(core.hanging)
        with pytest.raises(NotReady, match="loading"):
            await say(engine, "one")
        core.wake.set()
        await engine.ready()
        assert await say(engine, "one") == ["one"]


async def test_settings_that_cannot_work_are_told_to_who_waits_and_not_tried_again() -> None:
    build = Builder(ConfigError("no such folder"))
    with pytest.raises(ConfigError, match="no such folder"):
        async with ThreadedEngine.running(build):
            pass
    async with ThreadedEngine.running(build, wait_ready=False) as engine:
        with pytest.raises(ConfigError, match="no such folder"):
            await engine.ready()
        assert engine.load.state is EngineState.DEAD
        with pytest.raises(NotReady, match="being rebuilt"):
            await say(engine, "one")
    assert build.calls == 2


@pytest.mark.parametrize(
    "obstacle",
    [
        OSError("the device is busy"),
        lambda: ScriptedCore(instead={WARM_UP.text: "die"}),
        lambda: ScriptedCore(instead={WARM_UP.text: "fail"}),
        lambda: ScriptedCore(instead={WARM_UP.text: "refuse"}),
        lambda: ScriptedCore(instead={WARM_UP.text: "stumble"}),
    ],
    ids=["build", "death", "failure", "refusal", "bug"],
)
async def test_whatever_else_goes_wrong_is_tried_again(obstacle: Exception) -> None:
    build = Builder(obstacle, ScriptedCore)
    async with ThreadedEngine.running(build, Limits(first_back_off_seconds=0.01)) as engine:
        assert engine.load.deaths == 1
        assert await say(engine, "one") == ["one"]
    assert build.calls == 2


async def test_a_core_that_is_lost_as_its_warm_up_ends_is_not_taken_for_ready() -> None:
    core = ScriptedCore(instead={WARM_UP.text: "hang"})
    async with ThreadedEngine.running(lambda: core, wait_ready=False) as engine:
        await happened(core.hanging)
        engine.core_stepped(Stepped([(JobId(1), Finished())], step_seconds=(0.1,), load=CoreLoad()))
        engine.core_lost(RuntimeError("lost"), 60.0)  # before the warm-up's listener had its turn
        ready = asyncio.create_task(engine.ready())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert engine.load.state is EngineState.DEAD
        assert not ready.done()
        ready.cancel()
        core.wake.set()
