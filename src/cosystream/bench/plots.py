"""Results as pictures: how soon listeners hear something, and what each of them heard when."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from cosystream.bench.level import MAX_FIRST_AUDIO_SECONDS, MIN_STALL_FREE, Level
from cosystream.bench.listeners import Asked
from cosystream.bench.plan import Load
from cosystream.bench.playback import played

FIRST_AUDIO = "first-audio.png"
NUM_ROWS = 16
"""Requests in a timeline, the first ones: more could not be told apart."""
DOTS_PER_INCH = 120
WAITING, PLAYING, STALLED, ARRIVAL, GOAL = "#d9d9d9", "#7fb2d9", "#d62728", "#1a1a1a", "#888888"


def plot_first_audio(levels: Sequence[Level], path: Path) -> None:
    """Above, percentiles of first audio against the load; below, how many listeners never stalled."""
    figure = Figure(figsize=(8, 7), dpi=DOTS_PER_INCH, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    is_closed = levels[0].load.streams is not None
    loads = [float(level.load.streams if level.load.streams is not None else level.load.rate or 0) for level in levels]
    _percentiles(above, loads, levels)
    _shares(below, loads, levels)
    below.set_xlabel("streams at once" if is_closed else "new listeners a second")
    if is_closed:
        below.set_xscale("log", base=2)
    below.set_xticks(loads, labels=[f"{load:g}" for load in loads])
    below.minorticks_off()
    figure.savefig(path)


def _percentiles(axes: Axes, loads: Sequence[float], levels: Sequence[Level]) -> None:
    for name, shade, size in (("p99", "#9ecae1", 9), ("p95", "#4292c6", 7), ("p50", "#08306b", 5)):
        values = [1000 * getattr(level.first_audio_seconds, name) or float("nan") for level in levels]
        axes.plot(loads, values, "o-", color=shade, markersize=size, label=name)
    axes.axhline(1000 * MAX_FIRST_AUDIO_SECONDS, color=GOAL, linestyle="--", label="goal for p95")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_ylabel("first audio, ms")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()


def _shares(axes: Axes, loads: Sequence[float], levels: Sequence[Level]) -> None:
    for number, buffer in enumerate(levels[0].stall_free):
        shares = [100 * level.share_stall_free(buffer.buffer_ms) for level in levels]
        size = 11 - 2 * number  # where they coincide, each is a rim around the next
        axes.plot(loads, shares, "o-", color=f"C{number}", markersize=size, label=f"{buffer.buffer_ms} ms")
    axes.axhline(100 * MIN_STALL_FREE, color=GOAL, linestyle="--")
    axes.set_ylim(-3, 103)
    axes.set_ylabel("stall-free, %")
    axes.grid(visible=True, alpha=0.3)
    axes.legend(title="initial buffer")


def timeline_name(load: Load) -> str:
    """The file of a load's timeline."""
    return f"timeline-{str(load).replace(',', '').replace(' ', '-')}.png"


def plot_timeline(load: Load, asked: Sequence[Asked], path: Path) -> None:
    """A line for each of the first requests: when it waits, plays and stalls, and when its chunks arrive."""
    shown = asked[:NUM_ROWS]
    figure = Figure(figsize=(11, 1.6 + 0.32 * len(shown)), dpi=DOTS_PER_INCH, layout="constrained")
    axes = figure.subplots()
    for row, one in enumerate(shown):
        _timeline(axes, row, one)
    axes.set_yticks(range(len(shown)), labels=[f"{one.index + 1}" for one in shown])
    axes.invert_yaxis()
    axes.set_ylabel("request")
    axes.set_xlabel("seconds from the beginning")
    what = f"the first {len(shown)} of {len(asked)} requests" if len(asked) > len(shown) else "every request"
    axes.set_title(f"{load}: {what}", fontsize="medium", loc="left")
    (dots,) = axes.plot([], [], "|", color=ARRIVAL, markersize=9, label="chunk arrives")
    states = ((WAITING, "waits"), (PLAYING, "plays"), (STALLED, "stalls"))
    patches = [Patch(color=color, label=label) for color, label in states]
    figure.legend(handles=[*patches, dots], ncols=4, loc="outside lower right", fontsize="small")
    axes.grid(visible=True, axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    figure.savefig(path)


def _timeline(axes: Axes, row: int, one: Asked) -> None:
    arrivals, begins = one.heard.arrivals, one.asked_seconds
    if not arrivals:
        words = "refused" if one.heard.refused else one.heard.problem or "heard nothing"
        axes.annotate(f"× {words}", (begins, row), va="center", fontsize="small", color=STALLED)
        return
    sounding = played(arrivals)
    ends = [0.0, *(chunk.end_seconds for chunk in sounding)]
    silences = [(begins + end, chunk.begin_seconds - end) for end, chunk in zip(ends, sounding, strict=False)]
    plays = [(begins + chunk.begin_seconds, chunk.end_seconds - chunk.begin_seconds) for chunk in sounding]
    for bars, color in ((silences[:1], WAITING), (silences[1:], STALLED), (plays, PLAYING)):
        axes.broken_barh(bars, (row - 0.3, 0.6), facecolors=color, edgecolors="white", linewidth=0.4)
    moments = [begins + arrival.seconds for arrival in arrivals]
    axes.plot(moments, [row] * len(moments), "|", color=ARRIVAL, markersize=9)
