"""Durations as they are counted for Prometheus: how many did not exceed each of a few bounds."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

from cosystream.runtime.stats import Distribution


@dataclass(frozen=True, slots=True)
class Histogram:
    """Since something began, or between two moments."""

    total_seconds: float
    counts: Mapping[float, float]
    """How many did not exceed each bound, in seconds, the last of which is infinite."""

    @property
    def count(self) -> int:
        return round(self.counts[math.inf])

    def since(self, earlier: "Histogram | None") -> "Histogram":
        """What came after an earlier reading, if there was one."""
        if earlier is None:
            return self
        counts = {bound: count - earlier.counts.get(bound, 0.0) for bound, count in self.counts.items()}
        return Histogram(self.total_seconds - earlier.total_seconds, counts)

    def bound(self, percent: float) -> float:
        """The narrowest bound that ``percent`` of the durations did not exceed, in seconds."""
        return min(bound for bound, count in self.counts.items() if count >= self.count * percent / 100)


def histogram_of(distribution: Distribution) -> Histogram:
    """As it is at this moment."""
    bounds = (*distribution.bounds, math.inf)
    return Histogram(distribution.total, dict(zip(bounds, accumulate(distribution.counts), strict=True)))


def histogram_in(samples: Mapping[str, float], name: str) -> Histogram | None:
    """The one called ``name``; None if there is none."""
    pattern = re.compile(rf'{re.escape(name)}_bucket{{le="(.+)"}}')
    counts = {float(found[1]): count for sample, count in samples.items() if (found := pattern.fullmatch(sample))}
    return Histogram(samples[f"{name}_sum"], counts) if counts else None


def read_metrics(exposition: bytes) -> dict[str, float]:
    """Every sample of ``/metrics``, by its name with labels."""
    lines = (line.rsplit(" ", 1) for line in exposition.decode().splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, value in lines}
