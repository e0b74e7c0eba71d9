from collections import Counter
from itertools import pairwise

import pytest

from bench.paced import PacedCore, stamp_of, stamped
from cosystream.engines.tone import Melody, ToneSynthesizer
from cosystream.runtime.protocol import Finished, Output
from cosystream.types import AudioChunk, JobId, SynthesisRequest

JOBS = [JobId(number) for number in range(2, 22)]
STEP_SECONDS, PERIOD_SECONDS = 1 / 256, 1 / 8  # binary, so that sums of them are exact


class SleptThrough:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1024.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def _core(clock: SleptThrough, step_seconds: float) -> PacedCore[Melody]:
    return PacedCore(
        ToneSynthesizer(),
        streams_at_once=len(JOBS),
        step_seconds=step_seconds,
        period_seconds=PERIOD_SECONDS,
        clock=clock,
        sleep=clock.sleep,
    )


def _submit(core: PacedCore[Melody], *jobs: JobId) -> None:
    for job in jobs:
        core.submit(job, core.prepare(SynthesisRequest("la la la la la")))  # 10 chunks


def _run(core: PacedCore[Melody], clock: SleptThrough, until: float) -> list[tuple[float, JobId, Output]]:
    outputs = []
    while core.has_work and clock.now < until:
        outputs += [(clock.now, *output) for output in core.step()]
    return outputs


@pytest.mark.parametrize("step_seconds", [0.0, STEP_SECONDS])
def test_every_job_gets_a_chunk_each_period(step_seconds: float) -> None:
    clock = SleptThrough()
    core = _core(clock, step_seconds)
    _submit(core, *JOBS)
    for _ in range(5):
        outputs = _run(core, clock, until=clock.now + PERIOD_SECONDS)
        assert Counter(job for _, job, _ in outputs) == dict.fromkeys(JOBS, 1)


def test_the_turns_of_the_jobs_are_spread_over_the_period() -> None:
    clock = SleptThrough()
    core = _core(clock, step_seconds=0.0)
    _submit(core, *JOBS)
    times = sorted(now for now, _, _ in _run(core, clock, until=clock.now + PERIOD_SECONDS))
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert max(gaps) < 3 * PERIOD_SECONDS / len(JOBS)


def test_a_batch_holds_what_has_become_due() -> None:
    clock = SleptThrough()
    core = _core(clock, step_seconds=PERIOD_SECONDS / 2)
    _submit(core, *JOBS)
    assert [len(core.step()) for _ in range(4)] == pytest.approx([len(JOBS) / 2] * 4, abs=2)


def test_nothing_is_lost_and_every_job_finishes() -> None:
    clock = SleptThrough()
    core = _core(clock, step_seconds=STEP_SECONDS)
    _submit(core, *JOBS)
    outputs = _run(core, clock, until=clock.now + 2)
    assert not core.has_work
    assert Counter(job for _, job, output in outputs if isinstance(output, AudioChunk)) == dict.fromkeys(JOBS, 10)
    assert Counter(job for _, job, output in outputs if output == Finished()) == dict.fromkeys(JOBS, 1)


def test_a_chunk_says_when_it_left() -> None:
    clock = SleptThrough()
    core = _core(clock, step_seconds=0.0)
    _submit(core, JOBS[0])
    for now, _, output in _run(core, clock, until=clock.now + 5 * PERIOD_SECONDS):
        assert isinstance(output, AudioChunk)
        assert stamp_of(output.pcm.hex()) == now
        assert len(output.pcm) == 4800


def test_a_paused_job_is_silent_until_it_is_resumed() -> None:
    clock = SleptThrough()
    core = _core(clock, step_seconds=0.0)
    one, other = JOBS[:2]
    _submit(core, one, other)
    core.pause(one)
    assert {job for _, job, _ in _run(core, clock, until=clock.now + 3 * PERIOD_SECONDS)} == {other}
    core.resume(one)
    assert Counter(job for _, job, _ in _run(core, clock, until=clock.now + 3 * PERIOD_SECONDS)) == {one: 3, other: 3}


def test_a_job_that_is_paused_for_a_moment_keeps_its_pace() -> None:
    clock = SleptThrough()
    core = _core(clock, step_seconds=0.0)
    _submit(core, JOBS[0])
    for _ in range(3):
        core.pause(JOBS[0])
        core.resume(JOBS[0])
    assert len(_run(core, clock, until=clock.now + 3 * PERIOD_SECONDS)) == 3


def test_a_cancelled_job_is_forgotten() -> None:
    clock = SleptThrough()
    core = _core(clock, step_seconds=0.0)
    _submit(core, JOBS[0])
    core.cancel(JOBS[0])
    assert not core.has_work


def test_the_warm_up_does_not_keep_anyone_waiting() -> None:
    clock = SleptThrough()
    core = _core(clock, step_seconds=STEP_SECONDS)
    _submit(core, JobId(1))
    assert len(core.step()) == 11
    assert not core.has_work


def test_a_stamp_takes_the_place_of_samples() -> None:
    pcm = bytes(range(20))
    assert stamped(pcm, 12.5)[8:] == pcm[8:]
    assert stamp_of(stamped(pcm, 12.5).hex()) == 12.5
