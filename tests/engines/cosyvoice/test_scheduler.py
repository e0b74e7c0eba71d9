import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from cosystream.engines.cosyvoice.hops import HopSchedule
from cosystream.engines.cosyvoice.scheduler import Scheduler
from cosystream.engines.cosyvoice.ticks import Decode, Limits, Piece, Prefill, PromptKey, Solve, Tick, Work
from cosystream.types import JobId
from tests.support.ticking import Script, TickingCore

FIRST, SECOND, THIRD = JobId(1), JobId(2), JobId(3)
LIMITS = Limits(num_pages=200, num_jobs=8, num_prompts=8, slot_positions=2000, flow_frames=200)
STEP_SECONDS = 0.001


def script(num_tokens: int, *, voice: str = "Ann", num_prompt_tokens: int = 53, expected: int | None = None) -> Script:
    """A segment of so many tokens; some more are allowed."""
    expected = num_tokens if expected is None else expected
    return Script(Work(40, num_tokens + 10, expected, PromptKey(voice), num_prompt_tokens), num_tokens)


def ticks(core: TickingCore, seconds: float = STEP_SECONDS) -> Iterator[Tick]:
    """Until nothing is left to do; each takes so many seconds."""
    for _ in range(100_000):
        tick = core.step(seconds)
        if tick is None:
            return
        yield tick
    raise AssertionError("it does not come to an end")


def begun(core: TickingCore, seconds: float = STEP_SECONDS) -> list[Piece]:
    """All pieces, in the order in which they are started."""
    return [piece for tick in ticks(core, seconds) if isinstance(tick.work, Solve) for piece in tick.work.begins]


def started(core: TickingCore, job: JobId) -> TickingCore:
    """The same, once ``job`` has had its first audio."""
    next(tick for tick in ticks(core) if core.jobs[job].log)
    return core


# One job


def test_first_comes_the_prompt_then_a_provisional_hop_and_then_hops_that_grow_with_the_lead() -> None:
    core = TickingCore(LIMITS)
    core.submit(FIRST, [script(300)])
    pieces = begun(core)
    assert [(piece.owner, piece.first, piece.num_tokens, piece.num_silent) for piece in pieces] == [
        (PromptKey("Ann"), 0, 50, 50),
        (FIRST, 0, 8, 0),
        (FIRST, 0, 22, 8),
        (FIRST, 22, 25, 0),
        (FIRST, 47, 25, 0),
        (FIRST, 72, 50, 0),
        (FIRST, 122, 100, 0),
        (FIRST, 222, 78, 0),
    ]
    assert [piece.commit for piece in pieces].count(False) == 1
    assert [piece.final for piece in pieces] == [False] * 7 + [True]
    assert [len(piece.pages) for piece in pieces] == [2, 1, 0, 1, 1, 2, 4, 4]


def test_a_machine_that_is_too_slow_for_real_time_keeps_to_the_lowest_rung() -> None:
    core = TickingCore(LIMITS)
    core.submit(FIRST, [script(300)])
    _, _, *pieces = begun(core, seconds=0.2)
    assert [piece.num_tokens for piece in pieces] == [22, *[25] * 11, 3]


def test_a_prompt_is_solved_in_pieces_as_far_as_it_has_whole_blocks_that_can_be_looked_beyond() -> None:
    for num_tokens, lengths in [
        (0, []),
        (27, []),
        (28, [25]),
        (127, [100]),
        (250, [100, 100, 25]),
        (253, [100, 100, 50]),
    ]:
        core = TickingCore(LIMITS)
        core.submit(FIRST, [script(30, num_prompt_tokens=num_tokens)])
        assert [piece.num_tokens for piece in begun(core) if piece.owner == PromptKey("Ann")] == lengths


def test_the_last_hop_can_be_a_solve_of_everything() -> None:
    core = TickingCore(replace(LIMITS, final_whole=True))
    core.submit(FIRST, [script(60)])
    last = begun(core)[-1]
    assert (last.whole, last.first, last.num_tokens, last.num_silent, last.pages) == (True, 0, 60, 47, ())
    assert last.num_frames == 2 * (53 + 60)


