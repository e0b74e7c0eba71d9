"""The engine on a GPU, beside the same models on the CPU. One command runs all of this: ``pytest -m gpu``."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cosystream.engines.cosyvoice.core import CosyVoiceCore
from cosystream.engines.cosyvoice.ticks import Decode, Prefill, Solve
from cosystream.models.cosyvoice.model import load_model
from cosystream.types import AudioChunk, JobId, Prompt, SynthesisRequest
from tests.engines.cosyvoice.conftest import TINY, tiny
from tests.support.golden import GOLDEN
from tests.support.gpu import needs_gpu, no_waiting
from tests.support.speaking import samples, speak

pytestmark = [pytest.mark.gpu, needs_gpu]

REQUEST = SynthesisRequest("hello world, it is a test", speaker="spk_a", seed=1)


@pytest.fixture(scope="module", params=["v2", "v3"])
def version(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def core(version: str) -> CosyVoiceCore:
    return tiny(version, replace(TINY, precision=None))  # bfloat16, as it is served


def test_a_gpu_solves_what_the_cpu_solves(
    version: str, core: CosyVoiceCore, recording: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    prompt = core.prepare(replace(REQUEST, prompt=recording)).conditions.flow
    mels = []
    for device in ("cpu", "cuda"):
        model = load_model(GOLDEN / version / "model", device)
        with torch.inference_mode():
            mel = model.flow.whole(
                prompt.to(torch.device(device)), torch.arange(50, device=device), final=True, streaming=True
            )
        mels.append(mel.cpu().numpy())
    on_cpu, on_gpu = mels
    np.testing.assert_allclose(on_gpu, on_cpu, atol=1e-3)


def test_it_speaks_to_several_at_once(core: CosyVoiceCore, recording: Prompt) -> None:
    requests = [REQUEST, replace(REQUEST, seed=2), replace(REQUEST, prompt=recording), replace(REQUEST, speed=2.0)]
    for heard in speak(core, *requests):
        speech = samples(heard)
        assert np.isfinite(speech).all()
        assert np.sqrt(np.mean(speech**2)) > 0.01


def test_nothing_waits_for_the_gpu_but_to_read_results(core: CosyVoiceCore) -> None:
    speak(core, REQUEST)  # what is made at first use may wait
    for job in range(4):
        core.submit(JobId(job), core.prepare(replace(REQUEST, seed=job)))
    launch = core._launch

    def watched(work: Prefill | Decode | Solve) -> None:
        with no_waiting():
            launch(work)

    core._launch = watched  # type: ignore[method-assign]
    try:
        heard = [output for _ in range(2000) if core.has_work for _, output in core.step()]
    finally:
        core._launch = launch  # type: ignore[method-assign]
    assert any(isinstance(output, AudioChunk) for output in heard)
    assert not core.has_work
