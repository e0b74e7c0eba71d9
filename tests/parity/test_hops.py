"""The calls that the reference's scheduler makes, of which each of our sequences can make the same."""

import math
from collections.abc import Callable, Iterator
from typing import Any

from cosystream.engines.cosyvoice.hops import HopSchedule, Progress, next_hop

SCHEDULE = HopSchedule(provisional=0, slack=0)


def calls(num_prompt: int, num_tokens: int, schedule: HopSchedule) -> Iterator[dict[str, Any]]:
    """As the reference records them, when all tokens are there from the beginning and leads are long."""
    offset = rung = 0
    while offset < num_tokens:
        progress = Progress(num_prompt, num_tokens, ended=True, committed=offset, heard=offset)
        hop = next_hop(progress, schedule, rung=rung, lead_tokens=math.inf)
        assert hop is not None
        covered, rung = offset + hop.num_tokens, hop.next_rung
        seen = covered if hop.final else covered + schedule.lookahead
        yield {"n_token": seen, "token_offset": offset, "stream": not hop.final, "finalize": hop.final}
        offset = covered


def test_the_hops_are_the_reference_s(cases: Callable[[str], Any]) -> None:
    recorded = cases("scheduler_cases")["cases"]
    assert recorded
    for case in recorded:
        made = list(calls(case["prompt_tokens"], case["total_tokens"], SCHEDULE))
        assert made == case["calls"], (case["prompt_tokens"], case["total_tokens"])


def test_a_second_request_climbs_the_ladder_from_its_foot_unlike_the_reference_s(cases: Callable[[str], Any]) -> None:
    case = cases("scheduler_cases")["second_request_on_same_object"]
    first, second = (list(calls(case["prompt_tokens"], case["total_tokens"], SCHEDULE)) for _ in range(2))
    assert first == second == case["first"] != case["second"]
