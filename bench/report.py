"""The results as a page to read."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from bench.embedded_voice import EmbeddedVoice, Listeners, Saturated
from bench.results import Measured, Results
from bench.server_alone import ServerAlone
from bench.stages import FlowTimes, LMTimes, Solve, Stages, Timing
from cosystream.bench.figures import Spread

MAX_SERVER_CPU = 0.20
MAX_ADDED_P99_MS = 5.0
MAX_FIRST_AUDIO_SECONDS = 0.4
MAX_LIVEZ_P99_MS = 20.0

HEAD = """# Results

Written by `python -m bench`, together with the raw figures as JSON. Each part says how it was measured, and keeps its
figures until it is measured anew. ✗ marks a goal that was missed. [REFERENCE.md](REFERENCE.md) compares with the
reference implementation. Nothing has been measured on a GPU, for none was at hand: `make gpu MODEL=DIR` does that."""

ORIGIN = """*`{command}` on {date}: {cpu_model}, {cores} cores; Python {python}, {versions}.*"""

SERVER_HEAD = """## The server alone

A model that keeps exactly real time is emulated: it hands out 100 ms of every stream ten times a second, without
computing anything (`bench/paced.py`). Each listener reads the events of `/synthesize/stream` on a connection of its
own, on the same machine, over the loopback interface. The figures are of {seconds:.0f} s in which all streams play.
*Added* is what passes between a chunk's leaving the model and its arriving at the listener."""

VOICE_HEAD = """## The embedded voice

`cosystream serve --engine {engine}`, its listeners on the same machine. *First audio* is what passes between asking, on
a new connection, and the first event with audio. A player underruns when it has played all that it has, having begun
with the first audio and playing in real time since. Goals: first audio alone within {max_first_audio_seconds:g} s at
most, and no underruns. Other processes kept {neighbour_cores:.1f} cores busy meanwhile."""

SATURATED_HEAD = """*Too many* are {listeners} listeners who ask again when they have heard everything, or when they
have been told to come back. Their first audio includes the wait in a queue of {max_queue}."""

STAGES_HEAD = """## The stages of the models

What the stages of a CosyVoice checkpoint take: medians, in the engine's own precision, on all cores. Unless the command
names a checkpoint, its weights are random, with the shapes of the published ones. The flow and the vocoder keep what
lies behind a hop, so that it costs its own frames only. The first hop is provisional: it makes the first audio early,
and is solved again. Listeners share the steps of the language model, and nothing else."""

VERSION_HEAD = """### {version}

{origin}

Products in {precision}. Loaded in {load_seconds:.1f} s; {loaded:.1f} GB were resident then, {peak:.1f} GB at most until
the end, with what lies behind for one of the {num_steps} Euler steps.
Other processes kept {neighbour_cores:.1f} cores busy meanwhile."""

UNCACHED = """Were nothing kept, the flow would compute {frames} frames for the last of these hops, and take
{uncached:.1f} s instead of {cached:.1f} s: {ratio:.1f} times as long."""

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
    parts = [HEAD]
    if results.server is not None:
        runs = results.server.figures
        head = SERVER_HEAD.format(seconds=runs[0].window_seconds)
        parts += [head, _origin(results.server), _server_table(runs)]
    if results.voice is not None:
        voice = results.voice.figures
        head = VOICE_HEAD.format(
            engine=voice.engine,
            max_first_audio_seconds=MAX_FIRST_AUDIO_SECONDS,
            neighbour_cores=voice.neighbour_cores,
        )
        parts += [head, _origin(results.voice), _voice_table(voice), _saturated(voice.saturated)]
    if results.stages:
        parts.append(STAGES_HEAD)
    for _, stages in sorted(results.stages.items()):
        parts += _stages(stages)
    return "\n\n".join(parts) + "\n"


def _origin(measured: Measured[Any]) -> str:
    machine = measured.machine
    return ORIGIN.format(
        command=measured.command,
        date=measured.date,
        cpu_model=machine.cpu_model,
        cores=machine.cores,
        python=machine.python,
        versions=", ".join(f"{name} {version}" for name, version in machine.versions.items()),
    )


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
        f"{lag.mean_ms:.1f} / {'–' if lag.below_ms is None else f'{lag.below_ms:.0f}'} ms",
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


def _stages(measured: Measured[Stages]) -> list[str]:
    stages = measured.figures
    flow, last = stages.flow, stages.flow.hops[-1]
    head = VERSION_HEAD.format(
        version=stages.version,
        origin=_origin(measured),
        precision=stages.precision,
        load_seconds=stages.load_seconds,
        loaded=stages.loaded_bytes / 1e9,
        peak=stages.peak_bytes / 1e9,
        num_steps=flow.num_steps,
        neighbour_cores=stages.neighbour_cores,
    )
    cached, uncached = _solve_ms(flow, last.far), _solve_ms(flow, flow.uncached)
    comparison = UNCACHED.format(
        frames=flow.uncached.frames, uncached=uncached / 1000, cached=cached / 1000, ratio=uncached / cached
    )
    return [head, _lm_table(stages.lm), _hops_table(stages), comparison]


def _lm_table(lm: LMTimes) -> str:
    rows = [(f"prefill of {prefill.size} positions", f"{prefill.ms:.0f} ms") for prefill in lm.prefills]
    rows += [(f"step of {step.size}, some {lm.context} positions on", f"{step.ms:.1f} ms") for step in lm.steps]
    return _table(("language model", "time"), rows)


def _hops_table(stages: Stages) -> str:
    flow, hops = stages.flow, stages.flow.hops
    prompt, further = f"behind {flow.prompt_tokens} tokens of prompt", f"{flow.far_tokens / stages.token_rate:g} s on"
    rows = [
        (f"flow's start {prompt}", *(f"{hop.near.start_ms:.1f} ms" for hop in hops)),
        (f"– {further}", *(f"{hop.far.start_ms:.1f} ms" for hop in hops)),
        (f"Euler step {prompt}", *(f"{hop.near.step_ms:.1f} ms" for hop in hops)),
        (f"– {further}", *(f"{hop.far.step_ms:.1f} ms" for hop in hops)),
        ("vocoder", *(f"{chunk.ms:.1f} ms" for chunk in stages.vocoder)),
    ]
    rows += [
        (f"**RTF of all**, {further}, listeners: {step.size}", "–", *(f"{rtf:.2f}" for rtf in _rtfs(stages, step)))
        for step in stages.lm.steps
    ]
    return _table(("a hop", *(f"{hop.tokens} tokens, {hop.far.frames} frames" for hop in hops)), rows)


def _rtfs(stages: Stages, step: Timing) -> Iterator[float]:
    """Of each hop but the provisional one, with as many listeners as ``step`` has sequences.

    A hop's share of the steps that draw its tokens, its solve and its samples take so much of the time that they play.
    """
    for hop, chunk in list(zip(stages.flow.hops, stages.vocoder, strict=True))[1:]:
        tokens_ms = hop.tokens * step.ms / step.size
        played_ms = 1000 * hop.tokens / stages.token_rate
        yield (tokens_ms + _solve_ms(stages.flow, hop.far) + chunk.ms) / played_ms


def _solve_ms(flow: FlowTimes, solve: Solve) -> float:
    return solve.start_ms + flow.num_steps * solve.step_ms


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
