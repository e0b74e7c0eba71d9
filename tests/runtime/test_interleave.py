import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosystream.runtime.interleave import SAFE_LEAD_SECONDS, STEP_SECONDS, InterleavedCore
from cosystream.runtime.protocol import EngineCore, Failed, Finished, Output, Worked
from cosystream.runtime.threaded import ThreadedEngine
from cosystream.types import AudioChunk, JobId, SynthesisRequest
from tests.support.cores import INFO, Clock, ScriptedSynthesizer, audio

FIRST, SECOND, THIRD = JobId(1), JobId(2), JobId(3)


class Stage:
    """A core over a scripted synthesizer, on a clock of its own."""

    def __init__(self, *texts: str, cost_seconds: float = 0.01) -> None:
        self.clock = Clock()
        self.synthesizer = ScriptedSynthesizer(self.clock, cost_seconds)
        self.core: EngineCore[list[str]] = InterleavedCore(self.synthesizer, self.clock)
        for number, text in enumerate(texts, start=1):
            self.submit(JobId(number), text)

    def submit(self, job: JobId, text: str) -> None:
        self.core.submit(job, self.core.prepare(SynthesisRequest(text)))

    def steps(self, number: int) -> list[JobId]:
        """Whose turn it was in so many steps of one chunk each."""
        return [job for _ in range(number) for job, _ in self.core.step()]

    def play(self) -> Iterator[tuple[JobId, Output]]:
        while self.core.has_work:
            yield from self.core.step()


# Whose turn it is


def test_first_audio_comes_first_in_order_of_arrival() -> None:
    assert Stage("1 1 1", "1 1 1", "1 1 1").steps(3) == [FIRST, SECOND, THIRD]


def test_then_it_is_the_turn_of_the_stream_closest_to_running_dry() -> None:
    stage = Stage("1 1 1 1", "2.5 1 1 1")
    assert stage.steps(2) == [FIRST, SECOND]
    assert stage.steps(3) == [FIRST, FIRST, SECOND]  # with 1 s, 2 s and then 3 s told to its listener


def test_a_stream_that_has_run_dry_is_in_time_again_from_its_next_chunk_on() -> None:
    stage = Stage("1 1 1 1 1", "103 1")
    assert stage.steps(2) == [FIRST, SECOND]
    stage.clock.now += 100.0  # which leaves the second a lead of 3 s
    assert stage.steps(4) == [FIRST, FIRST, FIRST, SECOND]


def test_a_long_text_does_not_starve_the_first_word_of_another() -> None:
    stage = Stage("1 " * 10_000)
    assert set(stage.steps(50)) == {FIRST}
    stage.submit(SECOND, "1 1")
    assert stage.steps(2) == [SECOND, SECOND]  # and catches up with the other's lead


def test_work_that_is_not_to_be_heard_yet_is_told_and_its_job_stays_as_urgent() -> None:
    stage = Stage("think think 1", "1 1")
    assert [output for _ in range(3) for _, output in stage.core.step()] == [Worked(), Worked(), audio(1.0)]
    assert stage.steps(1) == [SECOND]


def test_a_job_that_is_paused_has_no_turn_until_it_is_resumed() -> None:
    stage = Stage("1 1 1", "1 1 1 1 1")
    assert stage.steps(2) == [FIRST, SECOND]
    stage.core.pause(FIRST)
    assert stage.steps(2) == [SECOND, SECOND]
    stage.core.resume(FIRST)
    assert stage.steps(2) == [FIRST, FIRST]


def test_a_job_may_be_paused_before_its_first_chunk() -> None:
    stage = Stage("1 1", "1 1")
    stage.core.pause(FIRST)
    assert stage.steps(1) == [SECOND]
    stage.core.resume(FIRST)
    assert stage.steps(1) == [FIRST]


def test_a_job_that_was_paused_for_long_is_not_taken_for_one_that_has_run_dry() -> None:
    stage = Stage("60 1 1", "1 1 1 1")
    assert stage.steps(2) == [FIRST, SECOND]
    stage.core.pause(FIRST)
    stage.clock.now += 3_600.0
    stage.core.resume(FIRST)
    assert stage.steps(2) == [SECOND, SECOND]


def test_there_is_no_work_while_all_are_paused() -> None:
    stage = Stage("1")
    assert stage.core.has_work
    stage.core.pause(FIRST)
    assert not stage.core.has_work
    stage.core.cancel(FIRST)
    stage.core.resume(FIRST)
    assert not stage.core.has_work


def test_unknown_jobs_are_ignored() -> None:
    stage = Stage("1 1")
    for command in (stage.core.pause, stage.core.resume, stage.core.cancel):
        command(THIRD)
    assert stage.steps(1) == [FIRST]


texts = st.lists(st.sampled_from(["0.1", "0.5", "1", "3"]), max_size=8).map(" ".join)


@given(st.lists(texts, max_size=6), st.sampled_from([0.0001, 0.01, 1.0]))
def test_what_is_spoken_together_is_what_each_says_alone(spoken: list[str], cost_seconds: float) -> None:
    heard: dict[JobId, list[Output]] = {}
    for job, output in Stage(*spoken, cost_seconds=cost_seconds).play():
        heard.setdefault(job, []).append(output)
    assert heard == {
        JobId(number): [*(audio(float(word)) for word in text.split()), Finished()]
        for number, text in enumerate(spoken, start=1)
    }


