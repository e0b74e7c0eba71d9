"""What the stages of a checkpoint's models take on this machine, at full size where there is no checkpoint either."""

import asyncio
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE

import msgspec

VERSIONS = ("v2", "v3")


class StagesFailed(Exception):
    """A process that measures, or makes what is measured, ended with a failure; it has said why on stderr."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Sequences, positions or frames that are computed at once."""

    size: int
    ms: float


@dataclass(frozen=True, slots=True)
class LMTimes:
    prefills: tuple[Timing, ...]
    context: int
    """Positions behind the tokens that are drawn, some more or less."""
    steps: tuple[Timing, ...]
    """A token of each sequence, drawn and at hand: first of one, then of several at once."""


@dataclass(frozen=True, slots=True)
class Solve:
    """A piece on its way through the flow."""

    frames: int
    start_ms: float
    """Of all that comes before the first Euler step."""
    step_ms: float
    """Of one Euler step."""


@dataclass(frozen=True, slots=True)
class Hop:
    tokens: int
    near: Solve
    """Behind the prompt alone."""
    far: Solve
    """Behind much more."""


@dataclass(frozen=True, slots=True)
class FlowTimes:
    num_steps: int
    """Euler steps of a solve."""
    prompt_tokens: int
    """Solved before; what is left of the prompt comes along with the first hop."""
    far_tokens: int
    """What lies between ``near`` and ``far``."""
    hops: tuple[Hop, ...]
    """The first one is provisional: what it solves is solved again with the rest of its block."""
    uncached: Solve
    """Of the last hop, far, and all before it anew."""


@dataclass(frozen=True, slots=True)
class Stages:
    """Times are medians."""

    version: str
    """Of the checkpoint, named as its configuration file is."""
    token_rate: int
    precision: str
    """Of the matrix products in the language model and the flow."""
    lm: LMTimes
    flow: FlowTimes
    vocoder: tuple[Timing, ...]
    """Pieces as long as what is heard of the hops."""
    load_seconds: float
    """Until the weights are laid out as the machine computes with them fastest."""
    loaded_bytes: int
    """Resident then."""
    peak_bytes: int
    """Resident at most until the end."""
    neighbour_cores: float
    """What other processes used of the machine meanwhile."""


async def measure_stages(checkpoint: Path | str) -> Stages:
    """Of the checkpoint in a folder; or of random weights for a version, at full size. Raises StagesFailed.

    In processes of their own, which give back the memory. The random weights are 4 GB in the temporary directory.
    """
    if isinstance(checkpoint, Path):
        return msgspec.json.decode(await _output_of("bench.stopwatch", str(checkpoint)), type=Stages)
    with tempfile.TemporaryDirectory(prefix="cosystream-bench-") as folder:
        await _output_of("tests.support.checkpoints", folder, "--version", checkpoint[1:], "--no-voices")
        return await measure_stages(Path(folder))


async def _output_of(module: str, *arguments: str) -> bytes:
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", module, *arguments, stdout=PIPE)
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise StagesFailed(f"python -m {module} ended with status {process.returncode}")
    return output
