"""Many values as the few figures that people compare."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """How values are spread; all of it 0 of no values."""

    count: int
    p50: float
    p90: float
    p99: float
    max: float
    p95: float = 0.0
    """0 in results that are older than this field."""


def spread(values: Iterable[float]) -> Spread:
    ordered = sorted(values)
    return Spread(
        count=len(ordered),
        p50=percentile(ordered, 50),
        p90=percentile(ordered, 90),
        p95=percentile(ordered, 95),
        p99=percentile(ordered, 99),
        max=ordered[-1] if ordered else 0.0,
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest value that at least ``percent`` of ``ordered`` do not exceed; 0 of no values."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
