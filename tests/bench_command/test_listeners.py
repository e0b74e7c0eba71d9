import asyncio
import math
from collections import Counter

import pytest

from cosystream.bench.listeners import RAMP_SECONDS, Asked, listen_under
from cosystream.bench.plan import Load, Plan, poisson_moments
from tests.bench_command.targets import CHUNK_SECONDS, FIRST_AUDIO_SECONDS, ByTheClock
from tests.support.virtual_time import run_at_once

FOUR_WORDS = ("one two three four",)
SPOKEN_SECONDS = FIRST_AUDIO_SECONDS + 3 * 0.125
PLAYED_SECONDS = FIRST_AUDIO_SECONDS + 4 * CHUNK_SECONDS


def _listen(load: Load, target: ByTheClock, plan: Plan) -> list[Asked]:
    async def main() -> list[Asked]:
        return await listen_under(load, target, plan, clock=asyncio.get_running_loop().time)

    return run_at_once(main())


@pytest.mark.parametrize(("is_eager", "turn_seconds"), [(False, PLAYED_SECONDS), (True, SPOKEN_SECONDS)])
def test_a_listener_asks_again_when_all_has_been_played_or_if_eager_when_it_is_there(
    is_eager: bool, turn_seconds: float
) -> None:
    asked = _listen(Load(streams=1, is_eager=is_eager), ByTheClock(), Plan(seconds=60.0, texts=FOUR_WORDS))
    assert [one.asked_seconds for one in asked] == pytest.approx([turn_seconds * turn for turn in range(len(asked))])
    assert len(asked) == math.ceil(60.0 / turn_seconds)


def test_listeners_begin_one_by_one_and_are_never_more_than_they_should_be() -> None:
    target = ByTheClock()
    asked = _listen(Load(streams=5, is_eager=True), target, Plan(seconds=60.0, texts=FOUR_WORDS))
    begins = [next(one.asked_seconds for one in asked if one.listener == listener) for listener in range(5)]
    assert begins == pytest.approx([RAMP_SECONDS * listener / 5 for listener in range(5)])
    assert target.most_at_once == 5


def test_every_request_is_told_once_in_order() -> None:
    target = ByTheClock()
    asked = _listen(Load(streams=7), target, Plan(seconds=30.0, texts=FOUR_WORDS, seed=3))
    assert [one.index for one in asked] == list(range(len(target.requests)))
    assert [request.seed for request in target.requests] == [3 + one.index for one in asked]
    assert all(one.heard.served for one in asked)


def test_no_more_is_asked_than_was_to_be_but_what_was_asked_is_heard_to_its_end() -> None:
    asked = _listen(Load(streams=4), ByTheClock(), Plan(seconds=math.inf, requests=10, texts=FOUR_WORDS))
    assert [one.heard.chunks for one in asked] == [4] * 10
    late = _listen(Load(streams=4), ByTheClock(), Plan(seconds=1.0, texts=FOUR_WORDS))
    assert [one.heard.chunks for one in late] == [4] * 4


def test_who_comes_at_random_does_not_wait_for_the_others() -> None:
    plan, target = Plan(seconds=20.0, texts=FOUR_WORDS), ByTheClock(period_seconds=30.0)
    asked = _listen(Load(rate=2.0), target, plan)
    assert [one.asked_seconds for one in asked] == pytest.approx(poisson_moments(2.0, plan))
    assert target.most_at_once == len(asked)


def test_who_is_refused_comes_back_when_told_to() -> None:
    asked = _listen(Load(streams=2, is_eager=True), ByTheClock(most=1), Plan(seconds=30.0, texts=FOUR_WORDS))
    refused = [one for one in asked if one.heard.refused]
    assert refused
    for one in refused:
        again = next((other for other in asked if other.index > one.index and other.listener == one.listener), None)
        assert again is None or again.asked_seconds == pytest.approx(one.asked_seconds + 2.0)


def test_who_gets_no_whole_answer_does_not_ask_again_at_once() -> None:
    asked = _listen(Load(streams=1, is_eager=True), ByTheClock(problem="broken"), Plan(seconds=30.0, texts=("one",)))
    assert Counter(one.heard.problem for one in asked) == {"broken": math.ceil(30.0 / (FIRST_AUDIO_SECONDS + 1.0))}
