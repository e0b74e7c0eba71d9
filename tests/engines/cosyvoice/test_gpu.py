"""The engine on a GPU, beside the same engine on the CPU."""

import numpy as np
import pytest
import torch

from cosystream.engines.cosyvoice.sequence import Sequence
from cosystream.engines.cosyvoice.synthesizer import CosyVoiceSynthesizer
from cosystream.models.cosyvoice.model import load_model
from cosystream.types import Prompt, SynthesisRequest
from tests.support.golden import GOLDEN

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")]


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_a_gpu_solves_what_the_cpu_solves_and_speaks(
    version: str, recording: Prompt, request: pytest.FixtureRequest
) -> None:
    synthesizer: CosyVoiceSynthesizer = request.getfixturevalue(version)
    utterance = synthesizer.prepare(SynthesisRequest("hello world", prompt=recording, seed=1))
    mels = []
    for device in ("cpu", "cuda"):
        model = load_model(GOLDEN / version / "model", device)
        prompt = utterance.conditions.flow.to(model.device)
        with torch.inference_mode():
            mel = model.flow.whole(prompt, torch.arange(50, device=device), final=True, streaming=True)
        mels.append(mel.cpu().numpy())
        sequence = Sequence(
            model, utterance.segments[0], utterance.conditions, speed=1.0, generator=torch.Generator().manual_seed(1)
        )
        while not sequence.is_read:
            sequence.read()
        while not sequence.is_ready:
            sequence.decode()
        solve = sequence.start()
        while not solve.done:
            sequence.step(solve)
        assert np.isfinite(sequence.finish(solve)).all()
    on_cpu, on_gpu = mels
    np.testing.assert_allclose(on_gpu, on_cpu, atol=1e-3)
