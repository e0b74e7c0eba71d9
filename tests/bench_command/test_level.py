import pytest

from cosystream.bench.heard import Listener
from cosystream.bench.level import most_streams, sum_up
from cosystream.bench.listeners import Asked
from cosystream.bench.plan import Load
from cosystream.bench.vitals import Vitals
from tests.bench_command.samples import level
from tests.bench_command.targets import heard

SMOOTH = heard([(0.25, 1.0), (1.0, 1.0)])
LATE = heard([(0.5, 1.0), (1.578125, 1.0)])  # 78 ms too late
REFUSED = Listener("text", 0.0).heard(503, retry_after_seconds=1.0, rtf=None, problem=None)
BROKEN = Listener("text", 0.0).heard(200, retry_after_seconds=None, rtf=None, problem="the answer breaks off")
ASKED = [Asked(index, index, 1.0 + index, one) for index, one in enumerate((SMOOTH, LATE, REFUSED, BROKEN))]


def test_everybody_who_asked_is_in_one_of_three_heaps() -> None:
    figures = sum_up(Load(rate=1.0), ASKED, Vitals())
    assert (figures.requests, figures.served, figures.refused, figures.failed) == (4, 2, 1, 1)
    assert figures.problems == ("the answer breaks off",)


def test_a_buffer_saves_whoever_was_late_by_less_and_nobody_else_is_free_of_stalls() -> None:
    figures = sum_up(Load(rate=1.0), ASKED, Vitals())
    assert {one.buffer_ms: one.share for one in figures.stall_free} == {0: 0.25, 50: 0.25, 100: 0.5, 200: 0.5}


def test_the_figures_are_of_all_that_arrived() -> None:
    figures = sum_up(Load(rate=1.0), ASKED, Vitals())
    assert (figures.first_audio_seconds.p50, figures.first_audio_seconds.max) == (0.25, 0.5)
    assert figures.gap_seconds.max == 1.078125
    assert figures.audio_seconds == 4.0


@pytest.mark.parametrize(
    ("load", "seconds"),
    [
        (Load(rate=1.0), 2.578125),
        (Load(streams=4, is_eager=True), 2.578125),
        (Load(streams=4), 3.578125),  # the last one plays for another second
    ],
)
def test_a_load_lasts_until_the_last_chunk_or_for_those_who_wait_until_it_has_been_played(
    load: Load, seconds: float
) -> None:
    figures = sum_up(load, ASKED, Vitals())
    assert figures.seconds == seconds
    assert figures.audio_per_second == 4.0 / seconds


def test_of_nobody_there_is_nothing_to_say() -> None:
    figures = sum_up(Load(streams=1), [], Vitals())
    assert (figures.requests, figures.audio_per_second, figures.is_well_served) == (0, 0.0, False)


def test_n_at_99_is_the_largest_crowd_of_which_hardly_anybody_stalls_or_waits() -> None:
    levels = [
        level(Load(streams=1)),
        level(Load(streams=8), stall_free=0.99, first_audio_seconds=0.5),
        level(Load(streams=16), stall_free=0.98),
        level(Load(streams=32), first_audio_seconds=0.51),
    ]
    assert most_streams(levels) == 8
    assert most_streams(levels[2:]) is None
    assert most_streams([level(Load(rate=1.0))]) is None
