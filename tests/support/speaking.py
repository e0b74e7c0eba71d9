"""A core driven by hand, for as long as it has work."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosystream.audio.pcm import from_pcm
from cosystream.runtime.protocol import EngineCore, Failed, Finished, Worked
from cosystream.types import AudioChunk, JobId, SynthesisRequest

MOST_STEPS = 100_000


def speak(core: EngineCore[Any], *requests: SynthesisRequest) -> list[list[AudioChunk]]:
    """What is heard of each of ``requests``, all submitted at once."""
    jobs = [JobId(1000 + number) for number in range(len(requests))]
    for job, request in zip(jobs, requests, strict=True):
        core.submit(job, core.prepare(request))
    heard = listen(core, jobs)
    return [heard[job] for job in jobs]


def listen(
    core: EngineCore[Any], jobs: Iterable[JobId], on_step: Callable[[], None] = lambda: None
) -> dict[JobId, list[AudioChunk]]:
    """What is heard of ``jobs`` until all of them have finished."""
    heard: dict[JobId, list[AudioChunk]] = {job: [] for job in jobs}
    unfinished = set(heard)
    for _ in range(MOST_STEPS):
        if not unfinished:
            return heard
        assert core.has_work, f"{unfinished} will never be spoken"
        for job, output in core.step():
            match output:
                case AudioChunk():
                    heard[job].append(output)
                case Finished():
                    unfinished.remove(job)
                case Failed(message):
                    raise AssertionError(f"{job} failed: {message}")
                case Worked():
                    assert job in unfinished
        on_step()
    raise AssertionError(f"{unfinished} were not spoken within {MOST_STEPS} steps")


def samples(chunks: Iterable[AudioChunk]) -> NDArray[np.float32]:
    """What they sound like, (N,)."""
    return from_pcm(b"".join(chunk.pcm for chunk in chunks))


def signal_to_noise_db(signal: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """How close ``other`` comes to ``signal``: 10 log10 of the power of it over that of the difference."""
    noise = np.square(other - signal, dtype=np.float64).sum()
    return float(10 * np.log10(np.square(signal, dtype=np.float64).sum() / max(noise, 1e-12)))
