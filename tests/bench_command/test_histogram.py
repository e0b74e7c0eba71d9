import math
from random import Random

import pytest

from cosystream.bench.figures import percentile
from cosystream.bench.histogram import Histogram, histogram_in, histogram_of, read_metrics
from cosystream.bench.vitals import Durations, durations_between
from cosystream.runtime.stats import Distribution

BOUNDS = (0.01, 0.1, 1.0)
EXPOSITION = b"""# HELP lag_seconds How late.
# TYPE lag_seconds histogram
lag_seconds_bucket{le="0.01"} 1.0
lag_seconds_bucket{le="0.1"} 3.0
lag_seconds_bucket{le="1.0"} 3.0
lag_seconds_bucket{le="+Inf"} 4.0
lag_seconds_count 4.0
lag_seconds_sum 5.5
"""


def _observed(*values: float) -> Histogram:
    distribution = Distribution(BOUNDS)
    for value in values:
        distribution.observe(value)
    return histogram_of(distribution)


def test_metrics_and_the_engines_own_counts_say_the_same() -> None:
    read = histogram_in(read_metrics(EXPOSITION), "lag_seconds")
    assert read == _observed(0.005, 0.05, 0.095, 5.35)
    assert read.count == 4


def test_what_is_not_counted_is_not_there() -> None:
    assert histogram_in(read_metrics(EXPOSITION), "step_seconds") is None
    assert durations_between(None, None) is None


def test_what_came_before_does_not_count() -> None:
    assert durations_between(_observed(5.0), _observed(5.0)) is None
    assert durations_between(_observed(5.0), _observed(5.0, 0.25)) == Durations(1, 0.25, 1.0, "≤")
    assert durations_between(_observed(0.25), _observed(0.25, 5.0)) == Durations(1, 5.0, 1.0, ">")


@pytest.mark.parametrize("percent", [0, 50, 99, 100])
def test_the_bound_of_a_percentile_is_the_first_one_that_it_does_not_exceed(percent: float) -> None:
    chance = Random(percent)
    values = sorted(10 ** chance.uniform(-3, 0.5) for _ in range(50))
    exact = percentile(values, percent)
    first = next(bound for bound in (*BOUNDS, math.inf) if exact <= bound)
    assert _observed(*values).bound(percent) == (BOUNDS[0] if percent == 0 else first)
