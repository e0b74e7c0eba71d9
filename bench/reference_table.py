"""The reference and we, side by side: what was measured, and the table that is made of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.reference_protocol import BLOCK, MENDED, PUBLISHED, SMALL, About, Arrival
from cosystream.bench.machine import Machine

THEIR_WAYS = (PUBLISHED, MENDED)


HEAD = """# Beside the reference implementation

A checkout of FunAudioLLM/CosyVoice (with its Matcha-TTS) and cosystream, each in its own process, by turns: the same
weights, ids, threads and number of tokens, ends masked. *As published* the requests to the reference share one hop,
and it is met as every request but its first finds it; with the *hop mended* each request has its own. What the
reference imports but does not use on the way from ids to samples is stood in for. Our voice is known: its prompt was
solved for an earlier request, and its head cut so that it fills blocks. A second of our audio includes drawing its
tokens, the reference's does not; it is the second chunk, and the one that is played at the later second."""

ORIGIN = """*`{command}` on {date}: {cpu_model}, {cores} cores, {threads} threads a side; others kept
{neighbour_cores:.1f} cores busy. Weights: {checkpoint}; a prompt of {num_prompt_tokens} tokens, {num_tokens} tokens to
speak; medians of {repetitions}. The reference: {theirs}. cosystream: {ours}.*"""


@dataclass(frozen=True, slots=True)
class Run:
    """So many listeners who asked for the same at the same moment."""

    way: str
    streams: tuple[tuple[Arrival, ...], ...]


@dataclass(frozen=True, slots=True)
class ChunkTimes:
    """Seconds that a second of audio takes; ours with drawing its tokens, the reference's without."""

    first: float
    late: float


@dataclass(frozen=True, slots=True)
class Comparison:
    command: str
    date: str
    machine: Machine
    neighbour_cores: float
    """What other processes used of the machine meanwhile."""
    checkpoint: str
    num_tokens: int
    num_prompt_tokens: int
    late_second: int
    """Which second of the audio a late chunk is."""
    theirs: About
    ours: About
    runs: tuple[Run, ...]
    chunks: dict[str, ChunkTimes]
    """By way; the reference's are alike in either."""


def first_audio_seconds(run: Run) -> float:
    return median(arrivals[0].at_seconds for arrivals in run.streams)


def rtf(run: Run) -> float:
    """Of the listener who waited longest, for a second of audio."""
    return max(arrivals[-1].at_seconds / _audio_seconds(arrivals) for arrivals in run.streams)


def audio_per_second(run: Run) -> float:
    """Of all listeners together, until the last has everything."""
    whole = max(arrivals[-1].at_seconds for arrivals in run.streams)
    return sum(map(_audio_seconds, run.streams)) / whole


def render(comparison: Comparison) -> str:
    """Markdown: where the figures come from, and a row for each. Last is by how much ours is better than either."""
    one, many = _by_way(comparison.runs, many=False), _by_way(comparison.runs, many=True)
    num_streams = max(len(run.streams) for run in comparison.runs)
    audio = {way: median(map(audio_per_second, runs)) for way, runs in many.items()}
    first = {way: median(map(first_audio_seconds, runs)) for way, runs in one.items()}
    rtfs = {way: median(map(rtf, runs)) for way, runs in one.items()}
    chunks, late = comparison.chunks, comparison.late_second
    theirs, ours, small = chunks[PUBLISHED], chunks[BLOCK], chunks[SMALL]
    rows = [
        _row("first audio, a block of tokens", [first[way] for way in THEIR_WAYS], first[BLOCK], unit=" s"),
        _row("first audio, small first hop", [first[way] for way in THEIR_WAYS], first[SMALL], unit=" s"),
        _row("RTF, one stream", [rtfs[way] for way in THEIR_WAYS], rtfs[SMALL]),
        _row(
            f"audio seconds per second, {num_streams} streams",
            [audio[way] for way in THEIR_WAYS],
            audio[SMALL],
            more_is_better=True,
        ),
        _row("a second of audio, at second 1", [theirs.first] * 2, ours.first, unit=" s"),
        _row(f"– at second {late}", [theirs.late] * 2, ours.late, unit=" s"),
        (
            f"– second {late} against second 1",
            *[f"{theirs.late / theirs.first:.2f}"] * 2,
            f"{ours.late / ours.first:.2f}",
            "",
        ),
        ("– the same, begun with a small first hop", "", "", f"{small.late / small.first:.2f}", ""),
    ]
    header = ("", "reference, as published", "reference, hop mended", "cosystream", "better by")
    ruled = [header, ["---"] * len(header), *rows]
    return "\n".join([HEAD, "", _origin(comparison), "", *(f"| {' | '.join(row)} |" for row in ruled)])


def _origin(comparison: Comparison) -> str:
    machine = comparison.machine
    return ORIGIN.format(
        command=comparison.command,
        date=comparison.date,
        cpu_model=machine.cpu_model,
        cores=machine.cores,
        threads=comparison.ours.num_threads,
        neighbour_cores=comparison.neighbour_cores,
        checkpoint=comparison.checkpoint,
        num_prompt_tokens=comparison.num_prompt_tokens,
        num_tokens=comparison.num_tokens,
        repetitions=len(_by_way(comparison.runs, many=False)[SMALL]),
        theirs=_versions(comparison.theirs),
        ours=_versions(comparison.ours),
    )


def _versions(about: About) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in about.versions.items())
    return f"{versions}, products in {about.precision}"


def _by_way(runs: Iterable[Run], *, many: bool) -> dict[str, list[Run]]:
    """Of one listener, or of several."""
    by_way: dict[str, list[Run]] = {}
    for run in runs:
        if (len(run.streams) > 1) == many:
            by_way.setdefault(run.way, []).append(run)
    return by_way


def _row(
    name: str, theirs: Sequence[float], ours: float, *, unit: str = "", more_is_better: bool = False
) -> tuple[str, ...]:
    times = [ours / figure if more_is_better else figure / ours for figure in theirs]
    return (
        name,
        *(f"{figure:.3g}{unit}" for figure in (*theirs, ours)),
        " / ".join(f"{better:.1f}×" for better in times),
    )


def _audio_seconds(arrivals: Iterable[Arrival]) -> float:
    return sum(arrival.audio_seconds for arrival in arrivals)
