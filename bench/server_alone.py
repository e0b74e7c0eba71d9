"""What the server costs by itself: many streams of a model that keeps exactly real time."""

import asyncio
import os
import sys
import time
from dataclasses import dataclass

from bench.load import listen_together, problems_of
from bench.loop_lag import LoopLag, loop_lag
from bench.neighbours import Neighbours
from bench.paced import stamp_of
from bench.process import CpuTime, cpu_time
from bench.server import Server
from cosystream.bench.figures import Spread, spread

RAMP_SECONDS_PER_STREAM = 0.015
SETTLE_SECONDS = 1.0
"""After the last stream has begun, and before the first one ends."""
NAP_SECONDS = 0.01
WORDS_PER_SECOND = 5
"""Of the tone engine."""


@dataclass(frozen=True, slots=True)
class ServerAlone:
    """Figures of the steady state, when all streams play."""

    streams: int
    step_ms: float
    window_seconds: float
    events: int
    """Those that arrived in the window."""
    server_cpu: CpuTime
    """In the window. The event loop is the main thread; the others emulate the model and hand over."""
    client_cpu: CpuTime
    added_ms: Spread
    """From leaving the core to arriving at the listener."""
    loop_lag: LoopLag
    """Of the server."""
    client_lag_ms: Spread
    """How late the clients' own event loop woke up: added time that the server had no part in."""
    whole: int
    """Listeners who got everything, in order."""
    problems: tuple[str, ...]
    """Of the others."""
    neighbour_cores: float
    """What other processes used of the machine meanwhile."""


class _Delays:
    """When each event arrived, and how long it took."""

    def __init__(self) -> None:
        self._arrivals: list[tuple[float, float]] = []

    def audio(self, now: float, pcm_hex: str) -> None:
        self._arrivals.append((now, now - stamp_of(pcm_hex)))

    def between(self, began: float, ended: float) -> list[float]:
        return [delay for arrived, delay in self._arrivals if began <= arrived < ended]


async def measure_server(*, streams: int, seconds: float, step_ms: float) -> ServerAlone:
    """Raises ServerFailed."""
    neighbours = Neighbours()
    command = (sys.executable, "-m", "bench.paced_server", "--streams", str(streams), "--step-ms", str(step_ms))
    with Server.running(command) as server:
        await server.ready()
        delays = _Delays()
        ramp_seconds = streams * RAMP_SECONDS_PER_STREAM
        spoken_seconds = ramp_seconds + 2 * SETTLE_SECONDS + seconds
        texts = ["la " * round(spoken_seconds * WORDS_PER_SECOND)] * streams
        listening = asyncio.create_task(
            listen_together(server.address, texts, every_seconds=RAMP_SECONDS_PER_STREAM, on_audio=delays.audio)
        )
        await asyncio.sleep(ramp_seconds + SETTLE_SECONDS)
        metrics_before = await server.metrics()
        began, server_before, client_before = time.monotonic(), cpu_time(server.pid), cpu_time(os.getpid())
        naps = await _doze(seconds)
        ended, server_after, client_after = time.monotonic(), cpu_time(server.pid), cpu_time(os.getpid())
        metrics_after = await server.metrics()
        heard = await listening
    added = delays.between(began, ended)
    return ServerAlone(
        streams=streams,
        step_ms=step_ms,
        window_seconds=ended - began,
        events=len(added),
        server_cpu=server_after.since(server_before),
        client_cpu=client_after.since(client_before),
        added_ms=spread(1000 * delay for delay in added),
        loop_lag=loop_lag(metrics_before, metrics_after),
        client_lag_ms=spread(1000 * lag for lag in naps),
        whole=sum(one.served for one in heard),
        problems=problems_of(heard),
        neighbour_cores=neighbours.cores(),
    )


async def _doze(seconds: float) -> list[float]:
    """Sleep for about ``seconds``, in naps; how much longer than it should each of them took."""
    lags, ends = [], time.monotonic() + seconds
    while (now := time.monotonic()) < ends:
        await asyncio.sleep(NAP_SECONDS)
        lags.append(time.monotonic() - now - NAP_SECONDS)
    return lags
