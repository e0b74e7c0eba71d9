import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosystream.engines.cosyvoice.hops import Hop, HopSchedule, Progress, next_hop

SCHEDULE = HopSchedule()
WHOLE_BLOCKS = HopSchedule(provisional=0)
OFFICIAL = HopSchedule(provisional=0, slack=0)
FOREVER = math.inf


def progress(
    num_tokens: int, *, num_prompt: int = 53, committed: int = 0, heard: int = 0, ended: bool = False
) -> Progress:
    return Progress(num_prompt, num_tokens, ended, committed, max(heard, committed))


def tokens_until_first_audio(num_prompt: int, schedule: HopSchedule) -> int:
    return next(
        number
        for number in range(100)
        if next_hop(progress(number, num_prompt=num_prompt), schedule, rung=0, lead_tokens=0.0)
    )


def speak(num_prompt: int, num_tokens: int, schedule: HopSchedule, leads: list[float]) -> list[int]:
    """The lengths of all hops; each token is drawn as late as can be."""
    there, spoken, rung, hops = 0, 0, 0, list[int]()
    for lead in [*leads, *[0.0] * num_tokens]:
        while True:
            now = progress(there, num_prompt=num_prompt, committed=spoken, ended=there == num_tokens)
            hop = next_hop(now, schedule, rung=rung, lead_tokens=lead)
            if hop is not None or now.ended:
                break
            there += 1
        if hop is None:
            return hops
        if hop.commit:
            spoken += hop.num_tokens
            hops.append(hop.num_tokens)
            assert hop.final == (spoken == num_tokens)
            assert hop.final or (num_prompt + spoken) % schedule.block == 0
        assert hop.final or spoken + schedule.lookahead <= there
        rung = hop.next_rung
    return hops


@pytest.mark.parametrize(("num_prompt", "needed"), [(0, 28), (25, 28), (28, 25), (49, 29), (53, 25), (60, 43)])
def test_the_first_hop_ends_with_the_block_that_the_prompt_has_begun_or_with_the_next(
    num_prompt: int, needed: int
) -> None:
    assert tokens_until_first_audio(num_prompt, WHOLE_BLOCKS) == needed


@pytest.mark.parametrize(("num_prompt", "needed"), [(0, 28), (25, 28), (26, 52), (28, 50), (49, 29), (75, 28)])
def test_without_slack_it_fills_that_block_and_has_a_block_more_as_the_reference_s(
    num_prompt: int, needed: int
) -> None:
    assert tokens_until_first_audio(num_prompt, OFFICIAL) == needed


def test_a_provisional_hop_needs_eight_tokens_and_those_to_look_at_whatever_the_prompt() -> None:
    assert [tokens_until_first_audio(num_prompt, SCHEDULE) for num_prompt in (0, 25, 49, 53, 60)] == [11] * 5


def test_a_hop_is_provisional_only_if_nothing_was_heard_and_the_block_is_not_there() -> None:
    first = Hop(8, 0, commit=False)
    assert next_hop(progress(24), SCHEDULE, rung=0, lead_tokens=0.0) == first
    assert next_hop(progress(25), SCHEDULE, rung=0, lead_tokens=0.0) == Hop(22, 1)
    assert next_hop(progress(24, heard=8), SCHEDULE, rung=0, lead_tokens=0.0) is None
    assert next_hop(progress(24), SCHEDULE, rung=0, lead_tokens=8.0) is None
    assert next_hop(progress(24, ended=True), SCHEDULE, rung=0, lead_tokens=0.0) == Hop(24, 0, final=True)


def test_a_rung_is_taken_only_if_it_lasts_no_longer_than_the_lead() -> None:
    lengths = {
        lead: next_hop(progress(500, committed=22), SCHEDULE, rung=2, lead_tokens=lead) for lead in (0, 49, 50, 99, 100)
    }
    assert [hop.num_tokens for hop in lengths.values() if hop] == [25, 25, 50, 50, 100]


def test_the_ladder_is_climbed_rung_by_rung_and_anew_from_where_it_was_left() -> None:
    assert speak(53, 1000, SCHEDULE, [FOREVER] * 5 + [0.0] + [FOREVER] * 10)[:8] == [22, 50, 100, 100, 100, 25, 50, 100]


@given(
    st.integers(0, 200), st.integers(0, 1000), st.lists(st.floats(0, 200)), st.sampled_from([WHOLE_BLOCKS, OFFICIAL])
)
def test_nothing_is_left_out_whatever_the_leads(
    num_prompt: int, num_tokens: int, leads: list[float], schedule: HopSchedule
) -> None:
    hops = speak(num_prompt, num_tokens, schedule, leads)
    assert sum(hops) == num_tokens
    assert all(hops)
    assert max(hops, default=0) <= 100 + 25 + schedule.lookahead


@given(st.integers(0, 200), st.integers(11, 600))
def test_what_was_heard_and_lost_is_solved_again_without_waiting(num_prompt: int, heard: int) -> None:
    committed = 0
    for _ in range(heard):
        now = replace(progress(heard + SCHEDULE.lookahead, num_prompt=num_prompt, heard=heard), committed=committed)
        hop = next_hop(now, SCHEDULE, rung=0, lead_tokens=0.0)
        if hop is None:
            break
        assert hop.commit
        assert 0 < hop.num_tokens <= 125
        committed += hop.num_tokens
    assert committed == max(0, (num_prompt + heard) // 25 * 25 - num_prompt)
