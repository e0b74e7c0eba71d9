"""Figures as a run of the benchmark would find them, but easy to reckon with."""

from dataclasses import replace

from bench.embedded_voice import EmbeddedVoice, Listeners, Saturated
from bench.loop_lag import LoopLag
from bench.process import CpuTime
from bench.results import Measured, Results
from bench.server_alone import ServerAlone
from bench.stages import FlowTimes, Hop, LMTimes, Solve, Stages, Timing
from cosystream.bench.figures import spread
from cosystream.bench.machine import Machine

SERVER = ServerAlone(
    streams=200,
    step_ms=5.0,
    window_seconds=10.0,
    events=20_000,
    server_cpu=CpuTime(total=1.5, kernel=0.5, main_thread=1.25),
    client_cpu=CpuTime(total=1.0, kernel=0.5, main_thread=1.0),
    added_ms=spread([1.0, 2.0]),
    loop_lag=LoopLag(count=20, mean_ms=0.25, below_ms=5.0),
    client_lag_ms=spread([0.5]),
    whole=200,
    problems=(),
    neighbour_cores=0.25,
)
LISTENERS = Listeners(
    served=5,
    first_audio_seconds=spread([0.2, 0.3]),
    underruns=0,
    starved_seconds=0.0,
    audio_seconds=42.0,
    rtf=spread([0.3, 0.4]),
    problems=(),
    each=(),
)
VOICE = EmbeddedVoice(
    engine="kokoro",
    alone={"Mandarin, short": LISTENERS},
    alone_overall=LISTENERS,
    two=LISTENERS,
    saturated=Saturated(
        listeners=16,
        max_queue=4,
        served=LISTENERS,
        refused=12,
        longest_retry_after_seconds=7.0,
        livez_ms=spread([1.0, 3.0]),
        livez_failures=0,
    ),
    neighbour_cores=1.5,
)
STAGES = Stages(
    version="cosyvoice2",
    token_rate=25,
    precision="bfloat16",
    lm=LMTimes(prefills=(Timing(64, 100.0), Timing(256, 300.0)), context=270, steps=(Timing(1, 10.0), Timing(4, 16.0))),
    flow=FlowTimes(
        num_steps=10,
        prompt_tokens=50,
        far_tokens=750,
        hops=(
            Hop(8, near=Solve(22, start_ms=5.0, step_ms=20.0), far=Solve(22, start_ms=7.5, step_ms=22.5)),
            Hop(25, near=Solve(50, start_ms=10.0, step_ms=40.0), far=Solve(50, start_ms=15.0, step_ms=45.0)),
            Hop(50, near=Solve(100, start_ms=20.0, step_ms=80.0), far=Solve(100, start_ms=25.0, step_ms=87.5)),
        ),
        uncached=Solve(1700, start_ms=200.0, step_ms=1000.0),
    ),
    vocoder=(Timing(16, 20.0), Timing(50, 50.0), Timing(100, 75.0)),
    load_seconds=2.0,
    loaded_bytes=3_500_000_000,
    peak_bytes=4_500_000_000,
    neighbour_cores=0.5,
)
MACHINE = Machine("Abacus 3000", 2, "3.11.7", {"cosystream": "0.1.0"})
RESULTS = Results(
    server=Measured("python -m bench server", "2026-11-20", MACHINE, (SERVER,)),
    voice=Measured("python -m bench voice", "2026-11-21", replace(MACHINE, cores=4), VOICE),
    stages={
        version: Measured(
            f"python -m bench stages --versions {version}", date, MACHINE, replace(STAGES, version=version)
        )
        for version, date in (("cosyvoice3", "2026-11-23"), ("cosyvoice2", "2026-11-22"))
    },
)
