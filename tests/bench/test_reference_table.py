import pytest

from bench.reference_protocol import BLOCK, MENDED, PUBLISHED, SMALL, About, Arrival
from bench.reference_table import (
    ChunkTimes,
    Comparison,
    Run,
    audio_per_second,
    first_audio_seconds,
    render,
    rtf,
)
from cosystream.bench.machine import Machine

TWO = Run(SMALL, ((Arrival(1.0, 1.0), Arrival(4.0, 3.0)), (Arrival(2.0, 1.0), Arrival(6.0, 1.0))))


def test_first_audio_is_the_median_of_the_listeners() -> None:
    assert first_audio_seconds(TWO) == 1.5


def test_rtf_is_that_of_the_listener_who_fares_worst() -> None:
    assert rtf(TWO) == 3.0


def test_audio_of_all_listeners_counts_until_the_last_has_everything() -> None:
    assert audio_per_second(TWO) == 1.0


def test_the_table_says_how_many_times_better_we_are_however_the_figure_is_read() -> None:
    lines = [line for line in render(_comparison()).splitlines() if line.startswith("|")]
    rows = {cells[1].strip(): [cell.strip() for cell in cells[2:-1]] for cells in (line.split("|") for line in lines)}
    assert rows["first audio, a block of tokens"] == ["40 s", "20 s", "4 s", "10.0× / 5.0×"]
    assert rows["first audio, small first hop"] == ["40 s", "20 s", "2 s", "20.0× / 10.0×"]
    assert rows["RTF, one stream"] == ["8", "4", "0.4", "20.0× / 10.0×"]
    assert rows["audio seconds per second, 2 streams"] == ["0.25", "0.5", "5", "20.0× / 10.0×"]
    assert rows["a second of audio, at second 1"] == ["10 s", "10 s", "1 s", "10.0× / 10.0×"]
    assert rows["– at second 30"] == ["80 s", "80 s", "1.1 s", "72.7× / 72.7×"]
    assert rows["– second 30 against second 1"] == ["8.00", "8.00", "1.10", ""]
    assert rows["– the same, begun with a small first hop"] == ["", "", "1.00", ""]


def test_a_figure_of_several_runs_is_their_median() -> None:
    assert "| 7 s |" in render(_comparison(_run(SMALL, 7.0), _run(SMALL, 9.0)))


@pytest.mark.parametrize("words", ["python -m bench.reference", "2026-11-23", "0.3 cores", "250 tokens", "torch 2.13"])
def test_the_table_says_where_its_figures_come_from(words: str) -> None:
    assert words in render(_comparison())


def _comparison(*more: Run) -> Comparison:
    """First audio after 40, 20, 4 and 2 s, and all else in proportion."""
    firsts = {PUBLISHED: 40.0, MENDED: 20.0, BLOCK: 4.0, SMALL: 2.0}
    alone = (_run(way, first) for way, first in firsts.items())
    together = (_run(way, firsts[way], num_streams=2) for way in (PUBLISHED, MENDED, SMALL))
    return Comparison(
        command="python -m bench.reference --reference DIR",
        date="2026-11-23",
        machine=Machine("a processor", 2, "3.11", {"torch": "2.13"}),
        neighbour_cores=0.3,
        checkpoint="random weights",
        num_tokens=250,
        num_prompt_tokens=75,
        late_second=30,
        theirs=About({"transformers": "4.51"}, 2, "float32"),
        ours=About({"torch": "2.13"}, 2, "bfloat16"),
        runs=(*alone, *together, *more),
        chunks={
            PUBLISHED: ChunkTimes(10.0, 80.0),
            BLOCK: ChunkTimes(1.0, 1.1),
            SMALL: ChunkTimes(1.1, 1.1),
        },
    )


def _run(way: str, first: float, num_streams: int = 1) -> Run:
    return Run(way, num_streams * ((Arrival(first, 5.0), Arrival(2 * first, 5.0)),))
