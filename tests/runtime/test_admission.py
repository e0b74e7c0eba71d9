import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosystream.runtime.admission import longest_audio_seconds, waits

work = st.floats(0, 100)
works = st.lists(work, max_size=12)
capacities = st.integers(1, 5)


def test_with_room_for_one_each_waits_for_all_before_it() -> None:
    assert waits([3.0], [1.0, 2.0, 4.0], capacity=1) == [3.0, 4.0, 6.0]


def test_those_that_run_share_the_worker_evenly() -> None:
    assert waits([1.0, 4.0], [9.0, 9.0], capacity=2) == [2.0, 8.0]  # the second ends with 3 left, at half speed each


def test_nobody_waits_while_there_is_room() -> None:
    assert waits([5.0], [1.0, 1.0], capacity=3) == [0.0, 0.0]
    assert waits([], [], capacity=1) == []


def test_more_may_be_running_than_there_is_room_for_by_now() -> None:
    assert waits([1.0, 1.0, 1.0], [1.0], capacity=1) == [3.0]


def second_by_second(running: list[int], waiting: list[int], capacity: int) -> list[int]:
    """The same, by giving one unit to each in turn: right for whole numbers, but slow."""
    running, begins, now = sorted(running), [], 0
    for job in waiting:
        running = [left for left in running if left]
        while len(running) >= capacity:
            now += len(running)
            running = [left - 1 for left in running if left > 1]
        begins.append(now)
        running.append(job)
    return begins


@given(st.lists(st.integers(0, 20), max_size=8), st.lists(st.integers(0, 20), max_size=8), capacities)
def test_it_is_what_giving_a_unit_to_each_in_turn_comes_to(
    running: list[int], waiting: list[int], capacity: int
) -> None:
    assert waits(running, waiting, capacity) == pytest.approx(second_by_second(running, waiting, capacity))


@given(works, works, capacities)
def test_nobody_is_begun_before_those_in_front_or_later_than_their_work_takes(
    running: list[float], waiting: list[float], capacity: int
) -> None:
    begins = waits(running, waiting, capacity)
    assert begins == sorted(begins)
    for index, begin in enumerate(begins):
        assert 0 <= begin <= sum(running) + sum(waiting[:index]) + 1e-6


@given(works, works, work, capacities)
def test_one_more_job_lets_nobody_begin_sooner(
    running: list[float], waiting: list[float], more: float, capacity: int
) -> None:
    before, after = waits(running, waiting, capacity), waits([*running, more], waiting, capacity)
    assert all(later >= sooner - 1e-6 for sooner, later in zip(before, after, strict=True))


@given(works, works, capacities)
def test_a_worker_of_half_the_speed_makes_everybody_wait_twice_as_long(
    running: list[float], waiting: list[float], capacity: int
) -> None:
    slow = waits([2 * each for each in running], [2 * each for each in waiting], capacity)
    assert slow == pytest.approx([2 * begin for begin in waits(running, waiting, capacity)])


def test_the_longest_audio_grows_with_the_text_and_shrinks_with_the_speed() -> None:
    assert longest_audio_seconds("", speed=1.0) == 20.0
    assert longest_audio_seconds("7" * 10, speed=1.0) == 40.0
    assert longest_audio_seconds("7" * 10, speed=0.5) == 80.0
