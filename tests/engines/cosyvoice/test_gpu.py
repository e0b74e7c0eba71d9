"""The engine on a GPU, beside the same models on the CPU. One command runs all of this: ``pytest -m gpu``."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from cosystream.engines.cosyvoice.core import CosyVoiceCore
from cosystream.engines.cosyvoice.ticks import Decode, Solve
from cosystream.models.cosyvoice.flow import FlowPrompt
from cosystream.models.cosyvoice.model import load_model
from cosystream.types import AudioChunk, JobId, Prompt, SynthesisRequest
from tests.engines.cosyvoice.conftest import TINY, tiny
from tests.support.golden import GOLDEN
from tests.support.speaking import samples, speak

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")]

REQUEST = SynthesisRequest("hello world, it is a test", speaker="spk_a", seed=1)


@pytest.fixture(scope="module", params=["v2", "v3"])
def version(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def core(version: str) -> CosyVoiceCore:
    return tiny(version, replace(TINY, precision=None))  # bfloat16, as it is served


def test_a_gpu_solves_what_the_cpu_solves(version: str, core: CosyVoiceCore, recording: Prompt) -> None:
    prompt = core.prepare(replace(REQUEST, prompt=recording)).conditions.flow
    mels = []
    for device in ("cpu", "cuda"):
        model = load_model(GOLDEN / version / "model", device)
        on_device = FlowPrompt(prompt.tokens.to(device), prompt.mel.to(device), prompt.embedding.to(device))
        with torch.inference_mode():
            mel = model.flow.whole(on_device, torch.arange(50, device=device), final=True, streaming=True)
        mels.append(mel.cpu().numpy())
    on_cpu, on_gpu = mels
    np.testing.assert_allclose(on_gpu, on_cpu, atol=1e-3)


def test_it_speaks_to_several_at_once(core: CosyVoiceCore, recording: Prompt) -> None:
    requests = [REQUEST, replace(REQUEST, seed=2), replace(REQUEST, prompt=recording), replace(REQUEST, speed=2.0)]
    for heard in speak(core, *requests):
        speech = samples(heard)
        assert np.isfinite(speech).all()
        assert np.sqrt(np.mean(speech**2)) > 0.01


def test_nothing_waits_for_the_gpu_while_tokens_are_drawn_and_steps_are_taken(core: CosyVoiceCore) -> None:
    jobs = [JobId(number) for number in range(4)]
    for job in jobs:
        core.submit(job, core.prepare(replace(REQUEST, seed=job)))
    launch = core._launch

    def watched(work: object) -> None:
        # To begin a piece or to end it is another matter: that is not what happens a thousand times a second.
        is_step = isinstance(work, Decode) or (isinstance(work, Solve) and not work.begins and not work.ends)
        with no_waiting() if is_step else nothing():
            launch(work)  # type: ignore[arg-type]

    core._launch = watched  # type: ignore[method-assign]
    try:
        heard = [output for _ in range(2000) if core.has_work for _, output in core.step()]
    finally:
        core._launch = launch  # type: ignore[method-assign]
    assert any(isinstance(output, AudioChunk) for output in heard)
    assert not core.has_work


@contextmanager
def no_waiting() -> Iterator[None]:
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@contextmanager
def nothing() -> Iterator[None]:
    yield
