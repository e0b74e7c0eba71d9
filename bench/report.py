"""The results as a page to read."""

import math
from collections.abc import Iterable, Sequence

from bench.embedded_voice import EmbeddedVoice, Listeners, Saturated
from bench.figures import Spread
from bench.results import Results
from bench.server_alone import ServerAlone

MAX_SERVER_CPU = 0.20
MAX_ADDED_P99_MS = 5.0
MAX_FIRST_AUDIO_SECONDS = 0.4
MAX_LIVEZ_P99_MS = 20.0

HEAD = """# Results

Written by `{command}` on {date}, together with the raw figures as JSON.

- Machine: {cpu_model}, {cores} cores.
- Python {python}, {versions}.
- Clients and server share the machine and meet on the loopback interface. ✗ marks a goal that was missed."""

SERVER_HEAD = """## The server alone

A model that keeps exactly real time is emulated: it hands out 100 ms of every stream ten times a second, without
computing anything (`bench/paced.py`). Each listener reads the events of `/synthesize/stream` on a connection of its
own. The figures are of {seconds:.0f} s in which all streams play. *Added* is what passes between a chunk's leaving the
model and its arriving at the listener."""

VOICE_HEAD = """## The embedded voice

`cosystream serve --engine {engine}`. *First audio* is what passes between asking, on a new connection, and the first
event with audio. A player underruns when it has played all that it has, having begun with the first audio and playing
in real time since. Goals: first audio alone within {max_first_audio_seconds:g} s at most, and no underruns. Other
processes kept {neighbour_cores:.1f} cores busy meanwhile."""

SATURATED_HEAD = """*Too many* are {listeners} listeners who ask again when they have heard everything, or when they
have been told to come back. Their first audio includes the wait in a queue of {max_queue}."""

SERVER_ROWS = (
    (
        "streams",
        "events a second",
        "processor time of the server",
        "– of it the event loop's thread",
        "– of it in the kernel",
        "event loop's time per event",
        "processor time of the clients",
        "added, p50 / p99 / max",
        "the server's loop late by, mean / all below",
        "the clients' loop late by, p50 / p99 / max",
        "listeners who got everything, in order",
        "cores that other processes kept busy",
    ),
    ("", "", f"≤ {MAX_SERVER_CPU:.0%} of a core", "", "", "", "", f"p99 ≤ {MAX_ADDED_P99_MS:g} ms", "", "", "all", ""),
)
"""Their names, and their goals."""

SATURATED_ROWS = (
    ("refused with 503 and Retry-After", "/livez meanwhile, p50 / p99 / max", "calls of /livez"),
    ("", f"p99 ≤ {MAX_LIVEZ_P99_MS:g} ms", ""),
)


def render(results: Results) -> str:
    """Markdown."""
    machine = results.machine
    parts = [
        HEAD.format(
            command=results.command,
            date=results.date,
            cpu_model=machine.cpu_model,
            cores=machine.cores,
            python=machine.python,
            versions=", ".join(f"{name} {version}" for name, version in machine.versions.items()),
        )
    ]
    if results.server:
        parts += [SERVER_HEAD.format(seconds=results.server[0].window_seconds), _server_table(results.server)]
    if results.voice is not None:
        parts += [
            VOICE_HEAD.format(
                engine=results.voice.engine,
                max_first_audio_seconds=MAX_FIRST_AUDIO_SECONDS,
                neighbour_cores=results.voice.neighbour_cores,
            ),
            _voice_table(results.voice),
        ]
        parts += [_saturated(results.voice.saturated)]
    if results.failures:
        parts += ["## Not measured", "\n".join(f"- {failure}" for failure in results.failures)]
    return "\n\n".join(parts) + "\n"


def _server_table(runs: Sequence[ServerAlone]) -> str:
    header = ("", "goal", *(_model_of(run) for run in runs))
    return _table(header, zip(*SERVER_ROWS, *map(_server_cells, runs), strict=True)) + _problems(
        problem for run in runs for problem in run.problems
    )


