"""Levels and results that are easy to reckon with."""

from cosystream.bench.figures import spread
from cosystream.bench.level import BUFFERS_MS, Level, StallFree
from cosystream.bench.machine import Machine
from cosystream.bench.plan import Load
from cosystream.bench.results import Results
from cosystream.bench.target import TargetInfo
from cosystream.bench.vitals import Durations, Vitals


def level(load: Load, *, first_audio_seconds: float = 0.25, stall_free: float = 1.0) -> Level:
    """One in which all listeners are alike."""
    return Level(
        load=load,
        seconds=10.0,
        requests=5,
        served=4,
        refused=1,
        problems=(),
        first_audio_seconds=spread([first_audio_seconds] * 4),
        stall_free=tuple(StallFree(buffer_ms, stall_free) for buffer_ms in BUFFERS_MS),
        gap_seconds=spread([0.125]),
        rtf=spread([0.5]),
        audio_seconds=25.0,
        vitals=Vitals(Durations(9, 0.01, 0.05, "≤"), Durations(9, 0.001, 0.0025)),
    )


def results(*levels: Level) -> Results:
    machine = Machine("Abacus 3000", 2, "3.11.7", {"cosystream": "0.1.0"})
    target = TargetInfo("http://abacus:50000", engine="kokoro", model="Kokoro-82M")
    return Results("cosystream bench http://abacus:50000", "2026-11-23", machine, target, levels)


RESULTS = results(level(Load(streams=1)), level(Load(streams=4), first_audio_seconds=1.0, stall_free=0.5))
