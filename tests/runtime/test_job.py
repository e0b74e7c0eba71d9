import asyncio

import pytest

from cosystream.errors import NotReady, ShuttingDown, SynthesisFailed
from cosystream.runtime.job import Job
from cosystream.runtime.protocol import Place
from cosystream.types import AudioChunk, JobId, SynthesisRequest
from tests.support.cores import INFO, audio

CHUNKS = [audio(0.1, "one"), audio(0.2), audio(0.3, "two")]


def new_job(taken: list[float] | None = None) -> Job:
    """A job that arrived at 0. ``taken`` gets what is left in the buffer, in seconds, each time a chunk is taken."""

    def on_taken(job: Job) -> None:
        if taken is not None:
            taken.append(job.buffered_seconds)

    return Job(JobId(1), SynthesisRequest("one two"), INFO.sample_rate, 0.0, on_taken, Job.finish)


def spoken(*chunks: AudioChunk) -> Job:
    """A job that has brought ``chunks`` and goes on."""
    job = new_job()
    job.begin(1.0)
    for now, chunk in enumerate(chunks, start=2):
        job.push(chunk, float(now))
    return job


async def read(job: Job) -> list[AudioChunk]:
    return [chunk async for chunk in job]


async def places(job: Job) -> list[int]:
    return [place.position async for place in job.waiting()]


# Audio


async def test_what_is_pushed_is_heard_in_order_whether_it_came_before_or_while_somebody_listened() -> None:
    job = spoken(CHUNKS[0])
    listener = asyncio.create_task(read(job))
    await asyncio.sleep(0)  # it has taken the first and waits
    job.push(CHUNKS[1], 3.0)
    await asyncio.sleep(0)
    job.push(CHUNKS[2], 4.0)
    job.finish()
    assert await listener == CHUNKS


async def test_the_engine_is_told_of_each_chunk_that_is_taken() -> None:
    taken: list[float] = []
    job = new_job(taken)
    for chunk in CHUNKS:
        job.push(chunk, 1.0)
    assert job.buffered_seconds == pytest.approx(0.6)
    job.finish()
    await read(job)
    assert taken == pytest.approx([0.5, 0.3, 0.0])


async def test_an_error_is_met_behind_the_audio_that_is_buffered() -> None:
    job = spoken(*CHUNKS)
    job.fail(SynthesisFailed("broke off"))
    assert [await anext(job) for _ in CHUNKS] == CHUNKS
    for _ in range(2):  # whenever one asks
        with pytest.raises(SynthesisFailed, match="broke off"):
            await anext(job)


async def test_an_error_may_take_the_buffered_audio_with_it() -> None:
    job = spoken(*CHUNKS)
    job.fail(ShuttingDown("gone", retry_after_seconds=1.0), keep_audio=False)
    assert job.buffered_seconds == 0
    with pytest.raises(ShuttingDown):
        await anext(job)


async def test_what_has_been_spoken_to_its_end_fails_no_more_unless_its_audio_is_taken() -> None:
    job = spoken(*CHUNKS)
    job.finish()
    job.fail(SynthesisFailed("too late"))
    assert job.ended
    assert job.error is None
    assert await anext(job) == CHUNKS[0]
    job.fail(ShuttingDown("gone", retry_after_seconds=1.0), keep_audio=False)
    with pytest.raises(ShuttingDown):
        await anext(job)


async def test_the_report_goes_with_the_job() -> None:
    job = spoken(*CHUNKS)
    assert (job.report.chunks, job.report.queue_seconds, job.report.first_audio_seconds) == (3, 1.0, 2.0)
    job.push(audio(0.4), 5.0)
    assert job.report.audio_seconds == pytest.approx(1.0)


# The wait


async def test_a_job_that_waits_is_told_each_change_of_place() -> None:
    job = new_job()
    told = aiter(job.waiting())
    first = asyncio.ensure_future(anext(told))
    await asyncio.sleep(0)  # nothing to tell yet
    job.move(Place(3, 1.5))
    assert await first == Place(3, 1.5)
    job.move(Place(3, 1.2))  # no change of place
    job.move(Place(2, 1.0))
    assert await anext(told) == Place(2, 1.0)
    job.begin(2.0)
    with pytest.raises(StopAsyncIteration):
        await anext(told)


async def test_who_asks_late_is_told_where_he_stands_now() -> None:
    job = new_job()
    job.move(Place(3, 3.0))
    job.move(Place(1, 1.0))
    told = aiter(job.waiting())
    assert await anext(told) == Place(1, 1.0)
    job.begin(1.0)
    assert [place async for place in told] == []


async def test_nothing_is_told_to_a_job_that_begins_at_once() -> None:
    assert await places(spoken()) == []


async def test_the_wait_raises_what_ends_a_job_that_still_waits() -> None:
    job = new_job()
    job.move(Place(1, 1.0))
    told = aiter(job.waiting())
    await anext(told)
    job.fail(NotReady("lost", retry_after_seconds=1.0))
    with pytest.raises(NotReady):
        await anext(told)
    with pytest.raises(NotReady):  # the same for those who do not read the wait
        await read(job)


async def test_the_wait_is_over_for_a_job_that_was_begun_and_failed_before_anybody_asked() -> None:
    job = spoken(CHUNKS[0])
    job.fail(SynthesisFailed("broke off"))
    assert await places(job) == []
    assert await anext(job) == CHUNKS[0]
