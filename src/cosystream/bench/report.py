"""Results as text to read in a terminal: one load a line, or two results beside each other."""

from collections.abc import Callable, Iterable, Sequence

from cosystream.bench.figures import Spread
from cosystream.bench.level import BUFFERS_MS, MAX_FIRST_AUDIO_SECONDS, MIN_STALL_FREE, Level
from cosystream.bench.results import Results
from cosystream.bench.vitals import Durations

HEADER = (
    "load",
    "asked",
    "served",
    "refused",
    "first audio p50/p95/p99",
    f"stall-free {'/'.join(map(str, BUFFERS_MS))} ms",
    "gap p50/p99",
    "RTF p50/p95",
    "audio s/s",
    "step p99",
    "loop lag p99",
)
COMPARED: tuple[tuple[str, Callable[[Level], float]], ...] = (
    ("first audio p50, ms", lambda level: 1000 * level.first_audio_seconds.p50),
    ("first audio p95, ms", lambda level: 1000 * level.first_audio_seconds.p95),
    ("first audio p99, ms", lambda level: 1000 * level.first_audio_seconds.p99),
    ("gap p99, ms", lambda level: 1000 * level.gap_seconds.p99),
    ("RTF p50", lambda level: level.rtf.p50),
    ("audio s/s", lambda level: level.audio_per_second),
    ("stall-free, %", lambda level: 100 * level.share_stall_free(0)),
    ("refused", lambda level: float(level.refused)),
)


def render(results: Results) -> str:
    """Everything that is worth reading, without a line break at the end."""
    lines = [_origin(results), "", *table(HEADER, map(_row, results.levels)), "", _n_at_99(results)]
    lines += [
        f"{level.load}: {level.failed} broke off or got no answer: {'; '.join(level.problems)}"
        for level in results.levels
        if level.failed
    ]
    return "\n".join(lines)


def compare(before: Results, after: Results) -> str:
    """The loads that both have, figure by figure: one, the other, and how many times the one the other is."""
    counterparts = {str(level.load): level for level in before.levels}
    rows = [
        (str(level.load) if number == 0 else "", *_compared(name, figure, counterparts[str(level.load)], level))
        for level in after.levels
        if str(level.load) in counterparts
        for number, (name, figure) in enumerate(COMPARED)
    ]
    body = table(("load", "figure", "A", "B", "B / A"), rows) if rows else ["They have no load in common."]
    goals = f"N@99: A {_number(before.n_at_99)}, B {_number(after.n_at_99)}"
    return "\n".join([f"A: {_origin(before)}", f"B: {_origin(after)}", "", *body, "", goals])


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines, the columns as wide as their widest cell; the first is flush left, the others flush right."""
    cells = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) if not column else cell.rjust(width) for column, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(row, widths, strict=True)) for row in cells)
    ]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]


def _origin(results: Results) -> str:
    target, machine = results.target, results.machine
    model = f" with {target.model}" if target.model else ""
    return f"{target.engine}{model}, {target.where}, on {results.date}; {machine.processors}"


def _row(level: Level) -> tuple[str, ...]:
    shares = "/".join(f"{100 * one.share:.4g}" for one in level.stall_free)
    return (
        str(level.load),
        str(level.requests),
        str(level.served),
        str(level.refused),
        _milliseconds(level.first_audio_seconds, 50, 95, 99),
        f"{shares} %",
        _milliseconds(level.gap_seconds, 50, 99),
        f"{level.rtf.p50:.2f}/{level.rtf.p95:.2f}" if level.rtf.count else "–",
        f"{level.audio_per_second:.2f}",
        _p99(level.vitals.step),
        _p99(level.vitals.loop_lag),
    )


def _milliseconds(seconds: Spread, *percents: int) -> str:
    if not seconds.count:
        return "–"
    by_percent = {50: seconds.p50, 95: seconds.p95, 99: seconds.p99}
    return "/".join(f"{1000 * by_percent[percent]:.0f}" for percent in percents) + " ms"


def _p99(durations: Durations | None) -> str:
    if durations is None:
        return "–"
    milliseconds = 1000 * durations.p99_seconds
    number = f"{milliseconds:.1f}" if milliseconds < 10 else f"{milliseconds:.0f}"
    return f"{durations.p99_is.replace('=', '')} {number} ms".strip()


def _n_at_99(results: Results) -> str:
    if all(level.load.streams is None for level in results.levels):
        return "N@99: not measured, since listeners came at random; --streams measures it"
    goal = f"≥ {MIN_STALL_FREE:.0%} stall-free, first audio p95 ≤ {1000 * MAX_FIRST_AUDIO_SECONDS:.0f} ms"
    return f"N@99 (most streams of those measured with {goal}): {_number(results.n_at_99)}"


def _number(streams: int | None) -> str:
    return "none" if streams is None else str(streams)


def _compared(name: str, figure: Callable[[Level], float], before: Level, after: Level) -> tuple[str, str, str, str]:
    a, b = figure(before), figure(after)
    return name, f"{a:.4g}", f"{b:.4g}", f"{b / a:.2f}" if a else "–"
