"""How the embedded voice serves on this machine: one listener, two, and more than it can."""

import asyncio
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import chain, cycle
from pathlib import Path

from bench.load import listen_together, problems_of
from bench.neighbours import Neighbours
from bench.server import Server
from cosystream.bench.connection import LOOPBACK, Address, Answer, get, listen
from cosystream.bench.figures import Spread, spread
from cosystream.bench.heard import Heard
from cosystream.bench.sentences import BY_KIND, LONG_ENGLISH, LONG_MANDARIN, PASSAGES
from cosystream.types import SynthesisRequest

ROUNDS_OF_TWO = 3
CROWD = 16
"""Listeners in the saturated case. Each asks again when it has heard all, or when it was told to come back."""
MAX_QUEUE = 4
"""Of the saturated server: a short queue, so that some of the crowd are refused."""
PROBE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Listeners:
    """How requests were served that had something in common."""

    served: int
    first_audio_seconds: Spread
    underruns: int
    starved_seconds: float
    audio_seconds: float
    rtf: Spread
    """As the server reports it."""
    problems: tuple[str, ...]
    """Of those who were neither served nor refused."""
    each: tuple[Heard, ...]
    """Without the chunks, which would fill a book."""


@dataclass(frozen=True, slots=True)
class Saturated:
    """Too many listeners for a while."""

    listeners: int
    max_queue: int
    served: Listeners
    refused: int
    """Told to come back later with 503 and Retry-After."""
    longest_retry_after_seconds: float
    livez_ms: Spread
    """What /livez took meanwhile."""
    livez_failures: int


@dataclass(frozen=True, slots=True)
class EmbeddedVoice:
    engine: str
    alone: dict[str, Listeners]
    """One listener at a time, by the kind of text."""
    alone_overall: Listeners
    two: Listeners
    saturated: Saturated
    neighbour_cores: float
    """What other processes used of the machine meanwhile."""


async def measure_voice(*, engine: str, seconds: float) -> EmbeddedVoice:
    """``seconds`` is for how long the crowd keeps asking. Raises ServerFailed."""
    neighbours = Neighbours()
    with _running(engine) as server:
        await server.ready()
        alone = {
            kind: [await listen(server.address, SynthesisRequest(text)) for text in texts]
            for kind, texts in BY_KIND.items()
        }
        two = [await listen_together(server.address, PASSAGES) for _ in range(ROUNDS_OF_TWO)]
    with _running(engine, "--max-queue", str(MAX_QUEUE)) as server:
        await server.ready()
        saturated = await _saturate(server.address, seconds)
    return EmbeddedVoice(
        engine=engine,
        alone={kind: _sum_up(heard) for kind, heard in alone.items()},
        alone_overall=_sum_up(chain.from_iterable(alone.values())),
        two=_sum_up(chain.from_iterable(two)),
        saturated=saturated,
        neighbour_cores=neighbours.cores(),
    )


def _running(engine: str, *flags: str) -> AbstractContextManager[Server]:
    command = str(Path(sys.executable).with_name("cosystream"))
    return Server.running((command, "serve", "--engine", engine, "--host", LOOPBACK, *flags))


async def _saturate(address: Address, seconds: float) -> Saturated:
    ends = time.monotonic() + seconds
    texts = cycle(LONG_MANDARIN + LONG_ENGLISH)
    probes: list[Answer] = []
    async with asyncio.TaskGroup() as tasks:
        crowd = [tasks.create_task(_ask_until(ends, address, texts)) for _ in range(CROWD)]
        while not all(listener.done() for listener in crowd):
            probes.append(await get(address, "/livez"))
            await asyncio.sleep(PROBE_SECONDS)
    heard = [one for listener in crowd for one in listener.result()]
    refused = [one for one in heard if one.refused]
    return Saturated(
        listeners=CROWD,
        max_queue=MAX_QUEUE,
        served=_sum_up(heard),
        refused=len(refused),
        longest_retry_after_seconds=max((one.retry_after_seconds or 0.0 for one in refused), default=0.0),
        livez_ms=spread(1000 * probe.seconds for probe in probes),
        livez_failures=sum(probe.status != 200 for probe in probes),
    )


async def _ask_until(ends: float, address: Address, texts: Iterator[str]) -> list[Heard]:
    """Listen again and again, and come back when told to."""
    heard: list[Heard] = []
    while (left_seconds := ends - time.monotonic()) > 0:
        one = await listen(address, SynthesisRequest(next(texts)))
        heard.append(one)
        if not one.served:
            await asyncio.sleep(min(one.retry_after_seconds or 1.0, left_seconds))
    return heard


def _sum_up(heard: Iterable[Heard]) -> Listeners:
    everyone = list(heard)
    served = [one for one in everyone if one.served]
    return Listeners(
        served=len(served),
        first_audio_seconds=spread(one.first_audio_seconds for one in served if one.first_audio_seconds is not None),
        underruns=sum(one.underruns for one in served),
        starved_seconds=sum(one.starved_seconds for one in served),
        audio_seconds=sum(one.audio_seconds for one in served),
        rtf=spread(one.rtf for one in served if one.rtf is not None),
        problems=problems_of(everyone),
        each=tuple(replace(one, arrivals=()) for one in served),
    )
