"""From text ids and a prompt to samples, offline as the reference does it."""

import torch

from cosystream.models.cosyvoice.flow import Flow, FlowPrompt
from cosystream.models.cosyvoice.silent_tokens import SilenceFilter
from cosystream.models.weights import load_strict
from tests.parity.conftest import Golden
from tests.parity.vocoders import assert_heard_alike, official_hift, recorded_causal_hift, spoken


def mel_of(golden: Golden) -> torch.Tensor:
    with torch.device("meta"):
        flow = Flow(golden.config.flow)
    load_strict(flow, golden.weights("flow"), "flow.pt")
    tensors = golden.tensors("end_to_end")
    prompt = FlowPrompt(
        tensors["flow_prompt_speech_token"][0].long(),
        tensors["prompt_speech_feat"][0],
        tensors["flow_embedding"][0],
    )
    silence = SilenceFilter(golden.config.version)
    tokens = [token for token in tensors["greedy_tokens"][0].tolist() if silence.keeps(token)]
    return flow.whole(prompt, torch.tensor(tokens), final=True, streaming=False)


def test_v2_speaks_what_its_language_model_says(v2: Golden) -> None:
    golden, hift, mel = v2.tensors("end_to_end"), official_hift(v2), mel_of(v2)
    source = hift.source(hift.f0(mel)[None], golden["offline_sine_noise"], hift.m_source.silent_cycles()).source
    assert_heard_alike(hift.decode(mel[None], source)[0], golden["offline_wav"][0])


def test_v3_speaks_what_its_language_model_says(v3: Golden) -> None:
    causal = recorded_causal_hift(v3)
    wave = spoken(causal, causal.begin(0), mel_of(v3), last=True)
    assert_heard_alike(wave, v3.tensors("end_to_end")["offline_wav"][0])


def test_lengths_are_those_of_what_they_count(either: Golden) -> None:
    """They are recorded beside everything that has one, and nothing here needs them."""
    for part in ("frontend", "end_to_end"):
        tensors = either.tensors(part)
        lengths = {name: int(tensor) for name, tensor in tensors.items() if name.endswith("_len")}
        assert lengths
        for name, length in lengths.items():
            assert tensors[name.removesuffix("_len")].size(1) == length, name