def test_the_next_segment_goes_on_in_the_same_slot_behind_the_same_prompt() -> None:
    core = TickingCore(LIMITS)
    core.submit(FIRST, [script(60), script(0), script(60)])
    pieces = begun(core)
    assert [piece.owner for piece in pieces].count(PromptKey("Ann")) == 1
    assert [piece.commit for piece in pieces].count(False) == 1  # with a lead, there is no hurry any more
    assert core.finished == [FIRST]


def test_what_could_never_be_spoken_does_not_fit() -> None:
    scheduler, work = Scheduler(replace(LIMITS, num_pages=10)), script(187).work
    assert scheduler.fits(work)
    assert not scheduler.fits(replace(work, max_tokens=198))
    assert not scheduler.fits(replace(work, num_positions=1804))


# Whom a step serves


def test_everybody_who_has_been_read_draws_with_whoever_needs_a_token() -> None:
    core = TickingCore(LIMITS)
    for job in (FIRST, SECOND, THIRD):
        core.submit(job, [script(50, voice=f"voice {job}")])
    works = [tick.work for tick in ticks(core)]
    assert isinstance(works[0], Prefill)
    assert [reading.job for reading in works[0].readings] == [FIRST, SECOND, THIRD]
    assert [work.jobs for work in works if isinstance(work, Decode)] == [(FIRST, SECOND, THIRD)] * 51


def test_a_long_text_is_read_in_pieces_and_with_it_others_that_lack_about_as_much() -> None:
    core = TickingCore(replace(LIMITS, prefill_positions=100))
    for job, num_positions in [(FIRST, 140), (SECOND, 45), (THIRD, 20)]:
        core.submit(job, [replace(script(10), work=replace(script(10).work, num_positions=num_positions))])
    read = [
        [(r.job, r.num_positions) for r in tick.work.readings] for tick in ticks(core) if isinstance(tick.work, Prefill)
    ]
    assert read == [[(FIRST, 100)], [(FIRST, 40), (SECOND, 40)], [(SECOND, 5), (THIRD, 5)], [(THIRD, 15)]]


def test_pieces_of_as_many_frames_share_a_step_whatever_step_each_is_at() -> None:
    core = TickingCore(LIMITS)
    core.submit(FIRST, [script(10, voice="Ann")])
    for _ in range(4):
        core.step()
    core.submit(SECOND, [script(10, voice="Bob")])
    solves = [tick.work for tick in ticks(core) if isinstance(tick.work, Solve)]
    assert [len(solve.owners) for solve in solves] == [2] * 7 + [1] * (10 + 3 + 10)
    assert solves[0].owners == (PromptKey("Ann"), PromptKey("Bob"))
    assert [len(solve.ends) for solve in solves[:7]] == [0] * 6 + [1]


def test_a_piece_larger_than_the_batch_goes_alone() -> None:
    core = TickingCore(replace(LIMITS, flow_frames=1))
    for job in (FIRST, SECOND):
        core.submit(job, [script(50)])
    assert {len(tick.work.owners) for tick in ticks(core) if isinstance(tick.work, Solve)} == {1}
    assert core.finished == [FIRST, SECOND]


# Who comes first


def test_first_audio_comes_in_the_order_of_arrival() -> None:
    core = TickingCore(replace(LIMITS, flow_frames=1))
    for job in (THIRD, FIRST, SECOND):
        core.submit(job, [script(200)])
    assert list(ticks(core))
    assert core.first_sounds == [THIRD, FIRST, SECOND]


def test_a_newcomer_waits_while_somebody_is_about_to_run_dry_and_no_longer() -> None:
    core = TickingCore(replace(LIMITS, safe_lead_seconds=0.9))
    core.submit(FIRST, [script(500)])
    started(core, FIRST)
    core.submit(SECOND, [script(500)])
    started(core, SECOND)
    assert sum(end - begin for begin, end in core.jobs[FIRST].log) / 25 > 0.9
    assert len(core.jobs[FIRST].log) <= 4


