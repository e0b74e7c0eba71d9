"""Flow and vocoder together, from speech tokens to samples, against the reference implementation's."""

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
import torch
from torch import Tensor

from cosystream.models.cosyvoice.causal_hift import CausalHiFT
from cosystream.models.cosyvoice.flow import Flow, FlowPrompt
from cosystream.models.cosyvoice.hift import Excitation, HiFT
from cosystream.models.cosyvoice.stretch import stretch
from cosystream.models.cosyvoice.tails import Tails
from cosystream.models.weights import load_strict
from tests.parity.conftest import Golden
from tests.parity.vocoders import assert_heard_alike, official_hift, recorded_causal_hift, spoken

Call: TypeAlias = dict[str, Any]
Mel: TypeAlias = Callable[[Golden, Call], Tensor]


@pytest.fixture(scope="module")
def hift(v2: Golden) -> HiFT:
    return official_hift(v2)


@pytest.fixture(scope="module")
def causal(v3: Golden) -> CausalHiFT:
    return recorded_causal_hift(v3)


@pytest.fixture(scope="module")
def flows(v2: Golden, v3: Golden) -> dict[Golden, Flow]:
    flows = {}
    for golden in (v2, v3):
        with torch.device("meta"):
            flows[golden] = Flow(golden.config.flow)
        load_strict(flows[golden], golden.weights("flow"), "flow.pt")
    return flows


@pytest.fixture(scope="module")
def new_mel(flows: dict[Golden, Flow]) -> Mel:
    """The frames (N, M) that a recorded call adds."""

    def new_mel(golden: Golden, call: Call) -> Tensor:
        tensors, flow = golden.tensors("token2wav"), flows[golden]
        prompt = FlowPrompt(tensors["prompt_token"][0].long(), tensors["prompt_feat"][0], tensors["embedding"][0])
        tokens = tensors["token"][0, : call["n_token"]].long()
        mel = flow.whole(prompt, tokens, final=call["finalize"], streaming=call["stream"])
        mel = mel[call["token_offset"] * flow.config.token_mel_ratio :]
        return mel if call["speed"] == 1 else stretch(mel, call["speed"])

    return new_mel


def offline_calls(golden: Golden) -> list[tuple[str, Call]]:
    """Each under the name of what was recorded of it."""

    def name(speed: float) -> str:
        return "offline" if speed == 1 else f"offline_speed{speed}".replace(".", "p")

    return [(name(call["speed"]), call) for call in golden.json("meta")["offline_calls"]]


def test_v2_speaks_offline_as_the_reference_does(hift: HiFT, v2: Golden, new_mel: Mel) -> None:
    golden = v2.tensors("token2wav")
    for name, call in offline_calls(v2):
        mel = new_mel(v2, call)
        silent = hift.m_source.silent_cycles()
        source = hift.source(hift.f0(mel)[None], golden[f"{name}_sine_noise"], silent).source
        assert_heard_alike(hift.decode(mel[None], source)[0], golden[f"{name}_wav"][0])


def test_v3_speaks_offline_as_the_reference_does(causal: CausalHiFT, v3: Golden, new_mel: Mel) -> None:
    golden = v3.tensors("token2wav")
    for name, call in offline_calls(v3):
        assert_heard_alike(spoken(causal, causal.begin(0), new_mel(v3, call), last=True), golden[f"{name}_wav"][0])


def test_v2_streams_as_the_reference_does(hift: HiFT, v2: Golden, new_mel: Mel) -> None:
    golden, state = v2.tensors("token2wav"), hift.begin(0)
    calls = v2.json("meta")["stream_calls"]
    for index, call in enumerate(calls):
        state.mel = torch.cat([state.mel, new_mel(v2, call)])
        recorded = golden[f"stream_source{index}"][0, 0]
        if index == len(calls) - 1:  # whose noise is recorded
            noise = golden[f"stream_sine_noise{index}"][0]
            state.noise = lambda _start, num_samples, _device, noise=noise: noise[:num_samples]
            assert_heard_alike(hift.excite([state]).source[0], recorded)
        excitation = Excitation(recorded[None], state.cycles[None])
        wave = hift.render([state], excitation, last=call["finalize"])[0]
        torch.testing.assert_close(wave, golden[f"stream_wav{index}"][0], rtol=0, atol=5e-4)


def test_v3_streams_as_the_reference_does(causal: CausalHiFT, v3: Golden, new_mel: Mel) -> None:
    golden, tails, excited = v3.tensors("token2wav"), Tails(), Tails()
    recorded, start, num_frames = golden["stream_source_final"][0], 0, 0
    for index, call in enumerate(v3.json("meta")["stream_calls"]):
        mel, last = new_mel(v3, call)[None], call["finalize"]
        source = causal.excite(excited, mel, [num_frames], last=last)
        end = start + source.size(1)
        assert_heard_alike(source[0], recorded[0, start:end])
        wave = causal.render(tails, mel, recorded[:, start:end], last=last)[0]
        torch.testing.assert_close(wave, golden[f"stream_wav{index}"][0], rtol=0, atol=5e-4)
        start, num_frames = end, num_frames + mel.size(1)
    assert start == recorded.size(1)


def test_v3_streams_a_recorded_mel_as_the_reference_does(causal: CausalHiFT, v3: Golden) -> None:
    """With a pitch of its own, for which a mel that differs in the seventh digit would not be good enough."""
    golden, state, meta = v3.tensors("token2wav"), causal.begin(0), v3.json("meta")
    cuts = [(chunk["token_offset"], chunk["tokens_passed"]) for chunk in meta["flow_chunks"]]
    if cuts != [(call["token_offset"], call["n_token"]) for call in meta["stream_calls"]]:
        pytest.skip("the chunks of which the mel was recorded are others")
    for index, call in enumerate(meta["stream_calls"]):
        mel = v3.tensors("flow")[f"chunk{index}_mel"][0].T
        wave = spoken(causal, state, mel, last=call["finalize"])
        assert_heard_alike(wave, golden[f"stream_wav{index}"][0])
