from bench.playback import PlaybackClock


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
