import pytest

from cosystream.bench.figures import Spread, percentile, spread


@pytest.mark.parametrize(("percent", "value"), [(0, 1.0), (50, 2.0), (51, 3.0), (75, 3.0), (99, 4.0), (100, 4.0)])
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(percent: float, value: float) -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], percent) == value


def test_a_spread_does_not_depend_on_the_order() -> None:
    assert spread(range(100, 0, -1)) == Spread(count=100, p50=50, p90=90, p95=95, p99=99, max=100)


def test_the_spread_of_nothing_is_nothing() -> None:
    assert spread([]) == Spread(count=0, p50=0, p90=0, p99=0, max=0)
