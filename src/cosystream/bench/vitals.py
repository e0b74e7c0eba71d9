"""How the one that speaks fared meanwhile: how long its steps took, and how late its event loop was."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cosystream.bench.figures import percentile
from cosystream.bench.histogram import Histogram


@dataclass(frozen=True, slots=True)
class Durations:
    """Many durations, as far as they are known."""

    count: int
    mean_seconds: float
    p99_seconds: float
    p99_is: Literal["=", "≤", ">"] = "="
    """How the 99th percentile is to what is said: where durations are merely counted, a bound is all there is."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """Of one stretch of time; None is not known."""

    step: Durations | None = None
    """Of the worker: what a cancel may have to wait for."""
    loop_lag: Durations | None = None


def durations_of(seconds: Sequence[float]) -> Durations | None:
    if not seconds:
        return None
    return Durations(len(seconds), sum(seconds) / len(seconds), percentile(sorted(seconds), 99))


def durations_between(before: Histogram | None, after: Histogram | None) -> Durations | None:
    """What was counted between two readings."""
    if after is None or not (histogram := after.since(before)).count:
        return None
    bound = histogram.bound(99)
    return Durations(
        count=histogram.count,
        mean_seconds=histogram.total_seconds / histogram.count,
        p99_seconds=bound if math.isfinite(bound) else max(filter(math.isfinite, histogram.counts)),
        p99_is="≤" if math.isfinite(bound) else ">",
    )