def test_then_it_is_the_turn_of_the_stream_closest_to_running_dry() -> None:
    core = TickingCore(LIMITS)
    for job in (FIRST, SECOND):
        core.submit(job, [script(1000)])
    started(started(core, FIRST), SECOND)
    for tick in ticks(core, seconds=0.005):
        heard = [core.jobs[job].num_heard if job in core.jobs else 1000 for job in (FIRST, SECOND)]
        assert abs(heard[0] - heard[1]) <= 100 or isinstance(tick.work, Decode)


def test_a_job_that_is_paused_has_no_turn_until_it_is_resumed() -> None:
    core = TickingCore(LIMITS)
    core.submit(FIRST, [script(200)])
    core.submit(SECOND, [script(100)])
    started(core, FIRST)
    core.pause(FIRST)
    heard = core.jobs[FIRST].num_heard
    assert all(FIRST not in tick.work.jobs for tick in ticks(core) if isinstance(tick.work, Decode))
    assert core.finished == [SECOND]
    assert core.jobs[FIRST].num_heard == heard
    assert not core.scheduler.has_work
    core.resume(FIRST)
    assert core.scheduler.has_work
    assert list(ticks(core))
    assert core.finished == [SECOND, FIRST]


def test_the_time_that_a_job_is_paused_does_not_make_it_urgent() -> None:
    core = TickingCore(replace(LIMITS, flow_frames=1))
    core.submit(FIRST, [script(500)])
    next(tick for tick in ticks(core) if core.jobs[FIRST].num_heard > 100)
    heard = core.jobs[FIRST].num_heard
    core.pause(FIRST)
    core.now += 100.0
    core.resume(FIRST)
    core.submit(SECOND, [script(500)])
    started(core, SECOND)
    assert core.jobs[FIRST].num_heard == heard


# Pages


def test_who_waits_is_let_in_in_order_and_a_large_job_is_not_overtaken() -> None:
    core = TickingCore(replace(LIMITS, num_pages=16))
    core.submit(FIRST, [script(200)])
    core.submit(SECOND, [script(300)])
    core.submit(THIRD, [script(10)])
    core.step()
    assert (core.scheduler.num_running, core.scheduler.num_waiting) == (1, 2)
    assert list(ticks(core))
    assert core.first_sounds == [FIRST, SECOND, THIRD]
    assert core.scheduler.num_preempted == 0


def test_a_prompt_is_solved_once_for_all_who_speak_behind_it_and_for_those_who_come_later() -> None:
    core = TickingCore(LIMITS)
    for job, voice in [(FIRST, "Ann"), (SECOND, "Bob"), (THIRD, "Ann")]:
        core.submit(job, [script(50, voice=voice)])
    owners = Counter(piece.owner for piece in begun(core))
    core.submit(FIRST, [script(50, voice="Ann")])
    owners += Counter(piece.owner for piece in begun(core))
    assert owners[PromptKey("Ann")] == owners[PromptKey("Bob")] == 1


def test_the_prompt_that_was_used_longest_ago_makes_room_for_a_new_one() -> None:
    core = TickingCore(replace(LIMITS, num_pages=9))
    for voice in ("Ann", "Bob", "Ann", "Cleo"):
        core.submit(FIRST, [script(80, voice=voice)])
        dropped = [owner for tick in ticks(core) for owner in tick.dropped]
    assert dropped == [PromptKey("Bob")]


def test_a_sequence_that_loses_its_pages_is_solved_again_in_silence_as_far_as_it_was_heard() -> None:
    core = TickingCore(replace(LIMITS, num_pages=16))
    core.submit(FIRST, [script(300, voice="Ann", expected=0)])
    core.submit(SECOND, [script(300, voice="Bob", expected=0)])
    pieces = begun(core)
    assert core.scheduler.num_preempted > 0
    assert any(piece.num_silent == piece.num_tokens for piece in pieces if piece.owner in (FIRST, SECOND))
    assert sorted(core.finished) == [FIRST, SECOND]


def test_a_prompt_that_fails_takes_with_it_those_who_use_it_and_nobody_else() -> None:
    core = TickingCore(LIMITS)
    for job, voice in [(FIRST, "Ann"), (SECOND, "Bob"), (THIRD, "Ann")]:
        core.submit(job, [script(50, voice=voice)])
    core.step()
    core.step()
    assert core.scheduler.fail_prompt(PromptKey("Ann")) == (FIRST, THIRD)
    for job in (FIRST, THIRD):
        core.cancel(job)
    assert list(ticks(core))
    assert core.finished == [SECOND]


