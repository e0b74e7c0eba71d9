"""Who may ask for how much."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection

from cosystream.errors import RateLimited
from cosystream.web.limits import FEW, HOUR, HourlyLimit, caller_of
from tests.support.cores import Clock


def taken(limit: HourlyLimit, caller: str = "ann") -> bool:
    try:
        limit.take(caller)
    except RateLimited:
        return False
    return True


@pytest.mark.parametrize("most", [1, 3, 7, 60])
def test_so_many_may_be_taken_at_once_and_then_one_by_one(most: int) -> None:
    clock = Clock()
    limit = HourlyLimit(most, "recordings", clock)
    assert [taken(limit) for _ in range(most + 2)] == [True] * most + [False, False]
    clock.now += HOUR / most
    assert [taken(limit) for _ in range(2)] == [True, False]
    clock.now += HOUR
    assert [taken(limit) for _ in range(most + 1)] == [True] * most + [False]


def test_who_is_refused_is_told_when_to_come_back() -> None:
    clock = Clock()
    limit = HourlyLimit(6, "recordings", clock)
    for _ in range(6):
        limit.take("ann")
    clock.now += 100
    with pytest.raises(RateLimited, match=r"^6 recordings an hour are the most for one caller$") as caught:
        limit.take("ann")
    assert caught.value.retry_after_seconds == pytest.approx(500)
    clock.now += caught.value.retry_after_seconds
    assert taken(limit)


@given(st.lists(st.floats(0, 2000), max_size=60), st.integers(1, 10))
def test_never_more_than_twice_as_many_within_any_hour(pauses: list[float], most: int) -> None:
    clock, times = Clock(), []
    limit = HourlyLimit(most, "recordings", clock)
    for pause in pauses:
        clock.now += pause
        if taken(limit):
            times.append(clock.now)
    for begin in times:
        assert sum(begin <= time <= begin + HOUR for time in times) <= 2 * most


def test_callers_do_not_disturb_each_other() -> None:
    limit = HourlyLimit(1, "recordings", Clock())
    assert [taken(limit, caller) for caller in ("ann", "bob", "ann", "bob")] == [True, True, False, False]


def test_those_who_have_rested_are_forgotten() -> None:
    clock = Clock()
    limit = HourlyLimit(1, "recordings", clock)
    for number in range(10 * FEW):
        clock.now += 10.0
        assert taken(limit, str(number))
    assert len(limit._rested_at) <= FEW


def connection(host: str | None, **headers: str) -> HTTPConnection:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return HTTPConnection({"type": "http", "headers": raw, "client": None if host is None else (host, 1)})


def test_a_key_is_one_caller_wherever_it_comes_from_and_whatever_else_is_sent() -> None:
    keys = ("s3cret", "schlüssel")
    ann = {
        caller_of(connection("1.2.3.4", x_api_key="s3cret"), keys),
        caller_of(connection("1.2.3.5", authorization="Bearer s3cret"), keys),
        caller_of(connection("1.2.3.5", authorization="Bearer other", x_api_key="s3cret"), keys),
    }
    bob = caller_of(connection("1.2.3.4", x_api_key="schlüssel"), keys)
    assert len(ann) == 1
    assert bob not in ann


def test_without_keys_an_address_is_one_caller_and_so_are_all_that_a_household_has() -> None:
    def caller(host: str | None) -> str:
        return caller_of(connection(host), ())

    assert caller("1.2.3.4") == "1.2.3.4" != caller("1.2.3.5")
    assert caller("2001:db8::1") == caller("2001:db8::ffff:1") != caller("2001:db8:0:1::1")
    assert caller("unix") == "unix"
    assert caller(None) == ""
