from bench.loop_lag import LoopLag, loop_lag


def _reading(below_5_ms: int, below_10_ms: int, in_all: int, total_seconds: float) -> dict[str, float]:
    name = "cosystream_loop_lag_seconds"
    return {
        f'{name}_bucket{{le="0.005"}}': below_5_ms,
        f'{name}_bucket{{le="0.01"}}': below_10_ms,
        f'{name}_bucket{{le="+Inf"}}': in_all,
        f"{name}_count": in_all,
        f"{name}_sum": total_seconds,
        "cosystream_ready": 1.0,
    }


def test_what_was_seen_before_does_not_count() -> None:
    before, after = _reading(1, 2, 3, 0.5), _reading(11, 12, 13, 0.52)
    assert loop_lag(before, after) == LoopLag(count=10, mean_ms=2.0000000000000018, below_ms=5.0)


def test_the_bound_is_that_of_the_latest_one() -> None:
    nothing = _reading(0, 0, 0, 0.0)
    assert loop_lag(nothing, _reading(9, 10, 10, 0.04)).below_ms == 10.0
    assert loop_lag(nothing, _reading(9, 9, 10, 0.04)).below_ms is None


def test_a_loop_that_nobody_watched_has_no_lag() -> None:
    assert loop_lag({}, _reading(0, 0, 0, 0.0)) == LoopLag(count=0, mean_ms=0.0, below_ms=5.0)
