from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosystream.runtime.stats import Distribution, JobMeter, Ratio

RATE = 1_000

eighths = st.integers(0, 30)
"""Of a second, which binary fractions hold exactly."""


def watched(*chunks: tuple[float, int], begun: float = 0.0) -> JobMeter:
    """A job that arrived at 0 and brought ``chunks``: when each came, and its samples."""
    meter = JobMeter(RATE, now=0.0)
    meter.begin(begun)
    for now, num_samples in chunks:
        meter.chunk(now, num_samples)
    return meter


# A job


def test_times_count_from_arrival_and_the_rtf_from_the_beginning() -> None:
    report = watched((3.0, 1_000), (3.5, 1_000), (4.0, 2_000), begun=2.0).report()
    assert (report.chunks, report.samples, report.audio_seconds) == (3, 4_000, 4.0)
    assert (report.queue_seconds, report.first_audio_seconds) == (2.0, 3.0)
    assert report.rtf == pytest.approx((4.0 - 2.0) / 4.0)
    assert report.gaps_seconds == (0.5, 0.5)
    assert report.underruns == 0


def test_a_job_without_audio_has_no_first_audio_and_no_rtf() -> None:
    waiting, begun = JobMeter(RATE, now=5.0).report(), watched(begun=1.5).report()
    assert (waiting.first_audio_seconds, waiting.queue_seconds, waiting.rtf) == (None, 0.0, 0.0)
    assert (begun.first_audio_seconds, begun.queue_seconds, begun.rtf) == (None, 1.5, 0.0)
    assert waiting.gaps_seconds == begun.gaps_seconds == ()


@pytest.mark.parametrize(
    ("arrivals", "underruns"),
    [
        ([9.0], 0),  # the wait for the first chunk is none
        ([1.0, 2.0, 3.0], 0),  # each in the moment in which the last one ends
        ([1.0, 2.1, 3.1], 1),  # late once: from then on the player is late too
        ([1.0, 2.1, 3.2], 2),
        ([1.0, 1.0, 1.0, 4.5], 1),  # early ones are kept
        ([1.0, 1.0, 1.0, 3.5], 0),
    ],
)
def test_an_underrun_is_a_chunk_that_comes_after_the_last_one_was_heard(arrivals: list[float], underruns: int) -> None:
    assert watched(*((now, 1_000) for now in arrivals)).report().underruns == underruns


@given(st.lists(st.tuples(eighths, eighths), max_size=30))
def test_underruns_are_those_of_a_player_who_counts_what_he_has_left(chunks: list[tuple[int, int]]) -> None:
    meter, now, left, underruns = watched(), 0, 0, 0
    for index, (wait, duration) in enumerate(chunks):
        now += wait
        meter.chunk(now / 8, duration * RATE // 8)
        underruns += index > 0 and wait > left
        left = max(0, left - wait) + duration
    assert meter.report().underruns == underruns


@given(st.lists(st.floats(0, 10), max_size=30))
def test_there_is_a_gap_between_each_chunk_and_the_next(waits: list[float]) -> None:
    arrivals = list(accumulate(waits, initial=1.0))
    report = watched(*((now, 1) for now in arrivals)).report()
    assert report.gaps_seconds == tuple(later - earlier for earlier, later in pairwise(arrivals))


def test_the_time_for_which_a_job_was_paused_counts_in_no_figure() -> None:
    meter = watched((1.0, 1_000), (1.5, 1_000))
    meter.resume(now=60.0)
    meter.chunk(60.5, 1_000)
    report, unpaused = meter.report(), watched((1.0, 1_000), (1.5, 1_000), (2.0, 1_000)).report()
    assert report == unpaused
    meter.chunk(62.6, 1_000)  # after the pause an underrun is one again
    assert meter.report().underruns == 1


def test_a_listener_is_in_silence_once_he_has_heard_everything() -> None:
    meter = JobMeter(RATE, now=1.0)
    assert meter.silent_since == 1.0
    meter.begin(2.0)
    assert meter.silent_since == 2.0
    meter.chunk(3.0, 5_000)
    meter.chunk(3.5, 5_000)
    assert meter.silent_since == 13.0
    meter.resume(7.5)
    assert meter.silent_since == 17.0


# A ratio


def test_a_ratio_begins_with_a_guess_that_the_first_observation_outvotes() -> None:
    ratio = Ratio(initial=0.5, half_life=20.0)
    assert ratio.value == pytest.approx(0.5)
    ratio.observe(2.0, 10.0)
    assert ratio.value == pytest.approx(0.2, rel=0.02)


def test_what_was_seen_a_half_life_ago_counts_half() -> None:
    ratio = Ratio(initial=1.0, half_life=20.0)
    ratio.observe(1e6, 1e6)  # outweighs the guess
    ratio.observe(0.0, 20.0)
    assert ratio.value == pytest.approx(0.5 * 1e6 / (0.5 * 1e6 + 20.0))


def test_a_distribution_counts_a_value_below_the_first_bound_that_it_does_not_exceed() -> None:
    distribution = Distribution((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 7.0):
        distribution.observe(value)
    assert (distribution.counts, distribution.total) == ([2, 1, 1], 10.0)


def test_time_without_audio_raises_the_ratio() -> None:
    ratio = Ratio(initial=0.1, half_life=20.0)
    ratio.observe(1.0, 10.0)
    before = ratio.value
    ratio.observe(1.0, 0.0)
    assert ratio.value > before


@given(st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)), max_size=50), st.floats(0.01, 10))
def test_a_ratio_stays_among_the_quotients_it_has_seen(seen: list[tuple[float, float]], initial: float) -> None:
    ratio = Ratio(initial, half_life=10.0)
    quotients = [initial]
    for quotient, divisor in seen:
        ratio.observe(quotient * divisor, divisor)
        quotients.append(quotient)
        assert min(quotients) * 0.999 <= ratio.value <= max(quotients) * 1.001
