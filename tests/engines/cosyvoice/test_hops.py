import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosystream.engines.cosyvoice.hops import Hops, HopSchedule

SCHEDULE = HopSchedule()


def tokens_until_first_audio(num_prompt: int) -> int:
    hops, num_tokens = Hops(num_prompt, SCHEDULE), 0
    while not hops.ready(num_tokens, ended=False):
        num_tokens += 1
    return num_tokens


@pytest.mark.parametrize(("num_prompt", "needed"), [(0, 28), (25, 28), (26, 52), (49, 29), (75, 28)])
def test_the_first_hop_fills_the_block_that_the_prompt_has_begun(num_prompt: int, needed: int) -> None:
    assert tokens_until_first_audio(num_prompt) == needed


@given(st.integers(0, 200), st.integers(1, 1000), st.randoms(use_true_random=False))
def test_nothing_is_left_out_and_all_but_the_last_hop_end_with_a_block(
    num_prompt: int, num_tokens: int, random: object
) -> None:
    hops, there = Hops(num_prompt, SCHEDULE), 0
    taken: list[int] = []
    while sum(taken) < num_tokens:
        there = min(num_tokens, there + random.randint(1, 60))  # type: ignore[attr-defined]
        ended = there == num_tokens
        while sum(taken) < num_tokens and hops.ready(there, ended=ended):
            taken.append(hops.take(there))
            assert sum(taken) == hops.spoken
            if hops.spoken < num_tokens:
                assert (num_prompt + hops.spoken) % SCHEDULE.block == 0
                assert hops.spoken + SCHEDULE.lookahead <= there
    assert sum(taken) == num_tokens
    assert max(taken) <= SCHEDULE.limit + SCHEDULE.lookahead - 1


def test_nothing_is_spoken_before_a_hop_and_its_look_ahead_are_there() -> None:
    hops = Hops(0, SCHEDULE)
    assert [hops.ready(number, ended=False) for number in (0, 27, 28)] == [False, False, True]
    assert hops.ready(1, ended=True)
    assert [hops.take(500) for _ in range(5)] == [25, 50, 100, 100, 100]