def test_a_newcomer_waits_while_a_listener_is_about_to_run_dry() -> None:
    stage = Stage("0.3 0.3 0.3 0.3 1", "0.3 0.3")
    assert stage.steps(3) == [FIRST, FIRST, FIRST]
    assert stage.steps(2) == [SECOND, SECOND]


@given(st.lists(texts, min_size=1, max_size=6))
def test_no_chunk_is_made_while_another_listener_has_less_left(spoken: list[str]) -> None:
    stage = Stage(*spoken)
    runs_dry = {JobId(number): -math.inf for number in range(1, len(spoken) + 1)}
    now = stage.clock.now
    for job, output in stage.play():
        about_to = [time for time in runs_dry.values() if -math.inf < time < now + SAFE_LEAD_SECONDS]
        assert runs_dry[job] == min(about_to or runs_dry.values())
        now = stage.clock.now
        if isinstance(output, AudioChunk):
            runs_dry[job] = max(runs_dry[job], now) + output.num_samples / INFO.sample_rate
        else:
            del runs_dry[job]


# How much in a step, and how many at once


def test_cheap_chunks_leave_together() -> None:
    cheap = Stage("0.1 " * 100, cost_seconds=STEP_SECONDS / 3.5)
    assert len(cheap.core.step()) == 4
    dear = Stage("0.1 " * 100, cost_seconds=STEP_SECONDS * 1.5)
    assert len(dear.core.step()) == 1


@pytest.mark.parametrize(
    ("cost_seconds", "at_once"), [(0.1, 9), (0.2, 4), (0.4, 2), (0.6, 1), (0.95, 1), (5.0, 1)], ids=str
)
def test_as_many_streams_at_once_as_the_measured_speed_allows(cost_seconds: float, at_once: int) -> None:
    stage = Stage("1 " * 100, cost_seconds=cost_seconds * 0.999)
    assert stage.core.load.streams_at_once == 1  # before anything has been measured
    stage.steps(99)
    assert stage.core.load.streams_at_once == at_once


def test_when_the_engine_slows_down_fewer_are_begun() -> None:
    stage = Stage("1 " * 300, cost_seconds=0.1)
    stage.steps(100)
    before = stage.core.load.streams_at_once
    stage.synthesizer.cost_seconds = 0.5
    stage.steps(100)
    assert stage.core.load.streams_at_once == 1 < before


def test_a_step_without_a_job_brings_nothing_and_says_nothing_about_speed() -> None:
    stage = Stage("1 " * 10, cost_seconds=0.1)
    stage.steps(10)
    before = stage.core.load.streams_at_once
    stage.core.cancel(FIRST)
    for _ in range(100):
        assert stage.core.step() == []
    assert stage.core.load.streams_at_once == before


# Ends


@pytest.mark.parametrize(
    ("text", "message"),
    [("1 fail", "as it was told to"), ("1 crash", "the server's log says why"), ("eager", "the server's log says why")],
)
def test_a_generator_that_raises_ends_its_own_job_alone(text: str, message: str) -> None:
    outputs = list(Stage(text, "1 1").play())
    ends = dict(outputs)
    failed = ends[FIRST]
    assert isinstance(failed, Failed)
    assert message in failed.message
    assert ends[SECOND] == Finished()
    assert sum(job == SECOND for job, _ in outputs) == 3


def test_the_traceback_of_what_was_not_foreseen_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    list(Stage("crash", "fail").play())
    assert [record.getMessage() for record in caplog.records] == ["job 1 failed"]
    assert "it crashes, as it was told to" in caplog.text


def test_a_generator_is_closed_when_its_job_is_cancelled_or_has_ended() -> None:
    stage = Stage("1", "1 1 1", "1 1 1")
    stage.steps(3)
    assert len(stage.synthesizer.ended_on) == 0
    stage.core.cancel(SECOND)
    assert len(stage.synthesizer.ended_on) == 1
    stage.core.pause(THIRD)
    stage.core.cancel(THIRD)
    assert len(stage.synthesizer.ended_on) == 2
    assert list(stage.play()) == [(FIRST, Finished())]
    assert len(stage.synthesizer.ended_on) == 3


def test_closing_closes_every_generator_and_the_synthesizer() -> None:
    stage = Stage("1 1", "1 1", "1 1")
    stage.steps(3)
    stage.core.pause(SECOND)
    stage.core.close()
    assert len(stage.synthesizer.ended_on) == 3
    assert stage.synthesizer.is_closed
    assert not stage.core.has_work


async def test_the_generator_of_a_listener_who_left_is_closed_on_the_thread_that_ran_it() -> None:
    clock = Clock()
    synthesizer = ScriptedSynthesizer(clock)
    async with (
        ThreadedEngine.running(lambda: InterleavedCore(synthesizer, clock)) as engine,
        engine.stream(SynthesisRequest("1 " * 100_000)) as stream,
    ):
        await anext(aiter(stream))
    assert [thread.name for thread in synthesizer.ended_on] == ["cosystream-worker"] * 2  # the first was the warm-up's
