"""The calls that the reference's scheduler makes, of which each of our sequences makes the same."""

from collections.abc import Callable, Iterator
from typing import Any

from cosystream.engines.cosyvoice.hops import Hops, HopSchedule


def calls(num_prompt: int, num_tokens: int, schedule: HopSchedule) -> Iterator[dict[str, Any]]:
    """As the reference records them, when all tokens are there from the beginning."""
    hops, offset = Hops(num_prompt, schedule), 0
    while offset < num_tokens:
        assert hops.ready(num_tokens, ended=True)
        covered = offset + hops.take(num_tokens)
        final = covered == num_tokens
        seen = covered if final else covered + schedule.lookahead
        yield {"n_token": seen, "token_offset": offset, "stream": not final, "finalize": final}
        offset = covered


def test_the_hops_are_the_reference_s(cases: Callable[[str], Any]) -> None:
    recorded = cases("scheduler_cases")["cases"]
    assert recorded
    for case in recorded:
        made = list(calls(case["prompt_tokens"], case["total_tokens"], HopSchedule()))
        assert made == case["calls"], (case["prompt_tokens"], case["total_tokens"])


def test_a_second_request_climbs_the_ladder_from_its_foot_unlike_the_reference_s(cases: Callable[[str], Any]) -> None:
    case, schedule = cases("scheduler_cases")["second_request_on_same_object"], HopSchedule()
    first, second = (list(calls(case["prompt_tokens"], case["total_tokens"], schedule)) for _ in range(2))
    assert first == second == case["first"] != case["second"]
