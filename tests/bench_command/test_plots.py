from pathlib import Path

import pytest
from matplotlib.image import imread

from cosystream.bench.heard import Listener
from cosystream.bench.level import Level
from cosystream.bench.listeners import Asked
from cosystream.bench.plan import Load
from cosystream.bench.plots import NUM_ROWS, plot_first_audio, plot_timeline, timeline_name
from tests.bench_command.samples import level
from tests.bench_command.targets import heard

REFUSED = Listener("text", 0.0).heard(503, retry_after_seconds=1.0, rtf=None, problem=None)


@pytest.mark.parametrize(
    "levels",
    [
        [level(Load(streams=1))],
        [level(Load(streams=streams), stall_free=1 / streams) for streams in (1, 2, 256)],
        [level(Load(rate=rate), first_audio_seconds=0.0) for rate in (0.5, 20.0)],
    ],
)
def test_first_audio_is_drawn_for_any_loads(levels: list[Level], tmp_path: Path) -> None:
    plot_first_audio(levels, tmp_path / "picture.png")
    assert _colours(tmp_path / "picture.png") > 3


def test_a_timeline_shows_who_stalls_and_who_is_refused(tmp_path: Path) -> None:
    stalling = heard([(0.25, 0.5), (2.0, 0.5)])
    smooth = heard([(0.25, 0.5), (0.5, 0.5)])
    for name, one in (("smooth", smooth), ("stalling", stalling), ("refused", REFUSED)):
        plot_timeline(Load(streams=1), [Asked(0, 0, 0.0, one)], tmp_path / f"{name}.png")
    red = {name: _red(tmp_path / f"{name}.png") for name in ("smooth", "stalling", "refused")}
    assert red["stalling"] > 10 * red["smooth"]  # the legend has some
    assert red["refused"] > red["smooth"]


def test_a_timeline_is_no_higher_for_more_requests_than_it_shows(tmp_path: Path) -> None:
    heights = []
    for number in (1, NUM_ROWS, 10 * NUM_ROWS):
        path = tmp_path / f"{number}.png"
        plot_timeline(Load(streams=1), [Asked(index, 0, index, REFUSED) for index in range(number)], path)
        heights.append(imread(path).shape[0])
    assert heights[0] < heights[1] == heights[2]


def test_the_file_of_a_timeline_is_named_after_its_load() -> None:
    assert timeline_name(Load(streams=4, is_eager=True)) == "timeline-4-streams-eager.png"


def _colours(path: Path) -> int:
    return len({tuple(pixel) for row in imread(path)[::4] for pixel in row[::4]})


def _red(path: Path) -> int:
    red, green, blue = (imread(path)[..., channel] for channel in range(3))
    return int(((red > 0.7) & (green < 0.3) & (blue < 0.3)).sum())
