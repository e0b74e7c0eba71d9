"""How late the server's event loop woke up, out of two readings of its /metrics."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

NAME = "cosystream_loop_lag_seconds"


@dataclass(frozen=True, slots=True)
class LoopLag:
    count: int
    mean_ms: float
    below_ms: float | None
    """The narrowest of the histogram's buckets that holds every one of them; None where only the last does."""


def loop_lag(before: Mapping[str, float], after: Mapping[str, float]) -> LoopLag:
    """What was seen between two readings, given as samples by name with labels."""

    def between(sample: str) -> float:
        return after[sample] - before.get(sample, 0.0)

    count = round(between(f"{NAME}_count"))
    bounds = {float(found[1]): name for name in after if (found := re.fullmatch(rf'{NAME}_bucket{{le="(.+)"}}', name))}
    below = min((bound for bound, name in bounds.items() if between(name) >= count), default=math.inf)
    return LoopLag(
        count=count,
        mean_ms=1000 * between(f"{NAME}_sum") / count if count else 0.0,
        below_ms=1000 * below if math.isfinite(below) else None,
    )
