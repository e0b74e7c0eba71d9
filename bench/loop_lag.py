"""How late the server's event loop woke up, out of two readings of its /metrics."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from cosystream.bench.histogram import histogram_in
from cosystream.bench.http_target import LOOP_LAG_SECONDS


@dataclass(frozen=True, slots=True)
class LoopLag:
    count: int
    mean_ms: float
    below_ms: float | None
    """The narrowest of the histogram's buckets that holds every one of them; None where only the last does."""


def loop_lag(before: Mapping[str, float], after: Mapping[str, float]) -> LoopLag:
    """What was seen between two readings, given as samples by name with labels."""
    reading = histogram_in(after, LOOP_LAG_SECONDS)
    assert reading is not None, "every server of ours tells it"
    histogram = reading.since(histogram_in(before, LOOP_LAG_SECONDS))
    below = histogram.bound(100)
    return LoopLag(
        count=histogram.count,
        mean_ms=1000 * histogram.total_seconds / histogram.count if histogram.count else 0.0,
        below_ms=1000 * below if math.isfinite(below) else None,
    )