# Whatever happens


def some_limits(rng: random.Random) -> Limits:
    num_jobs = rng.choice([1, 2, 3, 8])
    return Limits(
        num_pages=rng.choice([8, 11, 14, 20, 40, 200]),
        num_jobs=num_jobs,
        num_prompts=num_jobs + rng.choice([0, 0, 2]),
        slot_positions=1000,
        decode_batch=rng.choice([1, 2, 64]),
        flow_frames=rng.choice([1, 50, 100, 1600]),
        prefill_positions=rng.choice([16, 100, 256]),
        num_steps=rng.choice([1, 3, 10]),
        hops=HopSchedule(provisional=rng.choice([0, 8]), slack=rng.choice([0, 3])),
        prompt_blocks=rng.choice([1, 4]),
        final_whole=rng.random() < 0.2,
    )


def some_script(rng: random.Random, limits: Limits) -> Script:
    prompt = rng.randrange(5)
    num_tokens = rng.choice([0, 1, 10, 11, 25, 50, rng.randint(0, 250)])
    num_dropped = rng.choice([0, 0, rng.randint(0, 9)])
    work = Work(
        num_positions=rng.randint(1, 300),
        max_tokens=max(1, num_tokens + num_dropped + rng.choice([0, 0, 1, 30])),
        expected_tokens=rng.choice([num_tokens, 0]),
        prompt=PromptKey(prompt),
        num_prompt_tokens=[0, 20, 28, 78, 90][prompt],
        speed=rng.choice([1.0, 0.5, 2.0]),
    )
    core = TickingCore(limits)
    if not core.scheduler.fits(work):
        return some_script(rng, limits)
    return Script(work, num_tokens, num_dropped)


@pytest.mark.parametrize("seed", range(150))
def test_nothing_is_lost_or_used_twice_and_all_comes_to_an_end_whoever_arrives_leaves_or_fails(seed: int) -> None:
    rng = random.Random(seed)
    core = TickingCore(some_limits(rng), tells_late=rng.random() < 0.3)
    disturbance, speed = rng.choice([0.0, 0.02, 0.1]), rng.choice([0.0, 0.001, 0.03, 0.2])
    num_submitted, asked = rng.randint(1, 25), {}
    for _ in range(200_000):
        if num_submitted and (not core.scheduler.has_work or rng.random() < 0.05):
            job = JobId(num_submitted)
            asked[job] = [some_script(rng, core.limits) for _ in range(rng.choice([1, 1, 3]))]
            core.submit(job, asked[job])
            num_submitted -= 1
        if core.jobs and rng.random() < disturbance:
            job = rng.choice(list(core.jobs))
            rng.choice([core.cancel, core.pause, core.resume])(job)
            if rng.random() < 0.1:
                core.fail_prompt(rng.choice(list(core.prompts)))
        if core.step(speed * rng.random()) is None:
            for job in [job for job, state in core.jobs.items() if state.is_paused]:
                core.resume(job)
            if not num_submitted and not core.jobs:
                break
    else:
        raise AssertionError("it does not come to an end")
    if not disturbance:
        assert sorted(core.finished) == sorted(asked)
    assert core.scheduler.num_running == core.scheduler.num_waiting == 0
    for prompt in core.prompts:
        assert core.scheduler.fail_prompt(prompt) == ()
    assert core.scheduler.pool.num_free == core.limits.num_pages


@pytest.mark.parametrize("seed", range(10))
def test_where_pages_are_short_all_the_time_everything_is_spoken_nevertheless(seed: int) -> None:
    rng = random.Random(seed)
    core = TickingCore(Limits(num_pages=16, num_jobs=4, num_prompts=4, slot_positions=2000, num_steps=3))
    asked = [JobId(number) for number in range(1, 9)]
    for job in asked:
        core.submit(job, [script(rng.randint(100, 300), voice=rng.choice("AB"), expected=0)])
    for _ in ticks(core, rng.choice([0.001, 0.1])):
        pass
    assert core.scheduler.num_preempted > 0
    assert sorted(core.finished) == asked