def _model_of(run: ServerAlone) -> str:
    return f"a batch every {run.step_ms:g} ms" if run.step_ms else "each chunk when due"


def _server_cells(run: ServerAlone) -> tuple[str, ...]:
    """What stands below ``run``, in the order of the rows."""
    cpu, window, added, lag = run.server_cpu, run.window_seconds, run.added_ms, run.loop_lag
    return (
        f"{run.streams}",
        f"{run.events / window:.0f}",
        _verdict(f"{cpu.total / window:.1%}", met=cpu.total / window <= MAX_SERVER_CPU),
        f"{cpu.main_thread / window:.1%}",
        f"{cpu.kernel / window:.1%}",
        f"{1e6 * cpu.main_thread / max(1, run.events):.0f} µs",
        f"{run.client_cpu.total / window:.1%}",
        _verdict(_milliseconds(added), met=added.p99 <= MAX_ADDED_P99_MS),
        f"{lag.mean_ms:.1f} / {lag.below_ms:.0f} ms",
        _milliseconds(run.client_lag_ms),
        _verdict(f"{run.whole} of {run.streams}", met=run.whole == run.streams),
        f"{run.neighbour_cores:.1f}",
    )


def _voice_table(voice: EmbeddedVoice) -> str:
    rows = [_listeners_row(f"alone: {kind}", listeners) for kind, listeners in voice.alone.items()]
    rows += [
        _listeners_row("**alone: all**", voice.alone_overall, max_first_audio_seconds=MAX_FIRST_AUDIO_SECONDS),
        _listeners_row("**two at once**, a passage each", voice.two),
        _listeners_row("**too many**", voice.saturated.served),
    ]
    header = ("listeners", "served", "first audio p50 / max", "RTF p50 / max", "audio", "underruns", "silence in them")
    everyone = (*voice.alone.values(), voice.two, voice.saturated.served)
    return _table(header, rows) + _problems(problem for listeners in everyone for problem in listeners.problems)


def _listeners_row(name: str, listeners: Listeners, max_first_audio_seconds: float = math.inf) -> tuple[str, ...]:
    first, rtf = listeners.first_audio_seconds, listeners.rtf
    return (
        name,
        f"{listeners.served}",
        _verdict(f"{first.p50:.2f} / {first.max:.2f} s", met=first.max <= max_first_audio_seconds),
        f"{rtf.p50:.2f} / {rtf.max:.2f}",
        f"{listeners.audio_seconds:.0f} s",
        _verdict(f"{listeners.underruns}", met=not listeners.underruns),
        f"{listeners.starved_seconds:.2f} s",
    )


def _saturated(saturated: Saturated) -> str:
    livez = saturated.livez_ms
    cells = (
        f"{saturated.refused}, told to wait for up to {saturated.longest_retry_after_seconds:.0f} s",
        _verdict(_milliseconds(livez), met=livez.p99 <= MAX_LIVEZ_P99_MS and not saturated.livez_failures),
        f"{livez.count}, {saturated.livez_failures} of them without a 200",
    )
    head = SATURATED_HEAD.format(listeners=saturated.listeners, max_queue=saturated.max_queue)
    return head + "\n\n" + _table(("", "goal", "measured"), zip(*SATURATED_ROWS, cells, strict=True))


def _milliseconds(figures: Spread) -> str:
    return f"{figures.p50:.1f} / {figures.p99:.1f} / {figures.max:.1f} ms"


def _verdict(cell: str, *, met: bool) -> str:
    return cell if met else f"{cell} ✗"


def _problems(problems: Iterable[str]) -> str:
    """A list to stand below a table; nothing where nothing went wrong."""
    lines = [f"- ✗ {problem}" for problem in dict.fromkeys(problems)]
    return "\n".join(["\n", *lines]) if lines else ""


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    ruled = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in ruled)
