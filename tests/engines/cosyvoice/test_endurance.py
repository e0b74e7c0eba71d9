"""A thousand requests leave nothing behind, and the hundredth begins as soon as the first."""

import gc
import os
import random
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cosystream.engines.cosyvoice.core import CosyVoiceCore
from cosystream.runtime.protocol import Finished
from cosystream.types import AudioChunk, JobId, Prompt, SynthesisRequest
from tests.engines.cosyvoice.conftest import TINY, tiny

NUM_REQUESTS = 1000
AT_ONCE = 8
WORDS = "hello world it is a test of how long this can go on".split()


@pytest.fixture(scope="module")
def core() -> CosyVoiceCore:
    """One with so little memory that its streams have to take pages from each other."""
    return tiny("v3", replace(TINY, memory_bytes=60_000_000))


def resident_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def num_open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names, not paths


def held(core: CosyVoiceCore) -> tuple[int, int, int, int]:
    """Tensors, files, threads and free pages."""
    gc.collect()
    num_tensors = sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())
    return num_tensors, num_open_files(), threading.active_count(), core.load.pages_free


def serve(core: CosyVoiceCore, dice: random.Random, recording: Prompt, first: int, number: int) -> int:
    """Serve so many requests of all kinds, some of which are left; how many were heard to their end."""
    to_come = [JobId(first + n) for n in range(number)]
    at_work: dict[JobId, int] = {}  # and after how many steps each is left
    num_finished = 0
    while to_come or at_work:
        while to_come and len(at_work) < AT_ONCE:
            job = to_come.pop(0)
            core.submit(job, core.prepare(some_request(dice, recording)))
            at_work[job] = dice.randrange(1, 100) if dice.random() < 0.3 else 10**9
        if dice.random() < 0.02:
            job = dice.choice(list(at_work))
            core.pause(job)
            core.resume(job)
        for job, output in core.step():
            assert job in at_work
            if isinstance(output, Finished):
                del at_work[job]
                num_finished += 1
        for job in list(at_work):
            at_work[job] -= 1
            if at_work[job] == 0:
                core.cancel(job)
                del at_work[job]
    return num_finished


def some_request(dice: random.Random, recording: Prompt) -> SynthesisRequest:
    text = " ".join(dice.choices(WORDS, k=dice.randrange(1, 3)))
    request = SynthesisRequest(text, speaker=dice.choice(["spk_a", "spk_b"]), seed=dice.randrange(1000))
    return replace(request, prompt=replace(recording, text=None)) if dice.random() < 0.1 else request


def steps_until_first_audio(core: CosyVoiceCore) -> int:
    job, request = JobId(10**6), SynthesisRequest("hello world, it is a test", speaker="spk_a", seed=1)
    core.submit(job, core.prepare(request))
    for number in range(1, 10_000):
        if any(isinstance(output, AudioChunk) for _, output in core.step()):
            core.cancel(job)
            return number
    raise AssertionError("no audio")


@pytest.mark.timeout(600)
def test_a_thousand_requests_leave_nothing_behind(core: CosyVoiceCore, recording: Prompt) -> None:
    dice = random.Random(0)
    at_first = steps_until_first_audio(core)
    serve(core, dice, recording, first=1, number=100)
    assert steps_until_first_audio(core) == at_first
    before, resident = held(core), resident_bytes()
    assert serve(core, dice, recording, first=101, number=NUM_REQUESTS - 100) > NUM_REQUESTS / 2
    assert not core.has_work
    assert held(core) == before
    # oneDNN keeps a kernel for each shape that it has met, up to 1024 of them.
    assert resident_bytes() - resident < 150_000_000
    assert steps_until_first_audio(core) == at_first
