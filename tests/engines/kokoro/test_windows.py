from hypothesis import given
from hypothesis import strategies as st

from cosystream.engines.kokoro.windows import Frames, plan_windows

spans = st.builds(lambda start, size: Frames(start, start + size), st.integers(0, 50), st.integers(1, 3000))


@given(spans)
def test_windows_cover_all_frames_once_and_in_order(frames: Frames) -> None:
    windows = list(plan_windows(frames))
    assert [frame for window in windows for frame in range(window.start, window.end)] == [
        *range(frames.start, frames.end)
    ]


@given(spans)
def test_no_window_keeps_others_waiting_for_long(frames: Frames) -> None:
    assert max(map(len, plan_windows(frames))) <= 64


@given(spans)
def test_no_window_is_hardly_worth_its_context_unless_the_clause_is(frames: Frames) -> None:
    assert min(map(len, plan_windows(frames))) >= min(12, len(frames))


def test_the_first_window_is_small_so_that_it_is_heard_early() -> None:
    assert [len(window) for window in plan_windows(Frames(10, 310))] == [24, 32, 48, 49, 49, 49, 49]
