from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cosystream.bench.playback import Arrival, PlaybackClock, buffer_needed, played


def sixteenths(number: int) -> float:
    """Of a second: binary, so that sums of them are exact."""
    return number / 16


def test_audio_in_time_never_runs_dry() -> None:
    clock = PlaybackClock()
    for now in (5.0, 5.5, 6.5, 8.0):  # the last one at the very last moment
        clock.audio(now, 1.0)
    assert (clock.underruns, clock.starved_seconds, clock.audio_seconds) == (0, 0.0, 4.0)


def test_late_audio_is_an_underrun_for_as_long_as_it_was_late() -> None:
    clock = PlaybackClock()
    for now in (5.0, 6.25, 7.25):
        clock.audio(now, 1.0)
    assert (clock.underruns, clock.starved_seconds) == (1, 0.25)


def test_a_lead_once_lost_is_lost() -> None:
    clock = PlaybackClock()
    for now in (0.0, 3.0, 4.5):
        clock.audio(now, 1.0)
    assert (clock.underruns, clock.starved_seconds) == (2, 2.5)


def test_waiting_for_the_first_audio_is_no_underrun() -> None:
    clock = PlaybackClock()
    clock.audio(100.0, 1.0)
    assert clock.underruns == 0


ARRIVALS = st.lists(st.builds(Arrival, st.integers(0, 400).map(sixteenths), st.integers(1, 60).map(sixteenths)))


@given(ARRIVALS.map(lambda arrivals: sorted(arrivals, key=lambda one: one.seconds)))
def test_with_the_buffer_that_it_needs_a_player_never_stalls_and_with_less_it_does(arrivals: list[Arrival]) -> None:
    needed = buffer_needed(arrivals)
    assert _underruns(arrivals, needed) == 0
    if needed:
        assert _underruns(arrivals, needed - sixteenths(1)) > 0


@given(ARRIVALS.map(lambda arrivals: sorted(arrivals, key=lambda one: one.seconds)))
def test_what_is_played_is_all_that_arrived_and_the_silence_between_is_what_starved(arrivals: list[Arrival]) -> None:
    sounding = played(arrivals)
    silences = [later.begin_seconds - sooner.end_seconds for sooner, later in pairwise(sounding)]
    clock = PlaybackClock()
    for arrival in arrivals:
        clock.audio(arrival.seconds, arrival.audio_seconds)
    assert sum(silences) == clock.starved_seconds
    assert sum(chunk.end_seconds - chunk.begin_seconds for chunk in sounding) == clock.audio_seconds
    assert all(chunk.begin_seconds >= arrival.seconds for chunk, arrival in zip(sounding, arrivals, strict=True))


def _underruns(arrivals: list[Arrival], buffer_seconds: float) -> int:
    """Of a player that holds the first chunk back: to it, that chunk comes later, and no chunk before it."""
    clock = PlaybackClock()
    for arrival in arrivals:
        clock.audio(max(arrival.seconds, arrivals[0].seconds + buffer_seconds), arrival.audio_seconds)
    return clock.underruns
